/**
 * What a volume's key says when the volume moves to other places: the old ones are sealed, the new ones active. A place only
 * stores it; whoever reads it there verifies it. Specification: docs/formats/volume.md.
 */
import {
  type CryptoProvider,
  concat,
  domainPrefix,
  encodeCbor,
  equal,
  fromHex,
  fromUtf8,
  HoldfastError,
  hashSmall,
  toHex,
  utf8,
} from "@holdfast/core"
import { parseVolume, type VolumeDescription } from "./volume.ts"

/** A statement of a volume's key about one of its epochs. */
export interface VolumeMove {
  /** sealed: the epoch before takes nothing any more; active: the new places have what the old ones had. */
  readonly state: "sealed" | "active"
  /** The description of the new epoch. */
  readonly next: VolumeDescription
}

const moveDomain = "holdfast/volume-move/1"
const digestDomain = "holdfast/volume-digest/1"
const witnessDigestDomain = "holdfast/volume-digest/2"
const signatureBytes = 64

/** Most bytes of a statement. */
export const maxMoveBytes = 512 * 1024

/** Names a description as the one that the next follows. What differs from machine to machine, as paths do, is left out. */
export function volumeDigest({
  id,
  epoch = 1,
  publicKey = "",
  coding,
  registerMode,
  backends,
}: VolumeDescription): string {
  const places = backends.map((place) => place.id)
  const witnesses = backends.filter(({ witness }) => witness).map((place) => place.id)
  const { k, happy, n } = coding
  const fields = [id, epoch, publicKey, k, happy, n, registerMode, places]
  return toHex(
    witnesses.length > 0
      ? hashSmall(witnessDigestDomain, encodeCbor([...fields, witnesses]))
      : hashSmall(digestDomain, encodeCbor(fields)),
  )
}

/** The statement with its signature in front. */
export async function signVolumeMove(
  crypto: CryptoProvider,
  seed: Uint8Array,
  { state, next }: VolumeMove,
): Promise<Uint8Array> {
  const text = utf8(JSON.stringify({ state, next }))
  return concat(await crypto.sign(seed, signedBytes(text)), text)
}

/**
 * The statement inside, if the volume's key signed it and it is of this volume; else undefined, since a place may hold
 * anything. Throws ERR_UNSUPPORTED_VERSION.
 */
export async function openVolumeMove(
  crypto: CryptoProvider,
  bytes: Uint8Array,
  { id, publicKey }: Pick<VolumeDescription, "id" | "publicKey">,
): Promise<VolumeMove | undefined> {
  if (publicKey === undefined || bytes.length > maxMoveBytes || bytes.length <= signatureBytes) return undefined
  const text = bytes.subarray(signatureBytes)
  const isSigned = await crypto.verify(fromHex(publicKey), signedBytes(text), bytes.slice(0, signatureBytes))
  if (!isSigned) return undefined
  try {
    const { state, next } = JSON.parse(fromUtf8(text)) as { state: unknown; next: unknown }
    const volume = parseVolume(next)
    const isOurs =
      volume.id === id && volume.publicKey !== undefined && equal(fromHex(volume.publicKey), fromHex(publicKey))
    return isOurs && (state === "sealed" || state === "active") ? { state, next: volume } : undefined
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "ERR_UNSUPPORTED_VERSION") throw error
    return undefined
  }
}

function signedBytes(text: Uint8Array): Uint8Array {
  return concat(domainPrefix(moveDomain), text)
}
