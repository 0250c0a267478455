/**
 * Adding a place to a volume and taking one away. Quorums of the old and the new set of places need not meet, so every
 * register that the profile knows is first copied to the new set, and only then does the volume change.
 */
import { equal, HoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import {
  type Backend,
  decodeCap,
  decodeRegisterValue,
  parseVolume,
  registerIdOf,
  toVerifyCap,
  type VolumeBackend,
  type VolumeDescription,
} from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import type { Profile } from "../profile/profile.ts"
import type { Session } from "../session.ts"

/** The volume with other places; its coding and mode stay. Throws ERR_BAD_FORMAT when they do not fit. */
export function withPlaces(volume: VolumeDescription, backends: readonly VolumeBackend[]): VolumeDescription {
  return parseVolume({ ...volume, backends })
}

/** Public keys of the registers behind the profile's aliases in a volume. */
export async function knownRegisters(profile: Profile, volume: string): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = []
  for (const [alias, text] of profile.aliases) {
    if (profile.volumeOf(alias) !== volume) continue
    const cap = decodeCap(text)
    if (cap.kind === "lit" || cap.kind === "ci" || cap.kind === "cv") continue
    keys.push(cap.kind === "dv" || cap.kind === "fv" ? cap.publicKey : (await toVerifyCap(nodeCrypto, cap)).publicKey)
  }
  return keys
}

/** Copies the newest value of each register to the places of `after`. Throws ERR_NO_QUORUM; then nothing may change. */
export async function copyRegisters(before: Session, after: Session, publicKeys: readonly Uint8Array[]): Promise<void> {
  for (const publicKey of publicKeys) {
    const bytes = await newestValue(before.backends, before, publicKey)
    if (!bytes) continue
    const needed = quorumOf(after.backends.length, after.registerMode)
    const outcomes = await Promise.all(
      after.backends.map((backend) => backend.proposeRegisters([bytes]).catch(() => [{ accepted: false }])),
    )
    const taken = outcomes.filter(([outcome]) => outcome?.accepted).length
    if (taken < needed)
      throw new HoldfastError(
        "ERR_NO_QUORUM",
        `Only ${taken} of the ${needed} places needed took the root of a tree. The volume stays as it was.`,
        { reached: taken, needed },
      )
  }
}

async function newestValue(backends: readonly Backend[], { registerMode }: Session, publicKey: Uint8Array) {
  const id = registerIdOf(publicKey)
  let newest: { sequence: number; bytes: Uint8Array } | undefined
  let answered = 0
  await Promise.all(
    backends.map(async (backend) => {
      const answer = await backend.readRegisters([id]).catch(() => undefined)
      if (!answer) return
      answered++
      const bytes = answer[0]
      const value = bytes && (await decodeRegisterValue(nodeCrypto, bytes).catch(() => undefined))
      if (value && equal(value.publicKey, publicKey) && value.sequence > (newest?.sequence ?? 0))
        newest = { sequence: value.sequence, bytes }
    }),
  )
  const needed = quorumOf(backends.length, registerMode)
  if (answered < needed)
    throw new HoldfastError("ERR_NO_QUORUM", `Only ${answered} of the ${needed} places needed answered.`, {
      reached: answered,
      needed,
    })
  return newest?.bytes
}
