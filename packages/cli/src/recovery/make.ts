/** Making a recovery kit of a profile over the places of one of its volumes. */
import { HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { decodeRecoveryPart, type RecoverySecrets } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import type { Profile } from "../profile/profile.ts"
import type { Session } from "../session.ts"
import { groupParts, makeKit } from "./kit.ts"
import { digestOf, readRecord, remember } from "./record.ts"
import { goodParts, readParts, writeParts } from "./registers.ts"

/** How a kit is made. */
export interface MakeOptions {
  readonly name: string
  readonly passphrase?: string | undefined
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
}

/**
 * Splits the profile's secrets over the places of a session. Succeeds when so many took their part that any f of them may
 * then be lost or lie. Throws ERR_INVALID_ARGUMENT, ERR_ALREADY_EXISTS, ERR_NO_QUORUM, ERR_LIMIT.
 */
export async function makeRecoveryKit(session: Session, options: MakeOptions): Promise<MadeKit> {
  const { profile, backends, volume } = session
  const needed = quorumOf(backends.length, session.registerMode)
  const threshold = thresholdOf(session)
  const answers = await readParts(backends, options.name)
  const answered = answers.filter(({ state }) => state !== "away")
  if (answered.length < needed)
    throw tooFew(answered.length, needed, "answered, so nothing was changed", whyOf(answers))
  if (!options.replace) refuseForeign(options.name, goodParts(answers), await readRecord(profile))
  const { parts, seen } = await fitting(session, options.nowMs, { threshold, passphrase: options.passphrase })
  const id = toHex(decodeRecoveryPart(parts[0]!).kitId)
  const about = { name: options.name, volume, createdMs: options.nowMs, digest: digestOf(profile) }
  const failures = await writeParts(backends, options.name, { parts, answers })
  const taken = failures.filter((why) => why === undefined).length
  // Remembered in any case: the next try may replace it. A kit that failed counts as stale.
  await remember(profile, { ...about, id, ...(taken < needed && { digest: "0".repeat(64) }) })
  const places = backends.map((backend, i) => ({
    id: backend.id,
    ...(failures[i] !== undefined && { why: failures[i] }),
  }))
  if (taken < needed)
    throw tooFew(
      taken,
      needed,
      "took their part. The kit may not restore; the one before may be gone. Try again",
      whyOf(places),
    )
  return { id, threshold, places, seen }
}

/** f+1, where f is how many places may be lost, or lie. Throws ERR_INVALID_ARGUMENT when none may. */
export function thresholdOf({ backends, registerMode, volume }: Pick<Session, "backends" | "registerMode" | "volume">) {
  const f = backends.length - quorumOf(backends.length, registerMode)
  if (f >= 1) return f + 1
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `The volume ${volume} has ${backends.length} ${backends.length === 1 ? "place" : "places"}: no part of a key could be missing. A recovery kit needs at least 3 places (4 in byzantine mode).`,
    { places: backends.length },
  )
}

function secretsOf({ profile, volume, backends }: Session, nowMs: number): RecoverySecrets {
  const aliasVolumes = [...profile.aliases.keys()].flatMap((alias) => {
    const name = profile.volumeOf(alias)
    return name === undefined ? [] : [[alias, name] as const]
  })
  return {
    createdMs: nowMs,
    volume,
    places: backends.map(({ id }) => id),
    convergenceSecret: profile.convergenceSecret,
    aliases: profile.aliases,
    aliasVolumes: new Map(aliasVolumes),
    volumes: [...profile.volumes.values()],
    seen: "",
  }
}

/**
 * What was seen tells when servers go back or lie about history. Its values are large: better their numbers alone, or
 * nothing, than no kit.
 */
async function fitting(session: Session, nowMs: number, options: Parameters<typeof makeKit>[1]) {
  const all = await session.profile.exportSeen()
  const numbers = Object.entries(all.registers).map(([id, { sequence }]) => [id, { sequence }])
  const secrets = secretsOf(session, nowMs)
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

/** Others may use the same places. Only a kit that would restore counts: places that lie must not keep us from making ours. */
function refuseForeign(
  name: string,
  found: ReturnType<typeof goodParts>,
  known: Awaited<ReturnType<typeof readRecord>>,
): void {
  const own = new Set(known.flatMap(({ ids }) => ids))
  const foreign = groupParts(found).find((kit) => kit.parts.size >= kit.body.threshold && !own.has(kit.id))
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
    {
      reached,
      needed,
    },
  )
}

function whyOf(places: readonly { readonly place?: string; readonly id?: string; readonly why?: string }[]): string[] {
  return places.flatMap(({ place, id, why }) => (why === undefined ? [] : [`${place ?? id}: ${why}`]))
}

/** Whether a profile's kits would restore what it has now. */
export async function staleKits(profile: Profile): Promise<{ readonly fresh: string[]; readonly stale: string[] }> {
  const digest = digestOf(profile)
  const kits = await readRecord(profile)
  const text = ({ name, volume, createdMs }: (typeof kits)[number]) =>
    `${name} on ${volume} of ${new Date(createdMs).toISOString().slice(0, 10)}`
  return {
    fresh: kits.filter((kit) => kit.digest === digest).map(text),
    stale: kits.filter((kit) => kit.digest !== digest).map(text),
  }
}
