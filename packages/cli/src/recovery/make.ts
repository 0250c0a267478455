/** Making a recovery kit of a profile over the places of one of its volumes, and erasing the one before. */
import { equal, fromHex, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { type AccountKit, decodeRecoveryPart, openRecoveryRegisterSeed, recoveryRegisterSeed } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { accountKit, changeKits, ownKits } from "../account/kits.ts"
import type { Session } from "../session.ts"
import { collectBucketKeys } from "./bucket-keys.ts"
import { eraseEarlier, type LeftBehind } from "./erase.ts"
import { groupParts, makeKit } from "./kit.ts"
import { openThreshold, partiesFor, partiesOf } from "./parties.ts"
import { type ChosenSecret, chooseSecret, type SecretWish } from "./protect.ts"
import { digestOf, type KitRecord, readRecord, remember } from "./record.ts"
import { goodParts, readParts, writeParts } from "./registers.ts"
import { secretsOf } from "./secrets-of.ts"

/** How a kit is made. */
export interface MakeOptions {
  readonly name: string
  readonly protection: SecretWish
  /** Puts the keys of buckets in; as in the kit before when undefined. */
  readonly withBucketKeys?: boolean | undefined
  /** Replaces a kit that this profile did not make. */
  readonly replace: boolean
  readonly nowMs: number
}

/** What became of a kit. */
export interface MadeKit {
  readonly id: string
  readonly threshold: number
  /** Each place; `why` when it did not take its part. */
  readonly places: readonly { readonly id: string; readonly why?: string }[]
  /** How much fitted of what was seen of trees. */
  readonly seen: "all" | "sequences" | "none"
  readonly protection: ChosenSecret["kind"]
  /** New words, which nobody else has. */
  readonly words?: string | undefined
  /** So few parties hold enough parts together, see parties.ts. */
  readonly parties: number
  /** Buckets whose keys are in it, and those whose keys could not be. */
  readonly bucketKeys: { readonly count: number; readonly missing: readonly { place: string; why: string }[] }
  /** What there still is of earlier kits. */
  readonly left: LeftBehind
}

/**
 * Splits the profile's secrets over the places of a session. Succeeds when so many took their part that any f of them may
 * then be lost or lie. Throws ERR_INVALID_ARGUMENT, ERR_ALREADY_EXISTS, ERR_NO_QUORUM, ERR_LIMIT.
 */
export async function makeRecoveryKit(session: Session, options: MakeOptions): Promise<MadeKit> {
  const { profile, backends, volume } = session
  const { name, nowMs } = options
  const needed = quorumOf(backends.length, session.registerMode)
  const kitKey = `${volume}/${name}`
  const before = profile.recoveryKits.get(kitKey) ?? { places: [], erase: [] }
  const secret = await chooseSecret(options.protection, { name, before })
  const { threshold, parties } = await thresholdOf(session, secret.master !== undefined)
  const seed = secret.master ? recoveryRegisterSeed(secret.master) : openRecoveryRegisterSeed(name)
  const answers = await readParts(backends, seed)
  const answered = answers.filter(({ state }) => state !== "away")
  if (answered.length < needed)
    throw tooFew(answered.length, needed, "answered, so nothing was changed", whyOf(answers))
  const record = await readRecord(profile)
  if (!options.replace) refuseForeign({ name, volume }, goodParts(answers), record)
  const earlier = record.find((one) => one.name === name && one.volume === volume)
  const keys =
    (options.withBucketKeys ?? earlier?.bucketKeys) ? await collectBucketKeys(profile.volumes.values()) : noKeys
  const kits = new Map(ownMasters(session, kitKey, secret.master))
  const content = { nowMs, bucketKeys: keys.keys, kits }
  const { parts, seen } = await fitting(session, content, { threshold, master: secret.master })
  const id = toHex(decodeRecoveryPart(parts[0]!).kitId)
  const ids = backends.map((backend) => backend.id)
  const isSame = before.master !== undefined && secret.master !== undefined && before.master === toHex(secret.master)
  // First, so that what a run that dies here leaves behind is erased by the next one.
  if (!isSame && secret.master)
    await profile.setRecoveryKit(kitKey, { ...before, erase: [...before.erase, { seed: toHex(seed), places: ids }] })
  const listed = await ownKits(profile, volume)
  await changeKits(session, { add: [...listed, await accountKit(name, seed)] })
  const failures = await writeParts(backends, seed, { parts, answers })
  const taken = failures.filter((why) => why === undefined).length
  // Remembered in any case: the next try may replace it. A kit that failed counts as stale.
  await remember(profile, {
    ...{ name, volume, createdMs: nowMs, id, format: 2, bucketKeys: keys !== noKeys },
    digest: taken < needed ? "0".repeat(64) : digestOf(profile),
  })
  const places = ids.map((place, i) => ({ id: place, ...(failures[i] !== undefined && { why: failures[i] }) }))
  if (taken < needed) throw tooFew(taken, needed, "took their part. The kit may not restore. Try again", whyOf(places))
  const left = await eraseEarlier(session, { name, seed, before, record, isSame, replace: options.replace })
  await profile.setRecoveryKit(kitKey, {
    ...(secret.master && { master: toHex(secret.master) }),
    places: ids,
    erase: left.pending,
  })
  const kept = await ownKits(profile, volume)
  await changeKits(session, { add: kept, remove: listed.filter((kit) => !isAmong(kept, kit)) })
  const bucketKeys = { count: keys.keys.size, missing: keys.missing }
  return { ...{ id, threshold, places, seen, parties, bucketKeys, left }, protection: secret.kind, words: secret.words }
}

function isAmong(kits: readonly AccountKit[], { register }: AccountKit): boolean {
  return kits.some((kit) => equal(kit.register, register))
}

const noKeys = { keys: new Map<never, never>(), missing: [] }

/**
 * How many parts a kit needs: f+1, where f is how many places may be lost, or lie. One that is not protected needs more
 * than any f parties hold. Throws ERR_INVALID_ARGUMENT when no such number exists.
 */
async function thresholdOf(session: Session, isProtected: boolean): Promise<{ threshold: number; parties: number }> {
  const { backends, registerMode, volume } = session
  const places = backends.length
  const f = places - quorumOf(places, registerMode)
  if (f < 1)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `The volume ${volume} has ${places} ${places === 1 ? "place" : "places"}: no part of a key could be missing. A recovery kit needs at least 3 places (4 in byzantine mode).`,
      { places },
    )
  const parties = await partiesOf(session)
  const threshold = isProtected ? f + 1 : openThreshold(places, f, parties)
  if (threshold !== undefined) return { threshold, parties: partiesFor(threshold, parties) }
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `The ${places} places of ${volume} are in ${parties.length === 1 ? "one hand: a single credential" : `${parties.length} hands: ${f} of their credentials`} could read a kit without words or passphrase, and all your keys with it. Leave --without-passphrase out.`,
    { places, parties: parties.length },
  )
}

/** Master keys of the other kits too: who restores one can then make all of them anew, or erase them. */
function ownMasters({ profile }: Session, kitKey: string, master: Uint8Array | undefined): [string, Uint8Array][] {
  const others = [...profile.recoveryKits].flatMap(([key, keys]): [string, Uint8Array][] =>
    key === kitKey || keys.master === undefined ? [] : [[key, fromHex(keys.master)]],
  )
  return master ? [...others, [kitKey, master]] : others
}

/**
 * What was seen tells when servers go back or lie about history. Its values are large: better their numbers alone, or
 * nothing, than no kit.
 */
async function fitting(
  session: Session,
  content: Parameters<typeof secretsOf>[1],
  options: Parameters<typeof makeKit>[1],
) {
  const all = await session.profile.exportSeen()
  const numbers = Object.entries(all.registers).map(([id, { sequence }]) => [id, { sequence }])
  const secrets = await secretsOf(session, content)
  const fuller = [
    { seen: "all" as const, text: JSON.stringify(all) },
    { seen: "sequences" as const, text: JSON.stringify({ ...all, registers: Object.fromEntries(numbers) }) },
  ]
  for (const { seen, text } of fuller)
    try {
      return { parts: await makeKit({ ...secrets, seen: text }, options), seen }
    } catch (error) {
      if (!isHoldfastError(error, "ERR_LIMIT")) throw error
    }
  return { parts: await makeKit(secrets, options), seen: "none" as const }
}

/**
 * Others may use the same places, and one may have given another kit the same passphrase. Of strangers' kits only one that
 * would restore counts: places that lie must not keep us from making ours.
 */
function refuseForeign(
  { name, volume }: { readonly name: string; readonly volume: string },
  found: ReturnType<typeof goodParts>,
  known: readonly KitRecord[],
): void {
  const kits = groupParts(found)
  const own = known.filter((one) => one.name === name && one.volume === volume).flatMap(({ ids }) => ids)
  const another = known.find((one) => kits.some(({ id }) => one.ids.includes(id) && !own.includes(id)))
  if (another)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `Some of these places hold the kit "${another.name}" of ${another.volume} where this one would lie. Give this one another name with --name.`,
      { volume: another.volume },
    )
  const foreign = kits.find((kit) => kit.parts.size >= kit.body.threshold && !own.includes(kit.id))
  if (!foreign) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `These places hold a recovery kit "${name}" that this profile did not make. Give yours another name with --name, or replace that one with --replace.`,
    { kit: foreign.id },
  )
}

function tooFew(reached: number, needed: number, what: string, why: readonly string[]): HoldfastError {
  return new HoldfastError(
    "ERR_NO_QUORUM",
    `Only ${reached} of the ${needed} places needed ${what}: ${why.join("; ")}.`,
    { reached, needed },
  )
}

function whyOf(places: readonly { readonly place?: string; readonly id?: string; readonly why?: string }[]): string[] {
  return places.flatMap(({ place, id, why }) => (why === undefined ? [] : [`${place ?? id}: ${why}`]))
}
