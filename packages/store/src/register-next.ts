/** The value that a writer makes of those it follows. Specification: docs/formats/register.md, sections Ancestry and Epochs. */
import { compare, type Env, fromHex, limits } from "@holdfast/core"
import { type Level, peaksOver, type RegisterValue, readCheckOf, signBoundValue, verifyKeyOf } from "@holdfast/protocol"
import type { Device } from "./register-author.ts"
import { extendHistory, type History, type LevelReader, noLevels } from "./register-levels.ts"
import type { HeldValue } from "./register-quorum.ts"
import { type OpenedParts, sealParts } from "./register-seal.ts"
import type { ChunkStore, RegisterKeys, RegisterParts, StoreOptions } from "./types.ts"

/** What a writer stands on. */
export interface WriterDeps {
  readonly env: Env
  readonly chunks: LevelReader & Pick<ChunkStore, "putChunk">
  /** The device that writes, asked for when something is written. */
  readonly device?: () => Promise<Device>
}

/** A value that is followed, opened. */
export interface FollowedValue extends HeldValue {
  readonly parts: OpenedParts
}

/** What the next value is made of. */
export interface NextValue {
  /** All of one sequence; the spine is chosen among them. None before the first value. */
  readonly base: readonly FollowedValue[]
  readonly parts: RegisterParts
  /** The owner's key, for a value that follows none which names another. */
  readonly owner?: Uint8Array | undefined
  /** What begins another epoch with this value. */
  readonly statement?: { readonly epoch: number; readonly bytes: Uint8Array }
}

/** Signs the value that follows all of `base`. */
export async function makeNextValue(
  { env, chunks, device }: WriterDeps,
  keys: RegisterKeys & { readonly seed: Uint8Array },
  { base, parts, owner, statement }: NextValue,
  options?: StoreOptions,
): Promise<Uint8Array> {
  const [spine, ...others] = spineFirst(base)
  const bound = spine?.value.bound
  const follows: Level = spine
    ? [
        fromHex(spine.hash),
        ...others
          .slice(0, limits.lineageHashes - 1)
          .map(({ hash }) => fromHex(hash))
          .sort(compare),
      ]
    : []
  const history: History = spine
    ? await extendHistory(chunks, spine.parts.history ?? historyOfLineage(spine.value), follows, options)
    : { sequence: 1, base: 1, peaks: [], levels: noLevels }
  const planned = {
    publicKey: keys.publicKey,
    epoch: statement?.epoch ?? spine?.value.epoch ?? 0,
    sequence: history.sequence,
    follows,
    base: history.base,
    peaks: history.peaks,
    owner: ownerAmong(base) ?? owner ?? new Uint8Array(),
    statement: statement?.bytes ?? bound?.statement ?? new Uint8Array(),
    readCheck: readCheckOf(verifyKeyOf(keys.readKey)),
  }
  const past = [
    ...base.flatMap(({ value, parts: { author } }) => (author ? [{ sequence: value.sequence, author }] : [])),
    ...(spine?.parts.past ?? []),
  ]
  const sealed = await sealParts(env, keys, planned, {
    ...parts,
    levels: history.levels,
    device: await device?.(),
    past,
  })
  return signBoundValue(env.crypto, keys.seed, sealed)
}

/** The owner stays: of values that raced, one may have named it and another not. */
function ownerAmong(base: readonly FollowedValue[]): Uint8Array | undefined {
  return base.map(({ value }) => value.bound?.owner).find((owner) => owner && owner.length > 0)
}

/** The first of those that have a history, else the first: whichever is the spine, all that anybody knows is proven (decision 0011). */
function spineFirst(base: readonly FollowedValue[]): readonly FollowedValue[] {
  const spine = base.find(({ parts }) => parts.history) ?? base[0]
  return spine ? [spine, ...base.filter((held) => held !== spine)] : []
}

/** What a value of version 1 or 3 names of its past becomes the first levels. */
function historyOfLineage({ sequence, lineage }: RegisterValue): History {
  const inline = lineage.toReversed()
  const base = sequence - inline.length
  return { sequence, base, peaks: peaksOver(base, inline), levels: { inline } }
}
