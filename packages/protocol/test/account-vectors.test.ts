import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fromHex, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  accountIdOf,
  checkUnmark,
  decodeGrant,
  decodeRecord,
  decodeStatement,
  decodeUnmark,
  encodeUnmark,
  signGrant,
  signRecord,
  signStatement,
  signUnmark,
  unmarkBytes,
} from "@holdfast/protocol"
import type { AccountVectors } from "@holdfast/protocol/vectors"

const path = new URL("../../../interop/vectors/account.json", import.meta.url)
const vectors = JSON.parse(readFileSync(path, "utf8")) as AccountVectors
type Good = AccountVectors["good"][number]

/** What a vector's bytes say, and the same signed again. */
const readers: Record<
  Good["kind"],
  (bytes: Uint8Array, vector: Good) => Promise<{ fields: Good["fields"]; again: Uint8Array }>
> = {
  async grant(bytes, { seed }) {
    const grant = await decodeGrant(crypto, bytes)
    const fields = {
      epoch: grant.epoch,
      deviceKey: toHex(grant.deviceKey),
      roles: grant.roles.join(" "),
      deviceName: grant.name,
    }
    return { fields, again: await signGrant(crypto, fromHex(seed), grant) }
  },
  async record(bytes, { seed }) {
    const record = await decodeRecord(crypto, bytes)
    const again = await signRecord(crypto, fromHex(seed), record)
    return { fields: { epoch: record.epoch, grants: record.devices.length }, again }
  },
  async unmark(bytes, { seed, account }) {
    const order = decodeUnmark(bytes)
    const { place, graceMs, chunks, registers, trims } = order
    await checkUnmark(crypto, order, { account: fromHex(account), place: "n1" })
    const counts = { chunks: chunks.length, registers: registers.length, trims: trims.length }
    const again = await signUnmark(crypto, fromHex(seed), order)
    return { fields: { place, graceMs, ...counts, signed: toHex(unmarkBytes(order)) }, again: encodeUnmark(again) }
  },
  async statement(bytes, { seed }) {
    const { tenant, account, serial, drops } = await decodeStatement(crypto, bytes)
    const again = await signStatement(crypto, fromHex(seed), { tenant, account, serial, drops })
    return { fields: { tenant, about: toHex(account), serial, drops: String(drops) }, again }
  },
}

test("grants, records, orders and statements agree with the frozen vectors", async () => {
  assert.ok(vectors.good.length >= 9)
  for (const vector of vectors.good) {
    const { fields, again } = await readers[vector.kind](fromHex(vector.bytes), vector)
    assert.deepEqual(fields, vector.fields, vector.name)
    assert.equal(toHex(again), vector.bytes, `${vector.name}: signed again`)
    assert.equal(toHex(accountIdOf(fromHex(vector.publicKey))), vector.account, vector.name)
  }
})

test("damaged grants, records and statements are refused as the frozen vectors say", async () => {
  assert.ok(vectors.bad.length >= 20)
  for (const vector of vectors.bad) {
    const { kind, bytes, error, name } = vector
    await assert.rejects(readers[kind](fromHex(bytes), vectors.good[0]!), { code: error }, name)
  }
})
