import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { emptyAccountList, encodeAccountList, encodeCap, joinAccountLists, signGrant } from "@holdfast/protocol"
import {
  type AccountList3Vectors,
  type AccountListVectors,
  checkAccountList3Vectors,
  checkAccountListVectors,
} from "@holdfast/protocol/vectors"

const path = join(import.meta.dirname, "../../../interop/vectors/account-list.json")

test("account lists and account keys agree with the frozen vectors", async () => {
  const vectors = JSON.parse(readFileSync(path, "utf8")) as AccountListVectors
  assert.ok(vectors.good.length >= 3 && vectors.bad.length >= 5 && vectors.keys.length >= 3)
  assert.ok(vectors.keys.every(({ lists, deviceLists }) => lists.length === 2 && deviceLists.length === 2))
  await checkAccountListVectors(nodeCrypto, vectors)
})

test("account lists that remember what was removed and revoked agree with the frozen vectors", async () => {
  const path = join(import.meta.dirname, "../../../interop/vectors/account-list-3.json")
  const vectors = JSON.parse(readFileSync(path, "utf8")) as AccountList3Vectors
  assert.ok(vectors.good.length >= 2 && vectors.bad.length >= 8 && vectors.removedKeys.length >= 2)
  await checkAccountList3Vectors(nodeCrypto, vectors)
})

test("a grant that one list took back is gone from the joined one, and a record of its epoch is above both", async () => {
  const seed = new Uint8Array(32).fill(5)
  const grant = (byte: number, epoch: number) =>
    signGrant(nodeCrypto, seed, { epoch, deviceKey: new Uint8Array(32).fill(byte), roles: ["append"], name: "device" })
  const [camera, phone, again] = [await grant(1, 1), await grant(2, 3), await grant(1, 4)]
  const revoked = [{ deviceKey: new Uint8Array(32).fill(1), epoch: 3, name: "device" }]
  const took = { ...emptyAccountList, epoch: 3, revoked }
  const gave = { ...emptyAccountList, epoch: 3, grants: [camera, phone] }
  for (const lists of [
    [took, gave],
    [gave, took],
  ]) {
    const { epoch, grants } = await joinAccountLists(nodeCrypto, lists)
    assert.deepEqual([epoch, grants.map(toHex)], [4, [toHex(phone)]])
  }
  const later = await joinAccountLists(nodeCrypto, [took, { ...emptyAccountList, epoch: 4, grants: [again] }])
  assert.deepEqual([later.epoch, later.grants.map(toHex)], [4, [toHex(again)]])
})

test("lists written at the same time are joined without losing a root, also of one name", async () => {
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
  const joined = await joinAccountLists(nodeCrypto, [one, two])
  assert.deepEqual([...joined.roots].map(([name, { cap }]) => [name, cap]).sort(), [
    ["home", a],
    ["home-2", b],
    ["x", c],
  ])
  assert.equal(joined.epoch, 1)
  assert.deepEqual(await joinAccountLists(nodeCrypto, [one]), one)
})

test("a grant that was taken back while another device let somebody in at a higher epoch is left out of a record that places take", async () => {
  const seed = nodeCrypto.random(32)
  const grantOf = (device: number, epoch: number) =>
    signGrant(nodeCrypto, seed, {
      ...{ epoch, deviceKey: new Uint8Array(32).fill(device), roles: ["read", "append"], name: `device ${device}` },
    })
  const [stolen, camera] = await Promise.all([grantOf(1, 4), grantOf(2, 9)])
  // The account has a second volume, whose list was at epoch 8 already.
  const let9 = { ...emptyAccountList, epoch: 9, grants: [stolen, camera] }
  const revoked = [{ deviceKey: new Uint8Array(32).fill(1), epoch: 5, name: "device 1" }]
  const took5 = { ...emptyAccountList, epoch: 5, revoked }
  for (const lists of [
    [let9, took5],
    [took5, let9],
  ]) {
    const joined = await joinAccountLists(nodeCrypto, lists)
    assert.deepEqual(joined.grants, [camera])
    assert.ok(joined.epoch > 9, "places that have a record of epoch 9, with the stolen device, take no other of it")
    assert.equal((await joinAccountLists(nodeCrypto, [joined, ...lists])).epoch, joined.epoch)
  }
})

test("a list that could not be read again is not written", () => {
  const cap = encodeCap({ kind: "dw", seed: new Uint8Array(32).fill(1) })
  for (const name of ["a".repeat(65), "", "x\0y", "-a", "a b"])
    assert.throws(
      () => encodeAccountList({ ...emptyAccountList, roots: new Map([[name, { cap }]]) }),
      { code: "ERR_INVALID_ARGUMENT" },
      JSON.stringify(name),
    )
})
