import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { fromHex, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import {
  accountKeysOf,
  decodeAccountList,
  deviceListSecret,
  emptyAccountList,
  encodeAccountList,
  encodeCap,
  joinAccountLists,
  listSeedOn,
  registerIdOf,
} from "@holdfast/protocol"

const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../interop/vectors/account-list.json"), "utf8"),
)

test("account lists agree with the frozen vectors", () => {
  assert.ok(vectors.good.length >= 3 && vectors.bad.length >= 5)
  for (const { encoded, roots, linked, epoch, keepMs } of vectors.good) {
    const list = decodeAccountList(fromHex(encoded))
    assert.deepEqual(
      [...list.roots].map(([name, root]) => [name, root.cap, root.keepMs ?? null]),
      roots,
    )
    assert.deepEqual([list.linked, list.epoch, list.keepMs ?? null], [linked, epoch, keepMs])
    assert.equal(toHex(encodeAccountList(list)), encoded)
  }
  for (const { encoded, error } of vectors.bad)
    assert.throws(() => decodeAccountList(fromHex(encoded)), { code: error }, encoded)
})

test("account keys agree with the frozen vectors", async () => {
  assert.ok(vectors.keys.length >= 3)
  for (const one of vectors.keys) {
    const keys = await accountKeysOf(nodeCrypto, fromHex(one.accountSeed))
    assert.deepEqual([keys.id, keys.publicKey, keys.collectSeed, keys.listSecret].map(toHex), [
      one.id,
      one.publicKey,
      one.collectSeed,
      one.listSecret,
    ])
    const device = { listSecret: deviceListSecret(keys, fromHex(one.deviceKey)) }
    assert.equal(toHex(device.listSecret), one.deviceListSecret)
    for (const { secret, lists } of [
      { secret: keys, lists: one.lists },
      { secret: device, lists: one.deviceLists },
    ]) {
      assert.equal(lists.length, 2)
      for (const { storage, seed, register } of lists) {
        const listSeed = listSeedOn(secret, storage)
        assert.deepEqual(
          [toHex(listSeed), toHex(registerIdOf(await nodeCrypto.publicKeyOf(listSeed)))],
          [seed, register],
        )
      }
    }
  }
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
