/** interop/vectors/account.json: grants, records, orders to unmark and statements about accounts. */
import { type CryptoProvider, fromHex, isHoldfastError, toHex } from "@holdfast/core"
import { accountIdOf, checkUnmark, signUnmark, unmarkBytes } from "../account.ts"
import { decodeGrant, decodeRecord, signGrant, signRecord } from "../account-grant.ts"
import { decodeStatement, signStatement } from "../account-statement.ts"
import { decodeUnmark, encodeUnmark } from "../wire-marks.ts"

/** Bytes are hexadecimal. */
export interface AccountVectors {
  readonly good: readonly {
    readonly name: string
    readonly kind: "grant" | "record" | "unmark" | "statement"
    /** Of the key that signs. */
    readonly seed: string
    readonly publicKey: string
    /** The account of that key. */
    readonly account: string
    readonly fields: Readonly<Record<string, string | number>>
    readonly bytes: string
  }[]
  readonly bad: readonly {
    readonly name: string
    readonly kind: "grant" | "record" | "unmark" | "statement"
    readonly bytes: string
    readonly error: string
  }[]
}

type Good = AccountVectors["good"][number]

/** Throws unless every vector is read, signed again and refused as it says. */
export async function checkAccountVectors(crypto: CryptoProvider, vectors: AccountVectors): Promise<void> {
  for (const vector of vectors.good) {
    const { fields, again } = await readers[vector.kind](crypto, fromHex(vector.bytes), vector)
    for (const [field, value] of Object.entries(vector.fields)) same(fields[field], value, `${vector.name}: ${field}`)
    same(Object.keys(fields).length, Object.keys(vector.fields).length, `${vector.name}: fields`)
    same(toHex(again), vector.bytes, `${vector.name}: signed again`)
    same(toHex(accountIdOf(fromHex(vector.publicKey))), vector.account, `${vector.name}: account`)
  }
  for (const { name, kind, bytes, error } of vectors.bad) {
    let found = "taken for good"
    try {
      await readers[kind](crypto, fromHex(bytes), vectors.good[0]!)
    } catch (cause) {
      if (!isHoldfastError(cause)) throw cause
      found = cause.code
    }
    same(found, error, name)
  }
}

/** What a vector's bytes say, and the same signed again. */
const readers: Record<
  Good["kind"],
  (crypto: CryptoProvider, bytes: Uint8Array, vector: Good) => Promise<{ fields: Good["fields"]; again: Uint8Array }>
> = {
  async grant(crypto, bytes, { seed }) {
    const grant = await decodeGrant(crypto, bytes)
    const fields = {
      epoch: grant.epoch,
      deviceKey: toHex(grant.deviceKey),
      roles: grant.roles.join(" "),
      deviceName: grant.name,
    }
    return { fields, again: await signGrant(crypto, fromHex(seed), grant) }
  },
  async record(crypto, bytes, { seed }) {
    const record = await decodeRecord(crypto, bytes)
    const again = await signRecord(crypto, fromHex(seed), record)
    return { fields: { epoch: record.epoch, grants: record.devices.length }, again }
  },
  async unmark(crypto, bytes, { seed, account }) {
    const order = decodeUnmark(bytes)
    const { place, graceMs, chunks, registers, trims } = order
    await checkUnmark(crypto, order, { account: fromHex(account), place: "n1" })
    const counts = { chunks: chunks.length, registers: registers.length, trims: trims.length }
    const again = await signUnmark(crypto, fromHex(seed), order)
    return { fields: { place, graceMs, ...counts, signed: toHex(unmarkBytes(order)) }, again: encodeUnmark(again) }
  },
  async statement(crypto, bytes, { seed }) {
    const { tenant, account, serial, drops } = await decodeStatement(crypto, bytes)
    const again = await signStatement(crypto, fromHex(seed), { tenant, account, serial, drops })
    return { fields: { tenant, about: toHex(account), serial, drops: String(drops) }, again }
  },
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`vector ${what}: got ${actual} instead of ${expected}`)
}
