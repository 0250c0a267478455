import assert from "node:assert/strict"
import { it } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { accountOf, decodeGrant, decodeRecord, grantHolds, signGrant, signRecord } from "../src/index.ts"
import { makeAccount } from "../src/testing/index.ts"

const grantOf = (seed: Uint8Array, epoch: number, deviceKey = crypto.random(32)) =>
  signGrant(crypto, seed, { epoch, deviceKey, roles: ["read", "append"], name: "laptop" })

it("a grant and a record come back as they were signed, and every change of a byte is refused", async () => {
  const { seed, account } = await makeAccount(crypto)
  const grants = await Promise.all([1, 2].map((epoch) => grantOf(seed, epoch)))
  const record = await signRecord(crypto, seed, { epoch: 2, grants })
  const grant = await decodeGrant(crypto, grants[0]!)
  assert.deepEqual([grant.epoch, grant.roles, grant.name], [1, ["read", "append"], "laptop"])
  assert.deepEqual(accountOf(grant), account)
  const decoded = await decodeRecord(crypto, record)
  assert.deepEqual(decoded.devices.map(({ epoch }) => epoch).sort(), [1, 2])
  for (const [good, decode] of [
    [grants[0]!, decodeGrant],
    [record, decodeRecord],
  ] as const)
    for (let at = 0; at < good.length; at++) {
      const bad = Uint8Array.from(good)
      bad[at]! ^= 1 << (at % 8)
      await assert.rejects(decode(crypto, bad), HoldfastError)
    }
})

it("a record lists the grants of its own account alone, each device once, none of a later epoch", async () => {
  const [mine, other] = [await makeAccount(crypto), await makeAccount(crypto)]
  const deviceKey = crypto.random(32)
  const lists = {
    "another account's": [await grantOf(other.seed, 1)],
    "of a later epoch": [await grantOf(mine.seed, 3)],
    "of one device twice": [await grantOf(mine.seed, 1, deviceKey), await grantOf(mine.seed, 2, deviceKey)],
  }
  for (const [name, grants] of Object.entries(lists)) {
    const record = await signRecord(crypto, mine.seed, { epoch: 2, grants })
    await assert.rejects(decodeRecord(crypto, record), { code: "ERR_BAD_FORMAT" }, name)
  }
})

it("a grant that the newest record leaves out holds no longer, and one that is younger does", async () => {
  const { seed } = await makeAccount(crypto)
  const [kept, revoked, young] = await Promise.all([1, 1, 3].map((epoch) => grantOf(seed, epoch)))
  const record = await decodeRecord(crypto, await signRecord(crypto, seed, { epoch: 2, grants: [kept!] }))
  const holds = async (grant: Uint8Array) => grantHolds(await decodeGrant(crypto, grant), record, grant)
  assert.deepEqual(await Promise.all([kept!, revoked!, young!].map(holds)), [true, false, true])
  assert.equal(grantHolds(await decodeGrant(crypto, revoked!), undefined, revoked!), true)
})

it("refuses a device's name that cannot be shown", async () => {
  const { seed } = await makeAccount(crypto)
  for (const name of ["", "a".repeat(65), "\u001b]0;x\u0007", "a\u2028b"])
    await assert.rejects(signGrant(crypto, seed, { epoch: 1, deviceKey: crypto.random(32), roles: ["read"], name }), {
      code: "ERR_INVALID_ARGUMENT",
    })
})
