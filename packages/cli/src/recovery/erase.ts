/**
 * What is left of earlier recovery kits once a new one lies on its places: each old register is overwritten with nothing,
 * and a place where that was not possible is named and tried again by the next kit.
 */
import { fromHex, toHex } from "@holdfast/core"
import { openRecoveryRegisterSeed, recoveryRegisterSeed } from "@holdfast/protocol"
import type { RecoveryKitKeys } from "../profile/secrets.ts"
import type { Session } from "../session.ts"
import type { KitRecord } from "./record.ts"
import { type Erasure, eraseParts, goodParts, readParts } from "./registers.ts"

type Pending = RecoveryKitKeys["erase"]

/** What there still is of earlier kits. */
export interface LeftBehind {
  /** An earlier kit was there, and is erased on so many places or more. */
  readonly erased: number
  /** Places that may still hold a part, and why. */
  readonly failed: readonly { readonly place: string; readonly why: string }[]
  /** To be tried again. */
  readonly pending: Pending
  /** A kit of this name that everybody can find who reads the places, and that this profile did not make. */
  readonly isForeignOpen: boolean
}

/** The kit that was made just now, and what was there before. */
interface Successor {
  readonly name: string
  /** Its register. */
  readonly seed: Uint8Array
  readonly before: RecoveryKitKeys
  readonly record: readonly KitRecord[]
  /** It lies where the one before lay. */
  readonly isSame: boolean
  readonly replace: boolean
}

/** Erases the earlier kits. */
export async function eraseEarlier(session: Session, successor: Successor): Promise<LeftBehind> {
  const { seed, before, isSame } = successor
  const ids = session.backends.map(({ id }) => id)
  // A restored profile does not know where its other kits lie.
  const places = before.places.length > 0 ? before.places : ids
  const earlier: Pending = [
    ...before.erase,
    ...(before.master !== undefined && !isSame
      ? [{ seed: toHex(recoveryRegisterSeed(fromHex(before.master))), places }]
      : []),
  ].filter((one) => one.seed !== toHex(seed))
  const open = await openKit(session, successor)
  if (open.isOwn) earlier.push({ seed: toHex(openRecoveryRegisterSeed(successor.name)), places: ids })
  const gone = isSame ? before.places.filter((place) => !ids.includes(place)).map(goneFrom) : []
  const results = await Promise.all(earlier.map((one) => eraseOne(session, one)))
  const failed = [...gone, ...results.flatMap((one) => one.failed)]
  return {
    erased: Math.max(0, ...results.map((one) => one.erased)),
    failed: failed.filter(({ place }, i) => failed.findIndex((other) => other.place === place) === i),
    pending: results.flatMap((one) => one.pending),
    isForeignOpen: open.isForeign,
  }
}

/** Whether the register that everybody can find holds a kit, and whose. */
async function openKit(
  { backends, volume }: Session,
  { name, seed, record, replace }: Successor,
): Promise<{ isOwn: boolean; isForeign: boolean }> {
  const open = openRecoveryRegisterSeed(name)
  if (toHex(open) === toHex(seed)) return { isOwn: false, isForeign: false }
  const found = goodParts(await readParts(backends, open)).map(({ part }) => toHex(part.kitId))
  const own = record.filter((one) => one.name === name && one.volume === volume).flatMap(({ ids }) => ids)
  // A place that did not answer now may hold one of ours, too: then it was written down as ours.
  const wasOpen = record.some((one) => one.name === name && one.volume === volume && one.format === undefined)
  const isOwn = replace || wasOpen || found.some((id) => own.includes(id))
  return { isOwn, isForeign: !isOwn && found.length > 0 }
}

async function eraseOne({ backends }: Session, { seed, places }: Pending[number]) {
  const here = backends.filter(({ id }) => places.includes(id))
  const gone = places.filter((place) => !backends.some(({ id }) => id === place)).map(goneFrom)
  const outcomes = await eraseParts(here, fromHex(seed))
  const failed = outcomes.filter((one): one is Required<Erasure> => one.why !== undefined)
  return {
    erased: outcomes.length - failed.length,
    failed: [...gone, ...failed],
    pending: failed.length > 0 ? [{ seed, places: failed.map(({ place }) => place) }] : [],
  }
}

function goneFrom(place: string): { place: string; why: string } {
  return { place, why: "it is no longer of this volume, so nothing was written to it" }
}
