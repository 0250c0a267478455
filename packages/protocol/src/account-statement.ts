/**
 * What the administrator of a tenant says of its accounts: that one is dropped, or kept after all; and asks: which there are.
 * Specification: docs/formats/account.md. A place counts the grace of a drop from when it first heard of it.
 */
import {
  type CborValue,
  type CryptoProvider,
  concat,
  decodeCbor,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  limits,
} from "@holdfast/core"
import type { AccountId } from "./ids.ts"

/** An administrator's word on an account. */
export interface AccountStatement {
  /** The tenant's administration key, 32 bytes. */
  readonly administrator: Uint8Array
  readonly tenant: string
  readonly account: AccountId
  /** Of two statements on one account the one with the higher serial holds. */
  readonly serial: number
  readonly drops: boolean
}

/** An administrator's question which accounts a tenant has at a place. */
export interface AccountsRequest {
  readonly administrator: Uint8Array
  readonly tenant: string
  readonly place: string
  /** From the place, so that no request is answered that was asked earlier. */
  readonly token: Uint8Array
  readonly after?: AccountId
  readonly limit: number
}

/** An account as a tenant's administrator sees it at one place. */
export interface AccountInfo {
  readonly account: AccountId
  /** What it is charged. */
  readonly bytes: number
  readonly shares: number
  /** Days from 1970-01-01 to when one of its devices was last here; 0 when never since there are accounts. */
  readonly seenDay: number
  /** Names of its devices, as far as its record is known. */
  readonly devices: readonly string[]
  /** When what it holds is taken away, ms since the epoch by the place's clock; absent unless it is dropped. */
  readonly droppedAtMs?: number
}

/** Most bytes of a statement or of a request. */
export const statementBytes = 1024
const statementDomain = "holdfast/account-statement/1"
const requestDomain = "holdfast/accounts-request/1"

/** Signs a statement with the seed of the administration key. */
export function signStatement(
  crypto: CryptoProvider,
  seed: Uint8Array,
  { tenant, account, serial, drops }: Omit<AccountStatement, "administrator">,
): Promise<Uint8Array> {
  return sign(crypto, seed, statementDomain, [tenant, account, serial, drops])
}

/** Decodes a statement and verifies its signature. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export async function decodeStatement(crypto: CryptoProvider, bytes: Uint8Array): Promise<AccountStatement> {
  const { fields, finish } = open(crypto, bytes, statementDomain, "account statement")
  const statement = {
    administrator: fields.bytes(32),
    tenant: fields.text(64),
    account: fields.bytes(32),
    serial: fields.integer(1),
  }
  const drops = fields.any()
  if (typeof drops !== "boolean")
    throw new HoldfastError("ERR_BAD_FORMAT", "account statement is damaged: expected true or false.")
  await finish(statement.administrator)
  return { ...statement, drops }
}

/** Signs a request with the seed of the administration key. */
export function signAccountsRequest(
  crypto: CryptoProvider,
  seed: Uint8Array,
  { tenant, place, token, after, limit }: Omit<AccountsRequest, "administrator">,
): Promise<Uint8Array> {
  return sign(crypto, seed, requestDomain, [tenant, place, token, after ?? null, limit])
}

/** Decodes a request and verifies its signature. Throws as decodeStatement does. */
export async function decodeAccountsRequest(crypto: CryptoProvider, bytes: Uint8Array): Promise<AccountsRequest> {
  const { fields, finish } = open(crypto, bytes, requestDomain, "request for accounts")
  const request = {
    administrator: fields.bytes(32),
    tenant: fields.text(64),
    place: fields.text(256),
    token: fields.bytes(undefined, 64),
  }
  const after = fields.any()
  const limit = fields.integer(1, limits.requestItems)
  if (after !== null && !(after instanceof Uint8Array && after.length === 32))
    throw new HoldfastError("ERR_BAD_FORMAT", "request for accounts is damaged: expected null or an account.")
  await finish(request.administrator)
  return { ...request, ...(after && { after }), limit }
}

/** Accounts: [id, bytes, shares, day seen, names, null or when it goes]. */
export function encodeAccounts(accounts: readonly AccountInfo[]): Uint8Array {
  return encodeCbor(
    accounts.map(({ account, bytes, shares, seenDay, devices, droppedAtMs }) => [
      account,
      bytes,
      shares,
      seenDay,
      devices,
      droppedAtMs ?? null,
    ]),
  )
}

/** Inverse of encodeAccounts. */
export function decodeAccounts(encoded: Uint8Array): AccountInfo[] {
  const list = decodeCbor(encoded, "accounts")
  if (!Array.isArray(list) || list.length > limits.requestItems)
    throw new HoldfastError("ERR_BAD_FORMAT", "accounts are damaged: expected a list.")
  return list.map((item) => {
    const fields = new FieldReader(item, "account")
    const info = {
      account: fields.bytes(32),
      bytes: fields.integer(),
      shares: fields.integer(),
      seenDay: fields.integer(),
      devices: namesIn(fields.array(256)),
    }
    const droppedAtMs = fields.any()
    fields.end()
    if (droppedAtMs === null) return info
    if (typeof droppedAtMs !== "number")
      throw new HoldfastError("ERR_BAD_FORMAT", "account is damaged: expected a time.")
    return { ...info, droppedAtMs }
  })
}

function namesIn(names: readonly CborValue[]): string[] {
  return names.map((name) => {
    if (typeof name === "string" && name.length <= 64) return name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?") // may go to a terminal
    throw new HoldfastError("ERR_BAD_FORMAT", "account is damaged: expected names.")
  })
}

async function sign(crypto: CryptoProvider, seed: Uint8Array, domain: string, rest: readonly CborValue[]) {
  const fields = [1, await crypto.publicKeyOf(seed), ...rest]
  return encodeCbor([...fields, await crypto.sign(seed, concat(domainPrefix(domain), encodeCbor(fields)))])
}

function open(crypto: CryptoProvider, bytes: Uint8Array, domain: string, what: string) {
  if (bytes.length > statementBytes)
    throw new HoldfastError("ERR_LIMIT", `The ${what} of ${bytes.length} bytes is over the limit of ${statementBytes}.`)
  const decoded = decodeCbor(bytes, what)
  const fields = new FieldReader(decoded, what)
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `The ${what} has version ${version}: it needs a newer Holdfast.`)
  const finish = async (publicKey: Uint8Array) => {
    const signature = fields.bytes(64)
    fields.end()
    const signed = concat(domainPrefix(domain), encodeCbor((decoded as readonly CborValue[]).slice(0, -1)))
    if (await crypto.verify(publicKey, signed, signature)) return
    throw new HoldfastError("ERR_CORRUPT", `The ${what} has a wrong signature.`)
  }
  return { fields, finish }
}

/** Throws ERR_REFUSED unless `signed` is by the administrator of the tenant that it is of. */
export function checkAdministrator(
  signed: Pick<AccountStatement, "administrator" | "tenant">,
  known: { readonly administrator: Uint8Array | undefined; readonly tenant: string },
): void {
  if (!known.administrator)
    throw new HoldfastError("ERR_REFUSED", `This place knows no administrator of tenant ${known.tenant}.`)
  if (signed.tenant !== known.tenant || !equal(signed.administrator, known.administrator))
    throw new HoldfastError("ERR_REFUSED", `This is not signed by the administrator of tenant ${known.tenant}.`)
}
