/**
 * What is left of earlier recovery kits once a new one lies on its places: each old register is overwritten with nothing,
 * and a place where that was not possible is named and tried again by the next kit.
 */
import { fromHex, toHex } from "@holdfast/core"
import { openRecoveryRegisterSeed } from "@holdfast/protocol"
import type { KnownKit, PendingErasure } from "./kit-memory.ts"
import { eraseParts, goodParts, type KitPlaces, readParts } from "./parts.ts"

/** What there still is of earlier kits. */
export interface LeftBehind {
  /** An earlier kit was there, and is erased on so many places or more. */
  readonly erased: number
  /** Places that may still hold a part, and why. */
  readonly failed: readonly { readonly place: string; readonly why: string }[]
  /** To be tried again. */
  readonly pending: readonly PendingErasure[]
  /** Seeds of registers in which another device made a kit at the same time: they are not to be erased. */
  readonly staying: readonly Uint8Array[]
  /** A kit of this name that everybody can find who reads the places, and that this profile did not make. */
  readonly isForeignOpen: boolean
}

/** The kit that was made just now, and what was there before. */
export interface Successor {
  readonly name: string
  readonly volume: string
  /** Its register. */
  readonly seed: Uint8Array
  /** What is to be erased; each says which kits are meant. */
  readonly earlier: readonly PendingErasure[]
  /** Kits that lay in each register when the making began, by its seed in hexadecimal. */
  readonly there: ReadonlyMap<string, readonly string[]>
  /** Places of a kit without words that this device made or may have begun last; undefined when it has none. */
  readonly openAt?: readonly string[] | undefined
  readonly known: readonly KnownKit[]
  readonly replace: boolean
}

/** Erases the earlier kits. One that came into their registers since they were seen is another device's, whose owner was told of it. */
export async function eraseEarlier(at: KitPlaces, successor: Successor): Promise<LeftBehind> {
  const open = await openKitAt(at, successor)
  const all = joined([...successor.earlier, ...open.erase]).filter(({ seed }) => seed !== toHex(successor.seed))
  const own = successor.known.flatMap(({ ids }) => ids)
  const results = await Promise.all(all.map((one) => eraseOne(at, one, own)))
  const failed = results.flatMap((one) => one.failed)
  return {
    erased: Math.max(0, ...results.map((one) => one.erased)),
    failed: failed.filter(({ place }, i) => failed.findIndex((other) => other.place === place) === i),
    pending: results.flatMap((one) => one.pending),
    staying: results.flatMap((one) => (one.stays ? [one.seed] : [])),
    isForeignOpen: open.isForeign,
  }
}

/** The ids of the kits in the registers that a new kit of this name may have to erase, by the seed of the register. */
export async function kitsBefore(
  at: KitPlaces,
  name: string,
  earlier: readonly Pick<PendingErasure, "seed">[],
): Promise<Map<string, readonly string[]>> {
  const seeds = new Set([...earlier.map(({ seed }) => seed), toHex(openRecoveryRegisterSeed(name))])
  const found = await Promise.all(
    [...seeds].map(async (seed): Promise<[string, string[]]> => {
      const parts = goodParts(await readParts(at, fromHex(seed)))
      return [seed, [...new Set(parts.map(({ part }) => toHex(part.kitId)))]]
    }),
  )
  return new Map(found)
}

/** Each register once. */
export function joined(erasures: readonly PendingErasure[]): PendingErasure[] {
  const bySeed = new Map<string, PendingErasure>()
  for (const one of erasures) {
    const before = bySeed.get(one.seed)
    const places = [...new Set([...(before?.places ?? []), ...one.places])]
    const kits = [...new Set([...(before?.kits ?? []), ...(one.kits ?? [])])]
    bySeed.set(one.seed, { seed: one.seed, places, kits })
  }
  return [...bySeed.values()]
}

/** Why a place that no longer belongs to a volume may still hold a part. */
export function goneFrom(place: string): { place: string; why: string } {
  return { place, why: "it is no longer of this volume, so nothing was written to it" }
}

/** Whether the register that everybody can find holds a kit, whose, and what is to be erased there. */
async function openKitAt(
  at: KitPlaces,
  { name, volume, seed, known, there, openAt, replace }: Successor,
): Promise<{ readonly erase: readonly PendingErasure[]; readonly isForeign: boolean }> {
  const open = toHex(openRecoveryRegisterSeed(name))
  if (open === toHex(seed)) return { erase: [], isForeign: false }
  const answers = await readParts(at, fromHex(open))
  const found = goodParts(answers).map(({ part }) => toHex(part.kitId))
  const here = known.filter((one) => one.name === name && one.volume === volume)
  const own = here.flatMap(({ ids }) => ids)
  const gone = (openAt ?? []).filter((place) => answers.every((answer) => answer.place !== place))
  // A place that did not answer now may hold one of ours, too: then it was written down as ours.
  const wasOpen = here.some(({ format }) => format === undefined)
  if (replace || wasOpen || found.some((id) => own.includes(id))) {
    const places = [...answers.map(({ place }) => place), ...gone]
    return { erase: [{ seed: open, places, kits: there.get(open) ?? [] }], isForeign: false }
  }
  const silent = openAt ? answers.filter(({ state }) => state === "away").map(({ place }) => place) : []
  const left = [...silent, ...gone]
  return { erase: left.length > 0 ? [{ seed: open, places: left, kits: [] }] : [], isForeign: found.length > 0 }
}

async function eraseOne(at: KitPlaces, { seed, places, kits = [] }: PendingErasure, own: readonly string[]) {
  const gone = places.filter((place) => !at.backends.some(({ id }) => id === place)).map(goneFrom)
  const isMeant = (kitId: string) => kits.includes(kitId) || own.includes(kitId)
  const outcomes = await eraseParts(at, fromHex(seed), { places, isMeant })
  const here = outcomes.filter(({ place }) => places.includes(place))
  const failed = here.flatMap(({ place, why }) => (why === undefined ? [] : [{ place, why }]))
  const again = here.filter(({ why, stays }) => why !== undefined && !stays).map(({ place }) => place)
  return {
    erased: here.length - failed.length,
    failed: [...gone, ...failed],
    seed: fromHex(seed),
    stays: outcomes.some(({ stays }) => stays),
    pending: again.length > 0 ? [{ seed, places: again, kits }] : [],
  }
}
