/**
 * Moving a volume to other places: seal the old ones, copy what they have, make the new ones active. Each step may be done
 * again, so a move that was interrupted is ended by beginning anew. Specification: docs/formats/volume.md.
 */
import { type CryptoProvider, equal, HoldfastError } from "@holdfast/core"
import {
  type Backend,
  decodeRegisterValue,
  rankOf,
  registerIdOf,
  signVolumeMove,
  type VolumeDescription,
  volumeDigest,
} from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { fenceNameOf, type PlaceFence } from "./fence.ts"
import { newestMove } from "./fenced.ts"

/** A place as the mover uses it, past its fence. */
export interface MovingPlace {
  readonly backend: Backend
  readonly fence: PlaceFence
}

/** A move from one description to the next. */
export interface Move {
  readonly crypto: CryptoProvider
  readonly volume: VolumeDescription
  readonly next: VolumeDescription
  readonly from: readonly MovingPlace[]
  readonly to: readonly MovingPlace[]
  /** Public keys of the registers to copy; asked for when nothing is acknowledged at the old places any more. */
  readonly publicKeys: () => Promise<readonly Uint8Array[]>
}

/** The description that follows `volume`, with other places or another shape. */
export function nextEpoch(volume: VolumeDescription, change: Partial<VolumeDescription>): VolumeDescription {
  return { ...volume, ...change, epoch: (volume.epoch ?? 1) + 1, previous: volumeDigest(volume) }
}

/** The description that these places are sealed for, if a move has begun. */
export async function begunMove(
  crypto: CryptoProvider,
  volume: VolumeDescription,
  places: readonly Pick<MovingPlace, "fence">[],
): Promise<VolumeDescription | undefined> {
  const name = fenceNameOf("sealed", (volume.epoch ?? 1) + 1)
  for (const { fence } of places) {
    const bytes = (await fence.read().catch(() => undefined))?.get(name)
    const move = bytes && (await newestMove(new Map([[name, bytes]]), volume, crypto))
    if (move && move.next.previous === volumeDigest(volume)) return move.next
  }
  return undefined
}

/** Moves, with the volume's key. Throws ERR_NO_QUORUM, ERR_CONFLICT; then the same call ends it later. */
export async function moveVolume(move: Move, seed: Uint8Array): Promise<void> {
  const { crypto, next, from, to, volume } = move
  const epoch = next.epoch!
  const seal = await signVolumeMove(crypto, seed, { state: "sealed", next })
  const sealed = await keepAt(from, fenceNameOf("sealed", epoch), seal)
  needQuorum(sealed.length, from.length, volume, "were sealed")
  await copyRegisters(move, sealed)
  const active = await signVolumeMove(crypto, seed, { state: "active", next })
  const told = await keepAt(to, fenceNameOf("active", epoch), active)
  needQuorum(told.length, to.length, next, "know that they have all")
}

/** Gives the registers of places that are sealed to a quorum of the new ones. */
export async function copyRegisters(move: Move, sealed: readonly MovingPlace[]): Promise<void> {
  for (const publicKey of await move.publicKeys()) await copyRegister(move, sealed, publicKey)
}

/** The places that have a statement under a name: exactly this one. */
async function keepAt(places: readonly MovingPlace[], name: string, bytes: Uint8Array): Promise<MovingPlace[]> {
  const kept = await Promise.all(
    places.map(async ({ fence }) => {
      try {
        await fence.keep(name, bytes)
        const held = (await fence.read()).get(name)
        return held !== undefined && equal(held, bytes)
      } catch {
        return false
      }
    }),
  )
  return places.filter((_, i) => kept[i])
}

interface Held {
  /** `rankOf` the value: a higher epoch goes before any number of an epoch that is over. */
  readonly rank: number
  readonly bytes: Uint8Array
}

async function copyRegister(
  { crypto, volume, next, from, to }: Move,
  sealed: readonly MovingPlace[],
  publicKey: Uint8Array,
) {
  const read = ({ backend }: MovingPlace) => readHeld(crypto, backend, publicKey)
  const answers = (await Promise.all(sealed.map(read))).filter((answer) => answer !== undefined)
  needQuorum(answers.length, from.length, volume, "answered")
  const values = newestValues(answers, volume, from.length)
  if (values.length === 0) return
  const { rank } = values[0]!
  const counts = values.map(() => 0)
  let taken = 0
  // One after the other: each place gets the value that the fewest have.
  for (const place of to) {
    const rarest = values[counts.indexOf(Math.min(...counts))]!
    await place.backend.proposeRegisters([rarest.bytes]).catch(() => undefined)
    const held = await read(place)
    if (!held || held === "none" || held.rank < rank) continue
    taken++
    const at = values.findIndex(({ bytes }) => equal(bytes, held.bytes))
    if (at >= 0) counts[at] = counts[at]! + 1
    else if (held.rank > rank) for (const i of counts.keys()) counts[i] = counts[i]! + 1 // a newer value follows them all
  }
  needQuorum(taken, to.length, next, "took the root of a tree")
  const f = to.length - quorumOf(to.length, next.registerMode)
  const visible = next.registerMode === "byzantine" ? 2 * f + 1 : f + 1
  if (values.length > 1 && counts.some((count) => count < visible))
    throw new HoldfastError(
      "ERR_CONFLICT",
      "Two values of a tree's root were written at once, and the new places cannot show both. Bring all old places back, then move again.",
    )
}

/** Values of the highest rank that may have been acknowledged; the most held when none was. */
function newestValues(answers: readonly (Held | "none")[], volume: VolumeDescription, places: number): Held[] {
  const held = answers.filter((answer) => answer !== "none")
  const highest = Math.max(0, ...held.map(({ rank }) => rank))
  const groups: { value: Held; count: number }[] = []
  for (const value of held.filter(({ rank }) => rank === highest)) {
    const group = groups.find((known) => equal(known.value.bytes, value.bytes))
    if (group) group.count++
    else groups.push({ value, count: 1 })
  }
  const needed = quorumOf(places, volume.registerMode)
  const unheard = places - answers.length + (volume.registerMode === "byzantine" ? places - needed : 0)
  const possible = groups.filter(({ count }) => count + unheard >= needed)
  const mostHeld = groups.toSorted((a, b) => b.count - a.count).slice(0, 1)
  return (possible.length > 0 ? possible : mostHeld).map(({ value }) => value)
}

async function readHeld(
  crypto: CryptoProvider,
  backend: Backend,
  publicKey: Uint8Array,
): Promise<Held | "none" | undefined> {
  try {
    const [bytes] = await backend.readRegisters([registerIdOf(publicKey)])
    if (!bytes) return "none"
    const value = await decodeRegisterValue(crypto, bytes)
    return equal(value.publicKey, publicKey) ? { rank: rankOf(value), bytes } : undefined
  } catch {
    return undefined
  }
}

function needQuorum(reached: number, places: number, { registerMode, name }: VolumeDescription, what: string): void {
  const needed = quorumOf(places, registerMode)
  if (reached >= needed) return
  throw new HoldfastError(
    "ERR_NO_QUORUM",
    `Only ${reached} of the ${needed} places needed ${what}. Bring places of ${name} back, then run the same command again: it goes on where it was.`,
    { reached, needed },
  )
}
