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
  readonly earlier: readonly PendingErasure[]
  /** Kits that lay in registers to be erased when the making began: one that came since is another device's, whose owner was told of it. */
  readonly before: ReadonlySet<string>
  readonly known: readonly KnownKit[]
  readonly replace: boolean
}

/** Erases the earlier kits. */
export async function eraseEarlier(at: KitPlaces, successor: Successor): Promise<LeftBehind> {
  const ids = at.backends.map(({ id }) => id)
  const earlier = successor.earlier.filter(({ seed }) => seed !== toHex(successor.seed))
  const open = await openKitAt(at, successor)
  if (open.isOwn) earlier.push({ seed: toHex(openRecoveryRegisterSeed(successor.name)), places: ids })
  const own = new Set(successor.known.flatMap(({ ids }) => ids))
  const isMeant = (kitId: string) => successor.before.has(kitId) || own.has(kitId)
  const results = await Promise.all(earlier.map((one) => eraseOne(at, one, isMeant)))
  const failed = results.flatMap((one) => one.failed)
  return {
    erased: Math.max(0, ...results.map((one) => one.erased)),
    failed: failed.filter(({ place }, i) => failed.findIndex((other) => other.place === place) === i),
    pending: results.flatMap((one) => one.pending),
    staying: results.flatMap((one) => (one.stays ? [one.seed] : [])),
    isForeignOpen: open.isForeign,
  }
}

/** The ids of the kits in the registers that a new kit of this name may have to erase. */
export async function kitsBefore(
  at: KitPlaces,
  name: string,
  earlier: readonly Pick<PendingErasure, "seed">[],
): Promise<Set<string>> {
  const seeds = new Set([...earlier.map(({ seed }) => seed), toHex(openRecoveryRegisterSeed(name))])
  const answers = await Promise.all([...seeds].map((seed) => readParts(at, fromHex(seed))))
  return new Set(goodParts(answers.flat()).map(({ part }) => toHex(part.kitId)))
}

/** Why a place that no longer belongs to a volume may still hold a part. */
export function goneFrom(place: string): { place: string; why: string } {
  return { place, why: "it is no longer of this volume, so nothing was written to it" }
}

/** Whether the register that everybody can find holds a kit, and whose. */
async function openKitAt(
  at: KitPlaces,
  { name, volume, seed, known, replace }: Successor,
): Promise<{ isOwn: boolean; isForeign: boolean }> {
  const open = openRecoveryRegisterSeed(name)
  if (toHex(open) === toHex(seed)) return { isOwn: false, isForeign: false }
  const found = goodParts(await readParts(at, open)).map(({ part }) => toHex(part.kitId))
  const here = known.filter((one) => one.name === name && one.volume === volume)
  const own = here.flatMap(({ ids }) => ids)
  // A place that did not answer now may hold one of ours, too: then it was written down as ours.
  const wasOpen = here.some(({ format }) => format === undefined)
  const isOwn = replace || wasOpen || found.some((id) => own.includes(id))
  return { isOwn, isForeign: !isOwn && found.length > 0 }
}

async function eraseOne(
  { env, backends }: KitPlaces,
  { seed, places }: PendingErasure,
  isMeant: (kitId: string) => boolean,
) {
  const here = backends.filter(({ id }) => places.includes(id))
  const gone = places.filter((place) => !backends.some(({ id }) => id === place)).map(goneFrom)
  const outcomes = await eraseParts({ env, backends: here }, fromHex(seed), isMeant)
  const failed = outcomes.flatMap(({ place, why }) => (why === undefined ? [] : [{ place, why }]))
  const again = outcomes.filter(({ why, stays }) => why !== undefined && !stays).map(({ place }) => place)
  return {
    erased: outcomes.length - failed.length,
    failed: [...gone, ...failed],
    seed: fromHex(seed),
    stays: outcomes.some(({ stays }) => stays),
    pending: again.length > 0 ? [{ seed, places: again }] : [],
  }
}
