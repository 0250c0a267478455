/** Vectors of accounts: grants, records, orders to unmark and administrators' statements, and such as must be refused. */
import { type CborValue, concat, decodeCbor, domainPrefix, encodeCbor, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountRole,
  accountIdOf,
  accountRoles,
  encodeUnmark,
  signGrant,
  signRecord,
  signStatement,
  signUnmark,
  unmarkBytes,
} from "@holdfast/protocol"
import type { AccountVectors } from "@holdfast/protocol/vectors"

type Good = AccountVectors["good"][number]
type Bad = AccountVectors["bad"][number]

const bytesOf = (name: string) => hashSmall("vectors", utf8(name))
const seed = bytesOf("account seed")

/** Makes them; the same each time. */
export async function accountVectors(): Promise<AccountVectors> {
  const grants = [
    await grant("laptop", 1, accountRoles),
    await grant("Büro ☂", 7, ["read", "append"]),
    await grant("collector", 2 ** 40, ["collect"]),
  ]
  const good = [
    ...grants,
    await record("without devices", 1, []),
    await record("of three devices", 2 ** 40, grants),
    await order("for nothing", 0, 0),
    await order("for chunks, registers and kept values", 86_400_000, 3),
    await statement("dropped", 1, true),
    await statement("kept", 2, false),
  ]
  return { good, bad: await badVectors(good) }
}

async function common(name: string): Promise<Pick<Good, "name" | "seed" | "publicKey" | "account">> {
  const publicKey = await crypto.publicKeyOf(seed)
  return { name, seed: toHex(seed), publicKey: toHex(publicKey), account: toHex(accountIdOf(publicKey)) }
}

async function grant(name: string, epoch: number, roles: readonly AccountRole[]): Promise<Good> {
  const deviceKey = bytesOf(`device ${name}`)
  const bytes = await signGrant(crypto, seed, { epoch, deviceKey, roles, name })
  const fields = { epoch, deviceKey: toHex(deviceKey), roles: roles.join(" "), deviceName: name }
  return { ...(await common(`grant ${name}`)), kind: "grant", fields, bytes: toHex(bytes) }
}

async function record(name: string, epoch: number, grants: readonly Good[]): Promise<Good> {
  const bytes = await signRecord(crypto, seed, { epoch, grants: grants.map((one) => hexBytes(one.bytes)) })
  const fields = { epoch, grants: grants.length }
  return { ...(await common(`record ${name}`)), kind: "record", fields, bytes: toHex(bytes) }
}

async function order(name: string, graceMs: number, count: number): Promise<Good> {
  const ids = (what: string) => Array.from({ length: count }, (_, i) => bytesOf(`${what} ${i}`))
  const signed = await signUnmark(crypto, seed, {
    ...{
      place: "n1",
      token: concat(bytesOf("instance").subarray(0, 16), new Uint8Array([0, 0, 1, 160, 195, 246, 56, 0])),
    },
    ...{ graceMs, chunks: ids("chunk"), registers: ids("register") },
    trims: ids("trim").map((register, i) => ({ register, below: 5 * i + 1 })),
  })
  const fields = {
    place: "n1",
    graceMs,
    chunks: count,
    registers: count,
    trims: count,
    signed: toHex(unmarkBytes(signed)),
  }
  return { ...(await common(`order ${name}`)), kind: "unmark", fields, bytes: toHex(encodeUnmark(signed)) }
}

async function statement(name: string, serial: number, drops: boolean): Promise<Good> {
  const account = bytesOf("some account")
  const bytes = await signStatement(crypto, seed, { tenant: "acme", account, serial, drops })
  const fields = { tenant: "acme", about: toHex(account), serial, drops: String(drops) }
  return { ...(await common(`statement ${name}`)), kind: "statement", fields, bytes: toHex(bytes) }
}

async function badVectors(good: readonly Good[]): Promise<Bad[]> {
  const of = (kind: Good["kind"]) =>
    good.find((vector) => vector.kind === kind && vector.name !== "record without devices")!
  const bad: Bad[] = []
  const add = (kind: Good["kind"], name: string, error: Bad["error"], bytes: Uint8Array) =>
    bad.push({ kind, name: `${kind}: ${name}`, bytes: toHex(bytes), error })
  for (const kind of ["grant", "record", "statement"] as const) {
    const bytes = hexBytes(of(kind).bytes)
    const fields = decodeCbor(bytes, kind) as CborValue[]
    add(kind, "a changed signature", "ERR_CORRUPT", changedAt(bytes, bytes.length - 1))
    add(kind, "a changed key", "ERR_CORRUPT", changedAt(bytes, 10))
    add(kind, "cut short", "ERR_BAD_FORMAT", bytes.subarray(0, bytes.length - 1))
    add(kind, "a field too many", "ERR_BAD_FORMAT", encodeCbor([...fields, 0]))
    add(kind, "of version 2", "ERR_UNSUPPORTED_VERSION", encodeCbor([2, ...fields.slice(1)]))
  }
  const [key, device] = [await crypto.publicKeyOf(seed), bytesOf("device")]
  const domain = "holdfast/account-grant/1"
  const signed = async (label: string, ...rest: CborValue[]) => {
    const fields = [1, key, ...rest]
    return encodeCbor([...fields, await crypto.sign(seed, concat(domainPrefix(label), encodeCbor(fields)))])
  }
  add("grant", "without roles", "ERR_BAD_FORMAT", await signed(domain, 1, device, 0, "laptop"))
  add("grant", "with a role that there is not", "ERR_BAD_FORMAT", await signed(domain, 1, device, 16, "laptop"))
  add("grant", "of epoch 0", "ERR_BAD_FORMAT", await signed(domain, 0, device, 1, "laptop"))
  add("grant", "a name with a control character", "ERR_BAD_FORMAT", await signed(domain, 1, device, 1, "a\u001bb"))
  add("grant", "without a name", "ERR_BAD_FORMAT", await signed(domain, 1, device, 1, ""))
  add("grant", "signed as a record", "ERR_CORRUPT", await signed("holdfast/account-record/1", 1, device, 1, "laptop"))
  const [first, second] = good.filter(({ kind }) => kind === "grant").map((vector) => hexBytes(vector.bytes))
  const inOrder = (decodeCbor(hexBytes(of("record").bytes), "record") as CborValue[])[3] as CborValue[]
  const recordDomain = "holdfast/account-record/1"
  add("record", "grants out of order", "ERR_BAD_FORMAT", await signed(recordDomain, 2 ** 40, inOrder.toReversed()))
  add("record", "one device twice", "ERR_BAD_FORMAT", await signed(recordDomain, 7, [first!, first!]))
  add("record", "a grant of a later epoch", "ERR_BAD_FORMAT", await signed(recordDomain, 6, [second!]))
  return bad
}

function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "hex"))
}

function changedAt(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy
}
