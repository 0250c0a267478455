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
import { openVolumeSession, type Session } from "../session.ts"

/** The volume with other places; its coding and mode stay unless they are given. Throws ERR_BAD_FORMAT when they do not fit. */
export function withPlaces(
  volume: VolumeDescription,
  backends: readonly VolumeBackend[],
  { coding = volume.coding, registerMode = volume.registerMode }: { coding?: Coding; registerMode?: string } = {},
): VolumeDescription {
  return parseVolume({ ...volume, backends, coding, registerMode })
}

type Coding = VolumeDescription["coding"]

/** Public keys of the registers behind the profile's aliases in a volume; undefined is the grid. */
export async function knownRegisters(profile: Profile, volume: string | undefined): Promise<Uint8Array[]> {
  const keys: Uint8Array[] = []
  for (const [alias, text] of profile.aliases) {
    if (profile.volumeOf(alias) !== volume) continue
    const cap = decodeCap(text)
    if (cap.kind === "lit" || cap.kind === "ci" || cap.kind === "cv") continue
    keys.push(cap.kind === "dv" || cap.kind === "fv" ? cap.publicKey : (await toVerifyCap(nodeCrypto, cap)).publicKey)
  }
  return keys
}

/**
 * Changes a volume of the profile: copies the newest value of each register that the profile knows to the new places, then
 * lets the profile know them. Throws ERR_NO_QUORUM; then the volume stays as it was.
 */
export async function changeVolume(profile: Profile, next: VolumeDescription): Promise<void> {
  const publicKeys = await knownRegisters(profile, next.name)
  // One after the other: a directory is open to one session at a time.
  const values = await within(profile, profile.volumes.get(next.name)!, (before) =>
    newestValues(before.voters, before, publicKeys),
  )
  await within(profile, next, (after) => giveValues(after, values))
  await profile.setVolume(next)
}

async function within<T>(profile: Profile, volume: VolumeDescription, work: (session: Session) => Promise<T>) {
  const session = await openVolumeSession(profile, volume, {})
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

/** The newest values of these registers, as a quorum of `backends` has them. Throws ERR_NO_QUORUM. */
export async function newestValues(
  backends: readonly Backend[],
  mode: Pick<Session, "registerMode">,
  publicKeys: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const values = await Promise.all(publicKeys.map((publicKey) => newestValue(backends, mode, publicKey)))
  return values.filter((value) => value !== undefined)
}

/** Gives values to a quorum of the session's places. Throws ERR_NO_QUORUM. */
export async function giveValues(
  after: Pick<Session, "voters" | "registerMode">,
  values: readonly Uint8Array[],
): Promise<void> {
  for (const bytes of values) {
    const needed = quorumOf(after.voters.length, after.registerMode)
    const outcomes = await Promise.all(
      after.voters.map((backend) => backend.proposeRegisters([bytes]).catch(() => [{ accepted: false }])),
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

async function newestValue(
  backends: readonly Backend[],
  { registerMode }: Pick<Session, "registerMode">,
  publicKey: Uint8Array,
) {
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
