/**
 * Making a recovery kit and opening one from the parts that places gave. A part was checked against its kit when it was
 * decoded, so any `threshold` parts of one kit with different indices give its key: places that lie can only hold back.
 * Specification: docs/formats/recovery-kit.md.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib"
import { type CryptoProvider, concat, equal, HoldfastError, isHoldfastError, limits, toHex } from "@holdfast/core"
import {
  decodeRecoverySecrets,
  encodeRecoveryParts,
  encodeRecoverySecrets,
  openRecoveryBody,
  type PassphraseParameters,
  type RecoveryBody,
  type RecoveryPart,
  type RecoverySecrets,
  recoveryKeyCheck,
  recoveryShareHash,
  sealRecoveryBody,
} from "@holdfast/protocol"
import { paddedLength } from "@holdfast/store"
import { combine, split } from "shamir-secret-sharing"

/** A part and the place that gave it. */
export interface FoundPart {
  readonly place: string
  readonly part: RecoveryPart
}

/** The parts that belong to one kit, by index. */
export interface FoundKit {
  readonly id: string
  readonly body: RecoveryBody
  readonly parts: ReadonlyMap<number, FoundPart>
}

/** A kit that its parts opened. */
export interface OpenedKit extends FoundKit {
  readonly secrets: RecoverySecrets
}

/** How a kit is made. */
export interface KitOptions {
  readonly threshold: number
  /** The master key of the words or the passphrase; a kit without it is not protected. */
  readonly master?: Uint8Array | undefined
}

/** Most bytes of secrets that are inflated. */
const plainBytes = 8 * 1024 * 1024
/** Room in a part beside the sealed secrets and the hashes of shares. */
const frameBytes = 256

/** The parts of a new kit, one for each of the places that `secrets` name. Throws ERR_LIMIT. */
export async function makeKit(
  crypto: CryptoProvider,
  secrets: RecoverySecrets,
  options: KitOptions,
): Promise<Uint8Array[]> {
  const { threshold, master } = options
  const key = crypto.random(32)
  // The library wants a plain array, and gives one.
  const shares = await split(new Uint8Array(key), secrets.places.length, threshold)
  const open = {
    version: 2 as const,
    threshold,
    shareHashes: shares.map((share, index) => recoveryShareHash(index, share)),
    keyCheck: recoveryKeyCheck(key),
    isProtected: master !== undefined,
  }
  const room = limits.registerContentBytes - frameBytes - shares.length * 34
  const plaintext = pack(encodeRecoverySecrets(secrets), room)
  return encodeRecoveryParts(await sealRecoveryBody(crypto, open, { key, master, plaintext }), shares)
}

/** Sorts parts by kit; of parts with one index the first counts. */
export function groupParts(found: readonly FoundPart[]): FoundKit[] {
  const kits = new Map<string, FoundKit & { readonly parts: Map<number, FoundPart> }>()
  for (const one of found) {
    const id = toHex(one.part.kitId)
    const kit = kits.get(id) ?? { id, body: one.part.body, parts: new Map<number, FoundPart>() }
    kits.set(id, kit)
    if (!kit.parts.has(one.part.index)) kit.parts.set(one.part.index, one)
  }
  return [...kits.values()]
}

/** The key of a kit; undefined when it has too few parts, or its maker did not split a key that it checks. */
export async function keyOfKit({ body, parts }: FoundKit): Promise<Uint8Array | undefined> {
  if (parts.size < body.threshold) return undefined
  const shares = [...parts.values()].slice(0, body.threshold).map(({ part }) => new Uint8Array(part.share))
  // It throws when two shares have one coordinate: then the kit was never a good one.
  const key = await combine(shares).catch(() => undefined)
  return key && equal(recoveryKeyCheck(key), body.keyCheck) ? key : undefined
}

/** What the user gave to open a protected kit. */
export interface KitSecret {
  /** The master key of the words or passphrase, which needs no more than the kit's name. */
  readonly master: Uint8Array
  /** The same for a kit of version 1, which says itself how its key is made. */
  readonly masterBy?: (parameters: PassphraseParameters) => Promise<Uint8Array>
}

/** Opens a kit; undefined when the passphrase is another, or its maker sealed nonsense. */
export async function openKit(
  crypto: CryptoProvider,
  kit: FoundKit,
  { key, secret }: { readonly key: Uint8Array; readonly secret?: KitSecret | undefined },
): Promise<OpenedKit | undefined> {
  const { version, passphrase: parameters } = kit.body
  const master = version === 1 ? parameters && (await secret?.masterBy?.(parameters)) : secret?.master
  const plaintext = await openRecoveryBody(crypto, kit.body, { key, master })
  if (!plaintext) return undefined
  try {
    return { ...kit, secrets: decodeRecoverySecrets(unpack(plaintext)) }
  } catch (error) {
    if (isHoldfastError(error, "ERR_UNSUPPORTED_VERSION")) throw error
    return undefined
  }
}

/** Length, deflated bytes, and padding up to `room`. */
function pack(bytes: Uint8Array, room: number): Uint8Array {
  const deflated = deflateRawSync(bytes, { level: 9 })
  const length = 4 + deflated.length
  if (length > room)
    throw new HoldfastError(
      "ERR_LIMIT",
      `The secrets have ${length} bytes compressed, and a recovery kit takes at most ${room}.`,
      { sizeBytes: length, limitBytes: room },
    )
  const header = new Uint8Array(4)
  new DataView(header.buffer).setUint32(0, deflated.length)
  return concat(header, deflated, new Uint8Array(Math.min(room, paddedLength(length)) - length))
}

function unpack(bytes: Uint8Array): Uint8Array {
  const length = bytes.length < 4 ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  if (length < 0 || length > bytes.length - 4)
    throw new HoldfastError("ERR_BAD_FORMAT", "The content of a recovery kit is cut short.")
  return inflateRawSync(bytes.subarray(4, 4 + length), { maxOutputLength: plainBytes })
}
