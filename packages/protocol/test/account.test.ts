import assert from "node:assert/strict"
import { it } from "node:test"
import { type CborValue, concat, domainPrefix, encodeCbor, HoldfastError, hashSmall } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  accountOf,
  checkUnmark,
  decodeGrant,
  decodeRecord,
  grantHolds,
  signGrant,
  signRecord,
  signUnmark,
  unmarkBytes,
} from "../src/index.ts"
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

it("refuses a grant or a record that is too long, of another version, or has what no account signs", async () => {
  const { seed } = await makeAccount(crypto)
  const publicKey = await crypto.publicKeyOf(seed)
  const signed = async (domain: string, fields: CborValue[]) => {
    const message = concat(domainPrefix(`holdfast/account-${domain}/1`), encodeCbor(fields))
    return encodeCbor([...fields, await crypto.sign(seed, message)])
  }
  const deviceKey = crypto.random(32)
  const grant: CborValue[] = [1, publicKey, 1, deviceKey, 3, "laptop"]
  const good = await signed("grant", grant)
  assert.deepEqual((await decodeGrant(crypto, good)).roles, ["read", "append"])
  const bad: [CborValue[], string][] = [
    [grant.with(0, 2), "ERR_UNSUPPORTED_VERSION"],
    [grant.with(2, 0), "ERR_BAD_FORMAT"],
    [grant.with(3, deviceKey.subarray(1)), "ERR_BAD_FORMAT"],
    [grant.with(4, 0), "ERR_BAD_FORMAT"],
    [grant.with(4, 16), "ERR_BAD_FORMAT"],
    [grant.with(5, "a\nb"), "ERR_BAD_FORMAT"],
    [grant.with(5, ""), "ERR_BAD_FORMAT"],
    [grant.with(5, "a".repeat(600)), "ERR_LIMIT"],
    [[...grant, 0], "ERR_BAD_FORMAT"],
  ]
  for (const [fields, code] of bad) await assert.rejects(decodeGrant(crypto, await signed("grant", fields)), { code })
  await assert.rejects(decodeGrant(crypto, await signed("record", grant)), { code: "ERR_CORRUPT" })
  const record: CborValue[] = [1, publicKey, 1, [good]]
  assert.equal((await decodeRecord(crypto, await signed("record", record))).devices.length, 1)
  const worse: [CborValue[], string][] = [
    [record.with(0, 2), "ERR_UNSUPPORTED_VERSION"],
    [record.with(2, 0), "ERR_BAD_FORMAT"],
    [record.with(3, ["text"]), "ERR_BAD_FORMAT"],
    [record.with(3, [new Uint8Array(200_000)]), "ERR_LIMIT"],
    [
      record.with(
        3,
        Array.from({ length: 257 }, () => new Uint8Array(1)),
      ),
      "ERR_BAD_FORMAT",
    ],
  ]
  for (const [fields, code] of worse)
    await assert.rejects(decodeRecord(crypto, await signed("record", fields)), { code })
  await assert.rejects(decodeRecord(crypto, await signed("grant", record)), { code: "ERR_CORRUPT" })
})

it("an order to unmark is for one place, of one account, in order, and as it was signed to the last field", async () => {
  const { seed, account } = await makeAccount(crypto)
  const [a, b] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  const made = { token: crypto.random(24), graceMs: 5, chunks: [b, a], registers: [b, a] }
  const trims = [b, a].map((register) => ({ register, below: 3 }))
  const order = await signUnmark(crypto, seed, { place: "n1", ...made, trims })
  const check = (change: Partial<typeof order> = {}, of = { account, place: "n1" }) =>
    checkUnmark(crypto, { ...order, ...change }, of)
  await check()
  const refused = { code: "ERR_REFUSED" }
  const other = await makeAccount(crypto)
  await assert.rejects(check({}, { account: other.account, place: "n1" }), refused)
  await assert.rejects(check({}, { account, place: "n2" }), refused)
  const changes: Partial<typeof order>[] = [
    { token: crypto.random(24) },
    { graceMs: 4 },
    { chunks: [a] },
    { chunks: [a, a] },
    { chunks: [b, a] },
    { chunks: [] },
    { registers: [a] },
    { registers: [] },
    { registers: [b, a] },
    { trims: [] },
    { trims: order.trims.toReversed() },
    { trims: order.trims.map((trim) => ({ ...trim, below: 4 })) },
    { signature: new Uint8Array(64) },
  ]
  for (const change of changes) await assert.rejects(check(change), refused)
  await assert.rejects(check({ place: "n2" }, { account, place: "n2" }), refused)
  const theirs = { publicKey: await crypto.publicKeyOf(other.seed) }
  await assert.rejects(check(theirs, { account: other.account, place: "n1" }), refused)
  // Signed, but its lists are not in order: a place takes each list at one pass.
  for (const lists of [{ chunks: [b, a] }, { registers: [b, b] }, { trims: order.trims.toReversed() }]) {
    const { signature: _, ...rest } = { ...order, ...lists }
    const again = { ...rest, signature: await crypto.sign(seed, unmarkBytes(rest)) }
    await assert.rejects(checkUnmark(crypto, again, { account, place: "n1" }), refused)
  }
})

it("what is signed of an order names each of its fields", async () => {
  const order = { publicKey: new Uint8Array(32).fill(1), place: "n1", token: new Uint8Array(24).fill(2), graceMs: 5 }
  const [chunk, register] = [new Uint8Array(32).fill(3), new Uint8Array(32).fill(4)]
  const lists = encodeCbor([chunk, register, [[register, 9]]])
  const fields = [order.publicKey, "n1", order.token, 5, hashSmall("holdfast/unmark-list/1", lists)]
  assert.deepEqual(
    unmarkBytes({ ...order, chunks: [chunk], registers: [register], trims: [{ register, below: 9 }] }),
    concat(domainPrefix("holdfast/unmark/1"), encodeCbor(fields)),
  )
})
