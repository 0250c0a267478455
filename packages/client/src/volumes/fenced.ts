/**
 * A place of a volume as a client of one epoch may use it: a register value counts as taken only when the place was neither
 * sealed nor of another epoch after it took the value. The mover seals first and reads then, so one of the two sees the
 * other. Specification: docs/formats/volume.md.
 */
import { type CryptoProvider, HoldfastError, isHoldfastError } from "@holdfast/core"
import { type Backend, openVolumeMove, type VolumeDescription, type VolumeMove, wrapBackend } from "@holdfast/protocol"
import type { OwnedRegisterStore, WatchOptions } from "@holdfast/store"
import { fenceNameOf, type PlaceFence } from "./fence.ts"

/**
 * The registers of a store over fenced places. That a volume has moved is told as such: for the store it is one more place
 * that gave no answer.
 */
export function tellingMoves(
  registers: OwnedRegisterStore,
  moves: readonly Pick<FencedPlace, "moved">[],
): OwnedRegisterStore {
  const movedNow = () => moves.find((place) => place.moved())?.moved()
  const failing = ({ onFailure, ...options }: WatchOptions = {}): WatchOptions => ({
    ...options,
    onFailure(error) {
      const moved = movedNow()
      if (moved) throw moved
      onFailure?.(error)
    },
  })
  const told = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      const moved = movedNow()
      throw moved && isHoldfastError(error, "ERR_NO_QUORUM") ? moved : error
    }
  }
  return {
    read: (...args) => told(registers.read(...args)),
    readCare: (...args) => told(registers.readCare(...args)),
    write: (...args) => told(registers.write(...args)),
    watch: (keys, options) => registers.watch(keys, failing(options)),
    watchCare: (keys, options) => registers.watchCare(keys, failing(options)),
    beginEpoch: (...args) => told(registers.beginEpoch(...args)),
  }
}

/** In each so many looks at a watched place one is at its fence too: what moved changes there no more. */
const watchedUnchecked = 10

/** A place behind its fence. */
export interface FencedPlace {
  readonly backend: Backend
  /** The error of a fence that was met. */
  moved(): HoldfastError | undefined
}

/** The place with its fence before it. A volume without a key has no epochs: any seal stops it. */
export function fenced(
  backend: Backend,
  fence: PlaceFence,
  volume: VolumeDescription,
  crypto: CryptoProvider,
): FencedPlace {
  let met: HoldfastError | undefined
  let watched = 0
  const check = () =>
    checkEpoch(fence, volume, crypto).catch((error: unknown) => {
      if (isHoldfastError(error, "ERR_MOVED")) met = error
      throw error
    })
  const behind = wrapBackend(backend, async ({ name, send }) => {
    if (name === "readRegisters") {
      const [values] = await Promise.all([send(), check()])
      return values
    }
    if (name === "watchRegisters" && watched++ % watchedUnchecked === 0) await check()
    const answer = await send()
    if (name === "proposeRegisters") await check() // after the value is there: see above
    return answer
  })
  return { backend: behind, moved: () => met }
}

/** Throws ERR_MOVED unless the place is of the volume's epoch. */
export async function checkEpoch(fence: PlaceFence, volume: VolumeDescription, crypto: CryptoProvider): Promise<void> {
  const statements = await fence.read()
  const { epoch = 1 } = volume
  const later = await newestMove(statements, volume, crypto)
  if (later && (later.next.epoch ?? 1) > epoch) throw moved(volume)
  // What nobody can verify without the volume's key stops it all the same.
  const isSealed = volume.publicKey === undefined && statements.has(fenceNameOf("sealed", epoch + 1))
  if (isSealed) throw moved(volume)
  if (epoch === 1 || (later?.state === "active" && later.next.epoch === epoch)) return
  throw new HoldfastError(
    "ERR_MOVED",
    `The volume ${volume.name} is still moving to this place. Run the command that moves it again, with the profile that began.`,
    { volume: volume.name, epoch },
  )
}

/** The statement of the highest epoch that the volume's key signed, active before sealed. */
export async function newestMove(
  statements: ReadonlyMap<string, Uint8Array>,
  volume: Pick<VolumeDescription, "id" | "publicKey">,
  crypto: CryptoProvider,
): Promise<VolumeMove | undefined> {
  let newest: VolumeMove | undefined
  const rank = ({ state, next }: VolumeMove) => 2 * (next.epoch ?? 1) + (state === "active" ? 1 : 0)
  for (const [name, bytes] of statements) {
    const move = await openVolumeMove(crypto, bytes, volume)
    if (!move || name !== fenceNameOf(move.state, move.next.epoch ?? 1)) continue
    if (!newest || rank(move) > rank(newest)) newest = move
  }
  return newest
}

function moved({ name, epoch = 1 }: VolumeDescription): HoldfastError {
  return new HoldfastError(
    "ERR_MOVED",
    `The volume ${name} has moved to other places. Nothing was acknowledged here. Go there with: holdfast volume follow ${name}`,
    { volume: name, epoch },
  )
}
