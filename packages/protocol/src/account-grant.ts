/**
 * What an account says of its devices: a grant for each, and a record of all that hold. Specification: docs/formats/account.md.
 * A device shows its grant to every place; a place keeps the record of the highest epoch, and who is left out of it is revoked.
 */
import {
  type CborValue,
  type CryptoProvider,
  compare,
  concat,
  decodeCbor,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
} from "@holdfast/core"
import { type AccountRole, accountIdOf, accountRoles } from "./account.ts"
import type { AccountId } from "./ids.ts"

/** An account's word that the holder of a certificate key may act for it. */
export interface AccountGrant {
  /** The account's collect key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** Of the first record that lists it. */
  readonly epoch: number
  /** SHA-256 of the SubjectPublicKeyInfo (DER) of the device's certificate key: 32 bytes. */
  readonly deviceKey: Uint8Array
  readonly roles: readonly AccountRole[]
  /** The device's name, for people: 1 to 64 printable characters. */
  readonly name: string
}

/** An account's word which devices it has. */
export interface AccountRecord {
  readonly publicKey: Uint8Array
  /** Grows by one with every change. */
  readonly epoch: number
  /** Encoded grants of every device, ordered by their device keys. */
  readonly grants: readonly Uint8Array[]
}

/** Most devices of an account. */
export const maxDevices = 256
/** Most bytes of an encoded grant. */
export const grantBytes = 512
/** Most bytes of an encoded record. */
export const recordBytes = maxDevices * (grantBytes + 4) + 256

const grantDomain = "holdfast/account-grant/1"
const recordDomain = "holdfast/account-record/1"
/** No control characters, no line separators, nothing that turns the direction of writing. */
const namePattern = /^[^\p{Cc}\p{Bidi_Control}\u2028\u2029]{1,64}$/u

/** Signs a grant with the seed of the account's collect key. Throws ERR_INVALID_ARGUMENT for a name that is none. */
export async function signGrant(
  crypto: CryptoProvider,
  seed: Uint8Array,
  { epoch, deviceKey, roles, name }: Omit<AccountGrant, "publicKey">,
): Promise<Uint8Array> {
  if (!namePattern.test(name))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "A device's name has 1 to 64 printable characters.")
  const fields = [1, await crypto.publicKeyOf(seed), epoch, deviceKey, roleBits(roles), name]
  return encodeCbor([...fields, await crypto.sign(seed, signedBytes(grantDomain, fields))])
}

/** Decodes a grant and verifies its signature. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export async function decodeGrant(crypto: CryptoProvider, bytes: Uint8Array): Promise<AccountGrant> {
  const { decoded, fields } = open(bytes, "account grant", grantBytes)
  const grant = {
    publicKey: fields.bytes(32),
    epoch: fields.integer(1),
    deviceKey: fields.bytes(32),
    roles: rolesOfBits(fields.integer(1, 2 ** accountRoles.length - 1)),
    name: fields.text(64),
  }
  if (!namePattern.test(grant.name))
    throw new HoldfastError("ERR_BAD_FORMAT", "account grant is damaged: its name cannot be shown.")
  await checkSignature(crypto, grantDomain, { decoded, fields, publicKey: grant.publicKey, what: "account grant" })
  return grant
}

/** Signs the record of an account's devices; sorts their grants. */
export async function signRecord(
  crypto: CryptoProvider,
  seed: Uint8Array,
  { epoch, grants }: Omit<AccountRecord, "publicKey">,
): Promise<Uint8Array> {
  const decoded = await Promise.all(grants.map(async (bytes) => ({ bytes, ...(await decodeGrant(crypto, bytes)) })))
  const sorted = decoded.toSorted((a, b) => compare(a.deviceKey, b.deviceKey)).map(({ bytes }) => bytes)
  const fields = [1, await crypto.publicKeyOf(seed), epoch, sorted]
  return encodeCbor([...fields, await crypto.sign(seed, signedBytes(recordDomain, fields))])
}

/** Decodes a record, verifies its signature and that of every grant. Throws as decodeGrant does. */
export async function decodeRecord(
  crypto: CryptoProvider,
  bytes: Uint8Array,
): Promise<AccountRecord & { readonly devices: readonly AccountGrant[] }> {
  const { decoded, fields } = open(bytes, "account record", recordBytes)
  const record = {
    publicKey: fields.bytes(32),
    epoch: fields.integer(1),
    grants: fields.array(maxDevices).map((grant) => {
      if (grant instanceof Uint8Array) return grant
      throw new HoldfastError("ERR_BAD_FORMAT", "account record is damaged: expected grants.")
    }),
  }
  await checkSignature(crypto, recordDomain, { decoded, fields, publicKey: record.publicKey, what: "account record" })
  const devices = await Promise.all(record.grants.map((grant) => decodeGrant(crypto, grant)))
  const good = devices.every(
    ({ publicKey, epoch, deviceKey }, i) =>
      equal(publicKey, record.publicKey) &&
      epoch <= record.epoch &&
      (i === 0 || compare(devices[i - 1]!.deviceKey, deviceKey) < 0),
  )
  if (good) return { ...record, devices }
  throw new HoldfastError("ERR_BAD_FORMAT", "account record is damaged: its grants are not its own, or not in order.")
}

/** Whether a grant holds beside the newest record known of its account: it is listed there, or younger. */
export function grantHolds(
  grant: AccountGrant,
  record: Pick<AccountRecord, "epoch" | "grants"> | undefined,
  encoded: Uint8Array,
): boolean {
  return record === undefined || grant.epoch > record.epoch || record.grants.some((listed) => equal(listed, encoded))
}

/** The account that a grant or a record is of. */
export function accountOf({ publicKey }: Pick<AccountGrant, "publicKey">): AccountId {
  return accountIdOf(publicKey)
}

function roleBits(roles: readonly AccountRole[]): number {
  return accountRoles.reduce((bits, role, i) => (roles.includes(role) ? bits | (1 << i) : bits), 0)
}

function rolesOfBits(bits: number): AccountRole[] {
  return accountRoles.filter((_, i) => bits & (1 << i))
}

function open(bytes: Uint8Array, what: string, most: number) {
  if (bytes.length > most)
    throw new HoldfastError("ERR_LIMIT", `An ${what} of ${bytes.length} bytes is over the limit of ${most}.`)
  const decoded = decodeCbor(bytes, what)
  const fields = new FieldReader(decoded, what)
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `An ${what} of version ${version} needs a newer Holdfast.`, {
      version,
    })
  return { decoded: decoded as readonly CborValue[], fields }
}

async function checkSignature(
  crypto: CryptoProvider,
  domain: string,
  signed: { decoded: readonly CborValue[]; fields: FieldReader; publicKey: Uint8Array; what: string },
): Promise<void> {
  const signature = signed.fields.bytes(64)
  signed.fields.end()
  if (!(await crypto.verify(signed.publicKey, signedBytes(domain, signed.decoded.slice(0, -1)), signature)))
    throw new HoldfastError("ERR_CORRUPT", `An ${signed.what} has a wrong signature.`)
}

function signedBytes(domain: string, fields: readonly CborValue[]): Uint8Array {
  return concat(domainPrefix(domain), encodeCbor([...fields]))
}
