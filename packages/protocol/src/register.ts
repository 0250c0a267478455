/**
 * The signed value of a register. Specification: docs/formats/register.md.
 * Servers check form, signature and sequence; what it says is encrypted: `sealed` for holders of the read key, `care`
 * (which chunks the content needs) for those of the verify key.
 */
import {
  type CryptoProvider,
  concat,
  decodeCbor,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  hashSmall,
  limits,
} from "@holdfast/core"
import type { RegisterId } from "./backend.ts"

/** A register value taken apart. */
export interface RegisterValue {
  /** Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 1 for the first value. */
  readonly sequence: number
  /** Hash of the value it follows; 32 zero bytes for the first. */
  readonly previous: Uint8Array
  /** Salt and AEAD ciphertext: opaque here. */
  readonly sealed: Uint8Array
  /** Salt and AEAD ciphertext of what a verify capability opens: opaque here. */
  readonly care: Uint8Array
  /** Ed25519 signature, 64 bytes. */
  readonly signature: Uint8Array
}

const registerIdDomain = "holdfast/register-id/1"
const valueDomain = "holdfast/register-value/1"
const hashDomain = "holdfast/register-hash/1"

/** The id of the register that `publicKey` signs. */
export function registerIdOf(publicKey: Uint8Array): RegisterId {
  return hashSmall(registerIdDomain, publicKey)
}

/** Hash by which the next value refers to this one. */
export function registerHashOf(encoded: Uint8Array): Uint8Array {
  return hashSmall(hashDomain, encoded)
}

/** Signs the next value of a register. */
export async function signRegisterValue(
  crypto: CryptoProvider,
  seed: Uint8Array,
  value: Omit<RegisterValue, "signature" | "publicKey">,
): Promise<Uint8Array> {
  const publicKey = await crypto.publicKeyOf(seed)
  const signature = await crypto.sign(seed, signedBytes({ ...value, publicKey }))
  return encodeValue({ ...value, publicKey, signature })
}

/** Decodes a value and verifies its signature. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export async function decodeRegisterValue(crypto: CryptoProvider, bytes: Uint8Array): Promise<RegisterValue> {
  if (bytes.length > limits.registerValueBytes)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A register value of ${bytes.length} bytes is over the limit of ${limits.registerValueBytes}.`,
    )
  const fields = new FieldReader(decodeCbor(bytes, "register value"), "register value")
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Register value version ${version} needs a newer Holdfast.`, {
      version,
    })
  const value: RegisterValue = {
    publicKey: fields.bytes(32),
    sequence: fields.integer(1),
    previous: fields.bytes(32),
    sealed: fields.bytes(undefined, limits.registerContentBytes + 48),
    care: fields.bytes(undefined, limits.registerCareBytes + 48),
    signature: fields.bytes(64),
  }
  fields.end()
  if (!(await crypto.verify(value.publicKey, signedBytes(value), value.signature)))
    throw new HoldfastError("ERR_CORRUPT", "A register value has a wrong signature.")
  return value
}

function encodeValue({ publicKey, sequence, previous, sealed, care, signature }: RegisterValue): Uint8Array {
  return encodeCbor([1, publicKey, sequence, previous, sealed, care, signature])
}

function signedBytes(value: Omit<RegisterValue, "signature">): Uint8Array {
  const body = encodeCbor([1, value.publicKey, value.sequence, value.previous, value.sealed, value.care])
  return concat(domainPrefix(valueDomain), body)
}
