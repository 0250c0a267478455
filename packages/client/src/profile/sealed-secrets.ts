/**
 * A profile's secrets under a passphrase: argon2id makes a key of it, AES-256-GCM seals. A checksum over the whole tells
 * damage from a wrong passphrase. Specification: docs/formats/profile.md.
 */
import {
  type CryptoProvider,
  concat,
  deriveKey,
  domainPrefix,
  equal,
  HoldfastError,
  hashSmall,
  utf8,
} from "@holdfast/core"
import { isAffordablePassphrase, type PassphraseParameters } from "@holdfast/protocol"

/** The key of a passphrase. One sealing never uses the key of another. */
export interface PassphraseKey {
  readonly parameters: PassphraseParameters
  /** 32 bytes. */
  readonly master: Uint8Array
}

/** The decoded form, not opened yet. */
export interface SealedSecrets {
  readonly parameters: PassphraseParameters
  readonly header: Uint8Array
  readonly sealSalt: Uint8Array
  readonly sealed: Uint8Array
}

const magic = utf8("holdfast-profile")
const version = 1
const argon2idMark = 1
const saltBytes = 16
const sealSaltBytes = 32
const checksumBytes = 32
const tagBytes = 16
/** Magic, version, kind of key derivation, memory, passes, lanes, both salts. */
const headerBytes = magic.length + 1 + 1 + 4 + 1 + 1 + saltBytes + sealSaltBytes
const keyLabel = "holdfast/profile-lock/1"
const checksumLabel = "holdfast/profile-checksum/1"
const zeroNonce = new Uint8Array(12)

const mostFileBytes = 16 * 1024 * 1024

/** What new locks use: 64 MiB, 3 passes, 1 lane, and a fresh salt. */
export function newParameters(crypto: CryptoProvider): PassphraseParameters {
  return { memoryKiB: 64 * 1024, passes: 3, lanes: 1, salt: crypto.random(saltBytes) }
}

/** The key of `passphrase`. Takes a good part of a second, on purpose. */
export async function keyOfPassphrase(passphrase: string, parameters: PassphraseParameters): Promise<PassphraseKey> {
  const { argon2id } = await import("hash-wasm")
  const master = await argon2id({
    password: utf8(passphrase.normalize("NFC")),
    salt: parameters.salt,
    memorySize: parameters.memoryKiB,
    iterations: parameters.passes,
    parallelism: parameters.lanes,
    hashLength: 32,
    outputType: "binary",
  })
  return { parameters, master }
}

/** Seals `plaintext` under a key derived for this one time. */
export async function sealSecrets(
  crypto: CryptoProvider,
  { parameters, master }: PassphraseKey,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const sealSalt = crypto.random(sealSaltBytes)
  const numbers = new Uint8Array(8)
  const view = new DataView(numbers.buffer)
  view.setUint8(0, version)
  view.setUint8(1, argon2idMark)
  view.setUint32(2, parameters.memoryKiB)
  view.setUint8(6, parameters.passes)
  view.setUint8(7, parameters.lanes)
  const header = concat(magic, numbers, parameters.salt, sealSalt)
  const key = deriveKey(master, keyLabel, sealSalt)
  const body = concat(header, await crypto.seal(key, zeroNonce, plaintext, concat(domainPrefix(keyLabel), header)))
  return concat(body, hashSmall(checksumLabel, body))
}

/** Reads the form. Throws ERR_BAD_FORMAT when it is damaged, ERR_UNSUPPORTED_VERSION, ERR_LIMIT. */
export function decodeSealed(bytes: Uint8Array): SealedSecrets {
  if (bytes.length > mostFileBytes) throw new HoldfastError("ERR_LIMIT", `It has ${bytes.length} bytes, far too many.`)
  if (bytes.length < headerBytes + tagBytes + checksumBytes || !equal(bytes.subarray(0, magic.length), magic))
    throw new HoldfastError("ERR_BAD_FORMAT", "It is not a locked profile, or was cut short.")
  const view = new DataView(bytes.buffer, bytes.byteOffset + magic.length)
  if (view.getUint8(0) !== version)
    throw new HoldfastError(
      "ERR_UNSUPPORTED_VERSION",
      `It is a locked profile of version ${view.getUint8(0)}, which this Holdfast does not know. Use a newer one.`,
    )
  const end = bytes.length - checksumBytes
  if (!equal(hashSmall(checksumLabel, bytes.subarray(0, end)), bytes.subarray(end)))
    throw new HoldfastError("ERR_BAD_FORMAT", "Its checksum does not match: it is damaged.")
  const [memoryKiB, passes, lanes] = [view.getUint32(2), view.getUint8(6), view.getUint8(7)]
  if (view.getUint8(1) !== argon2idMark || !isAffordablePassphrase({ memoryKiB, passes, lanes }))
    throw new HoldfastError("ERR_LIMIT", "It asks for more memory or time than a locked profile may.")
  const saltStart = magic.length + 8
  return {
    parameters: { memoryKiB, passes, lanes, salt: bytes.slice(saltStart, saltStart + saltBytes) },
    header: bytes.slice(0, headerBytes),
    sealSalt: bytes.slice(saltStart + saltBytes, headerBytes),
    sealed: bytes.slice(headerBytes, end),
  }
}

/** The plaintext. Throws ERR_WRONG_PASSPHRASE. */
export async function openSealed(
  crypto: CryptoProvider,
  { header, sealSalt, sealed }: SealedSecrets,
  { master }: PassphraseKey,
): Promise<Uint8Array> {
  const key = deriveKey(master, keyLabel, sealSalt)
  const plaintext = await crypto.open(key, zeroNonce, sealed, concat(domainPrefix(keyLabel), header))
  if (!plaintext)
    throw new HoldfastError("ERR_WRONG_PASSPHRASE", "That is not the passphrase of this profile. Try again.")
  return plaintext
}
