/** Whether a profile's recovery kits would restore what it has now, and whether others can find any. */
import { isoTime, toHex } from "@holdfast/core"
import { openRecoveryRegisterSeed } from "@holdfast/protocol"
import { goodParts, readParts } from "../kits/parts.ts"
import type { Profile } from "../profile/profile.ts"
import { everyPlace, type Session } from "../volumes/session.ts"
import { digestOf, type KitRecord, readRecord } from "./record.ts"

/** The kits of a profile by their state, each as text. */
export interface KitStates {
  readonly fresh: readonly string[]
  readonly stale: readonly string[]
  /** Of version 1: whoever may read the places can find them. */
  readonly old: readonly string[]
  /** Earlier kits that some places may still hold. */
  readonly pending: readonly string[]
}

/** What the profile knows of its kits without asking any place. */
export async function kitStates(profile: Profile): Promise<KitStates> {
  const digest = digestOf(profile)
  const kits = await readRecord(profile)
  const pending = [...profile.recoveryKits].flatMap(([key, { erase }]) => {
    const places = [...new Set(erase.flatMap((one) => one.places))]
    return places.length > 0 ? [`${key.split("/").toReversed().join(" on ")} (${places.join(", ")})`] : []
  })
  const isFresh = (kit: KitRecord) => kit.format === 2 && kit.digest === digest
  return {
    fresh: kits.filter(isFresh).map(kitText),
    stale: kits.filter((kit) => kit.format === 2 && !isFresh(kit)).map(kitText),
    old: kits.filter((kit) => kit.format === undefined).map(kitText),
    pending,
  }
}

/** A kit that lies open on the places of a volume. */
export interface OpenKit {
  readonly name: string
  readonly volume: string
  readonly isOwn: boolean
}

/** Looks on the places of a session for kits that everybody can find: `main`, and those this profile has made. */
export async function findOpenKits(session: Session): Promise<OpenKit[]> {
  const { profile, env, volume } = session
  const backends = everyPlace(session)
  const record = (await readRecord(profile)).filter((one) => one.volume === volume)
  const names = [...new Set(["main", ...record.map(({ name }) => name)])]
  const found = await Promise.all(
    names.map(async (name): Promise<OpenKit[]> => {
      const parts = goodParts(await readParts({ env, backends }, openRecoveryRegisterSeed(name)))
      const kits = parts.map(({ part }) => ({ id: toHex(part.kitId), version: part.body.version }))
      const isNewOwn = (id: string) => record.some(({ ids, format }) => format === 2 && ids[0] === id)
      // One that was made so on purpose, where no single party can read it.
      const open = kits.filter(({ id }) => !isNewOwn(id))
      const isOwn = open.some(({ id }) => record.some(({ ids }) => ids.includes(id)))
      return open.length > 0 ? [{ name, volume, isOwn }] : []
    }),
  )
  return found.flat()
}

/** `main on grid of 2026-01-31`. */
export function kitText({ name, volume, createdMs }: KitRecord): string {
  return `${name} on ${volume} of ${isoTime(createdMs).slice(0, 10)}`
}
