import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { nodeCrypto } from "@holdfast/core/node"
import { emptyAccountList, encodeCap, joinAccountLists } from "@holdfast/protocol"
import { type AccountListVectors, checkAccountListVectors } from "@holdfast/protocol/vectors"

const path = join(import.meta.dirname, "../../../interop/vectors/account-list.json")

test("account lists and account keys agree with the frozen vectors", async () => {
  const vectors = JSON.parse(readFileSync(path, "utf8")) as AccountListVectors
  assert.ok(vectors.good.length >= 3 && vectors.bad.length >= 5 && vectors.keys.length >= 3)
  assert.ok(vectors.keys.every(({ lists, deviceLists }) => lists.length === 2 && deviceLists.length === 2))
  await checkAccountListVectors(nodeCrypto, vectors)
})

test("lists written at the same time are joined without losing a root, also of one name", () => {
  const [a, b, c] = [1, 2, 3].map((byte) => encodeCap({ kind: "dw", seed: new Uint8Array(32).fill(byte) }))
  const one = { ...emptyAccountList, roots: new Map([["home", { cap: a! }]]) }
  const two = {
    ...emptyAccountList,
    roots: new Map([
      ["home", { cap: b! }],
      ["x", { cap: c! }],
    ]),
    epoch: 1,
  }
  const joined = joinAccountLists([one, two])
  assert.deepEqual([...joined.roots].map(([name, { cap }]) => [name, cap]).sort(), [
    ["home", a],
    ["home-2", b],
    ["x", c],
  ])
  assert.equal(joined.epoch, 1)
  assert.deepEqual(joinAccountLists([one]), one)
})
