/**
 * A recovery kit: a profile's secrets under a random key that is split over the places of a volume, so that a threshold
 * of them restores it. What each place holds, its part, has the whole body, and the body has a hash of each share: a part
 * that does not fit its kit is told at once, without trying combinations. Specification: docs/formats/recovery-kit.md.
 */
import {
  type CborValue,
  type CryptoProvider,
  concat,
  decodeCbor,
  deriveKey,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  hashSmall,
  limits,
  utf8,
} from "@holdfast/core"

/** How a passphrase becomes 32 bytes: argon2id. */
export interface PassphraseParameters {
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
  /** 16 bytes. */
  readonly salt: Uint8Array
}

/** What all parts of a kit have in common. */
export interface RecoveryBody {
  /** So many shares restore the key. */
  readonly threshold: number
  /** Hash of each share; there are as many shares as hashes. */
  readonly shareHashes: readonly Uint8Array[]
  /** Tells the right key from another. */
  readonly keyCheck: Uint8Array
  /** There when a passphrase is needed too. */
  readonly passphrase?: PassphraseParameters
  /** The secrets, encrypted and padded. */
  readonly sealed: Uint8Array
}

/** What one place holds of a kit. */
export interface RecoveryPart {
  /** Hash of the body: 32 bytes. Parts with one id belong together. */
  readonly kitId: Uint8Array
  readonly body: RecoveryBody
  readonly index: number
  /** 33 bytes: the share's value and its coordinate. */
  readonly share: Uint8Array
}

/** A key of 32 bytes makes shares of 33. */
const recoveryShareBytes = 33

const version = 1
const kitIdDomain = "holdfast/recovery-kit-id/1"
const shareDomain = "holdfast/recovery-share/1"
const registerDomain = "holdfast/recovery-register/1"
const checkLabel = "holdfast/recovery-check/1"
const keyLabel = "holdfast/recovery-kit/1"
const zeroNonce = new Uint8Array(12)
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Seed of the register in which each place keeps its part of the kit called `name`. Public: anybody can compute it. */
export function recoveryRegisterSeed(name: string): Uint8Array {
  if (!namePattern.test(name))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${name.slice(0, 80)}" cannot name a recovery kit: use letters, digits, dots and dashes.`,
    )
  return hashSmall(registerDomain, utf8(name))
}

/** Hash of a share, for the body. */
export function recoveryShareHash(index: number, share: Uint8Array): Uint8Array {
  return hashSmall(shareDomain, new Uint8Array([index]), share)
}

/** What tells the key `key`, for the body. */
export function recoveryKeyCheck(key: Uint8Array): Uint8Array {
  return deriveKey(key, checkLabel)
}

/** Encrypts `plaintext` under a kit's key and, when there is a passphrase, what argon2id made of it. */
export async function sealRecoveryBody(
  crypto: CryptoProvider,
  open: Omit<RecoveryBody, "sealed">,
  { key, master, plaintext }: { key: Uint8Array; master?: Uint8Array | undefined; plaintext: Uint8Array },
): Promise<RecoveryBody> {
  const sealed = await crypto.seal(sealingKey(key, master), zeroNonce, plaintext, associated(open))
  return { ...open, sealed }
}

/** The plaintext of a body; undefined when the key, or what the passphrase gave, is another. */
export async function openRecoveryBody(
  crypto: CryptoProvider,
  body: RecoveryBody,
  { key, master }: { key: Uint8Array; master?: Uint8Array | undefined },
): Promise<Uint8Array | undefined> {
  return crypto.open(sealingKey(key, master), zeroNonce, body.sealed, associated(body))
}

/** The parts of a kit, one for each share. Throws ERR_LIMIT when they do not fit into registers. */
export function encodeRecoveryParts(body: RecoveryBody, shares: readonly Uint8Array[]): Uint8Array[] {
  const encoded = encodeCbor([...openFields(body), body.sealed])
  return shares.map((share, index) => {
    const part = encodeCbor([version, encoded, index, share])
    if (part.length > limits.registerContentBytes)
      throw new HoldfastError(
        "ERR_LIMIT",
        `The recovery kit has ${part.length} bytes; a place takes at most ${limits.registerContentBytes}.`,
        { sizeBytes: part.length },
      )
    return part
  })
}

/** Reads a part and checks its share against its body. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_LIMIT, ERR_CORRUPT. */
export function decodeRecoveryPart(bytes: Uint8Array): RecoveryPart {
  if (bytes.length > limits.registerContentBytes)
    throw new HoldfastError("ERR_LIMIT", `A part of a recovery kit has ${bytes.length} bytes, far too many.`)
  const fields = new FieldReader(decodeCbor(bytes, "recovery part"), "recovery part")
  const found = fields.integer()
  if (found !== version)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A recovery kit of version ${found} needs a newer Holdfast.`, {
      version: found,
    })
  const encoded = fields.bytes()
  const body = decodeBody(encoded)
  const index = fields.integer(0, body.shareHashes.length - 1)
  const share = fields.bytes(recoveryShareBytes)
  fields.end()
  if (!equal(recoveryShareHash(index, share), body.shareHashes[index]!))
    throw new HoldfastError("ERR_CORRUPT", "A part of a recovery kit has a share that is not of that kit.")
  return { kitId: hashSmall(kitIdDomain, encoded), body, index, share }
}

function decodeBody(encoded: Uint8Array): RecoveryBody {
  const fields = new FieldReader(decodeCbor(encoded, "recovery kit"), "recovery kit")
  const threshold = fields.integer(2, limits.maxShares)
  const shareHashes = fields.array(limits.maxShares).map((hash) => {
    if (hash instanceof Uint8Array && hash.length === 32) return hash
    throw new HoldfastError("ERR_BAD_FORMAT", "recovery kit is damaged: expected hashes of 32 bytes.")
  })
  if (shareHashes.length < threshold)
    throw new HoldfastError("ERR_BAD_FORMAT", "recovery kit is damaged: it needs more shares than it has.")
  const keyCheck = fields.bytes(32)
  const passphrase = decodeParameters(fields.any())
  const sealed = fields.bytes(undefined, limits.registerContentBytes)
  fields.end()
  return { threshold, shareHashes, keyCheck, ...(passphrase && { passphrase }), sealed }
}

function decodeParameters(value: CborValue): PassphraseParameters | undefined {
  if (value === null) return undefined
  const fields = new FieldReader(value, "recovery kit")
  const parameters = {
    memoryKiB: fields.integer(),
    passes: fields.integer(),
    lanes: fields.integer(),
    salt: fields.bytes(16),
  }
  fields.end()
  if (!isAffordablePassphrase(parameters))
    throw new HoldfastError("ERR_LIMIT", "A recovery kit asks for more memory or time than a passphrase may cost.")
  return parameters
}

/** True when opening costs neither minutes nor gigabytes: who forges a file must not be able to ask for that. */
export function isAffordablePassphrase({ memoryKiB, passes, lanes }: Omit<PassphraseParameters, "salt">): boolean {
  const inRange = (value: number, least: number, greatest: number) => least <= value && value <= greatest
  const { passphraseLanes, passphrasePasses, passphraseMemoryKiB } = limits
  return (
    inRange(lanes, 1, passphraseLanes) &&
    inRange(passes, 1, passphrasePasses) &&
    inRange(memoryKiB, 8 * lanes, passphraseMemoryKiB)
  )
}

function openFields({ threshold, shareHashes, keyCheck, passphrase }: Omit<RecoveryBody, "sealed">): CborValue[] {
  const parameters = passphrase && [passphrase.memoryKiB, passphrase.passes, passphrase.lanes, passphrase.salt]
  return [threshold, shareHashes, keyCheck, parameters ?? null]
}

function associated(body: Omit<RecoveryBody, "sealed">): Uint8Array {
  return concat(domainPrefix(keyLabel), encodeCbor(openFields(body)))
}

function sealingKey(key: Uint8Array, master: Uint8Array = new Uint8Array()): Uint8Array {
  return deriveKey(concat(key, master), keyLabel)
}
