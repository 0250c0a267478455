/**
 * A recovery kit: a profile's secrets under a random key that is split over the places of a volume, so that a threshold
 * of them restores it. What each place holds, its part, has the whole body, and the body has a hash of each share: a part
 * that does not fit its kit is told at once, without trying combinations. Where it lies, too, is a secret of who knows the
 * kit's words: who merely may read the places does not find it. Specification: docs/formats/recovery-kit.md.
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
  excerpt,
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
  /** 2 is written; 1, which anybody finds who reads the places, is read only. */
  readonly version: 1 | 2
  /** So many shares restore the key. */
  readonly threshold: number
  /** Hash of each share; there are as many shares as hashes. */
  readonly shareHashes: readonly Uint8Array[]
  /** Tells the right key from another. */
  readonly keyCheck: Uint8Array
  /** Words or a passphrase are needed too. In version 2 the kit lies where they say, see `recoveryRegisterSeed`. */
  readonly isProtected: boolean
  /** Version 1 only, when it is protected: how its passphrase becomes a key. */
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

const kitIdDomains = { 1: "holdfast/recovery-kit-id/1", 2: "holdfast/recovery-kit-id/2" } as const
const keyLabels = { 1: "holdfast/recovery-kit/1", 2: "holdfast/recovery-kit/2" } as const
const shareDomain = "holdfast/recovery-share/1"
const openRegisterDomain = "holdfast/recovery-register/1"
const registerLabel = "holdfast/recovery-register/2"
const saltDomain = "holdfast/recovery-salt/2"
const checkLabel = "holdfast/recovery-check/1"
/** Whoever restores knows nothing but name and words, so neither the cost nor the salt can lie beside the kit. */
const cost = { memoryKiB: 128 * 1024, passes: 3, lanes: 1 } as const
const zeroNonce = new Uint8Array(12)
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * How the words or the passphrase of the kit called `name` become its master key. Throws ERR_INVALID_ARGUMENT for what is
 * no name.
 */
export function recoveryPassphraseParameters(name: string): PassphraseParameters {
  return { ...cost, salt: hashSmall(saltDomain, utf8(checkedName(name))).slice(0, 16) }
}

/** Seed of the register in which each place keeps its part of the kit with this master key: nobody else can find it. */
export function recoveryRegisterSeed(master: Uint8Array): Uint8Array {
  return deriveKey(master, registerLabel)
}

/**
 * Seed of the register in which each place keeps its part of a kit of this name that is not protected, or is of version
 * 1. Anybody can compute it. Throws ERR_INVALID_ARGUMENT for what is no name.
 */
export function openRecoveryRegisterSeed(name: string): Uint8Array {
  return hashSmall(openRegisterDomain, utf8(checkedName(name)))
}

function checkedName(name: string): string {
  if (namePattern.test(name)) return name
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${excerpt(name, 80)}" cannot name a recovery kit: use letters, digits, dots and dashes.`,
  )
}

/** Hash of a share, for the body. */
export function recoveryShareHash(index: number, share: Uint8Array): Uint8Array {
  return hashSmall(shareDomain, new Uint8Array([index]), share)
}

/** What tells the key `key`, for the body. */
export function recoveryKeyCheck(key: Uint8Array): Uint8Array {
  return deriveKey(key, checkLabel)
}

/** Encrypts `plaintext` under a kit's key and, when it is protected, the master key that argon2id made. */
export async function sealRecoveryBody(
  crypto: CryptoProvider,
  open: OpenBody,
  { key, master, plaintext }: { key: Uint8Array; master?: Uint8Array | undefined; plaintext: Uint8Array },
): Promise<RecoveryBody> {
  const sealed = await crypto.seal(sealingKey(open, key, master), zeroNonce, plaintext, associated(open))
  return { ...open, sealed }
}

/** The plaintext of a body; undefined when the key or the master key is another. */
export async function openRecoveryBody(
  crypto: CryptoProvider,
  body: RecoveryBody,
  { key, master }: { key: Uint8Array; master?: Uint8Array | undefined },
): Promise<Uint8Array | undefined> {
  return crypto.open(sealingKey(body, key, master), zeroNonce, body.sealed, associated(body))
}

/** The parts of a kit, one for each share. Throws ERR_LIMIT when they do not fit into registers. */
export function encodeRecoveryParts(body: RecoveryBody, shares: readonly Uint8Array[]): Uint8Array[] {
  const encoded = encodeCbor([...openFields(body), body.sealed])
  return shares.map((share, index) => {
    const part = encodeCbor([body.version, encoded, index, share])
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
  const version = versionOf(fields.integer())
  const encoded = fields.bytes()
  const body = decodeBody(encoded, version)
  const index = fields.integer(0, body.shareHashes.length - 1)
  const share = fields.bytes(recoveryShareBytes)
  fields.end()
  if (!equal(recoveryShareHash(index, share), body.shareHashes[index]!))
    throw new HoldfastError("ERR_CORRUPT", "A part of a recovery kit has a share that is not of that kit.")
  return { kitId: hashSmall(kitIdDomains[version], encoded), body, index, share }
}

function versionOf(found: number): 1 | 2 {
  if (found === 1 || found === 2) return found
  throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A recovery kit of version ${found} needs a newer Holdfast.`, {
    version: found,
  })
}

function decodeBody(encoded: Uint8Array, version: 1 | 2): RecoveryBody {
  const fields = new FieldReader(decodeCbor(encoded, "recovery kit"), "recovery kit")
  const threshold = fields.integer(2, limits.maxShares)
  const shareHashes = fields.array(limits.maxShares).map((hash) => {
    if (hash instanceof Uint8Array && hash.length === 32) return hash
    throw new HoldfastError("ERR_BAD_FORMAT", "recovery kit is damaged: expected hashes of 32 bytes.")
  })
  if (shareHashes.length < threshold)
    throw new HoldfastError("ERR_BAD_FORMAT", "recovery kit is damaged: it needs more shares than it has.")
  const keyCheck = fields.bytes(32)
  const protection = version === 1 ? decodeParameters(fields.any()) : fields.integer(0, 1) === 1
  const sealed = fields.bytes(undefined, limits.registerContentBytes)
  fields.end()
  const isProtected = protection !== undefined && protection !== false
  const passphrase = typeof protection === "object" && { passphrase: protection }
  return { version, threshold, shareHashes, keyCheck, isProtected, ...passphrase, sealed }
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

type OpenBody = Omit<RecoveryBody, "sealed">

function openFields({ version, threshold, shareHashes, keyCheck, isProtected, passphrase }: OpenBody): CborValue[] {
  const parameters = passphrase && [passphrase.memoryKiB, passphrase.passes, passphrase.lanes, passphrase.salt]
  const protection = version === 1 ? (parameters ?? null) : Number(isProtected)
  return [threshold, shareHashes, keyCheck, protection]
}

function associated(body: OpenBody): Uint8Array {
  return concat(domainPrefix(keyLabels[body.version]), encodeCbor(openFields(body)))
}

function sealingKey(body: OpenBody, key: Uint8Array, master: Uint8Array = new Uint8Array()): Uint8Array {
  return deriveKey(concat(key, master), keyLabels[body.version])
}
