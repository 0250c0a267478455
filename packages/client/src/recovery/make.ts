/** Making a recovery kit of a profile over the places of one of its volumes, and erasing the one before. */
import { equal, fromHex, isHoldfastError } from "@holdfast/core"
import type { AccountKit } from "@holdfast/protocol"
import { accountKit, changeKits, ownKits } from "../account/kits.ts"
import type { LeftBehind } from "../kits/erase-kits.ts"
import { type KitOptions, makeKit } from "../kits/kit.ts"
import type { KitKeys, KitMemory } from "../kits/kit-memory.ts"
import { type LaidPart, layKit } from "../kits/lay-kit.ts"
import { everyPlace, type Session } from "../volumes/session.ts"
import { collectBucketKeys } from "./bucket-keys.ts"
import { thresholdOf } from "./parties.ts"
import { type ChosenSecret, chooseSecret, type SecretWish } from "./protect.ts"
import { digestOf, readRecord, remember } from "./record.ts"
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
  /** Shows new words, or keeps them, before any kit that has others is erased. */
  readonly tell?: ((words: string) => Promise<void>) | undefined
}

/** What became of a kit. */
export interface MadeKit {
  readonly id: string
  readonly threshold: number
  /** Each place; `why` when it did not take its part. */
  readonly places: readonly LaidPart[]
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
 * Splits the profile's secrets over the places of a session. Succeeds when a quorum took their part. Throws
 * ERR_INVALID_ARGUMENT, ERR_ALREADY_EXISTS, ERR_NO_QUORUM, ERR_LIMIT.
 */
export async function makeRecoveryKit(opened: Session, options: MakeOptions): Promise<MadeKit> {
  const session = { ...opened, backends: everyPlace(opened) } // a part is a register, so witnesses keep one too
  const { profile, volume } = session
  const { name, nowMs, replace, tell } = options
  const kitKey = `${volume}/${name}`
  const before = profile.recoveryKits.get(kitKey) ?? { places: [], erase: [] }
  const secret = await chooseSecret(options.protection, { name, before })
  const { master, words } = secret
  const { threshold, parties } = await thresholdOf(session, master !== undefined)
  const known = await readRecord(profile)
  const earlier = known.find((one) => one.name === name && one.volume === volume)
  const withKeys = options.withBucketKeys ?? earlier?.bucketKeys ?? false
  const keys = withKeys ? await collectBucketKeys(profile.volumes.values()) : noKeys
  const content = { nowMs, bucketKeys: keys.keys, kits: new Map(ownMasters(session, kitKey, master)) }
  let seen: MadeKit["seen"] = "none"
  const parts = async (afterMs: number) => {
    const fitted = await fitting(session, { ...content, nowMs: Math.max(nowMs, afterMs + 1) }, { threshold, master })
    seen = fitted.seen
    return fitted.parts
  }
  const kit = {
    ...{ name, volume, mode: session.registerMode, master, replace, parts },
    tell: async () => void (words !== undefined && (await tell?.(words))),
  }
  const memory = { before, known, ...memoryOf(session, { name, nowMs, bucketKeys: withKeys }) }
  const laid = await layKit(session, kit, memory)
  const bucketKeys = { count: keys.keys.size, missing: keys.missing }
  return { ...laid, threshold, parties, bucketKeys, seen, protection: secret.kind, words }
}

const noKeys = { keys: new Map<never, never>(), missing: [] }

/** The profile, its record of kits, and the account's list. */
function memoryOf(
  session: Session,
  { name, nowMs, bucketKeys }: { readonly name: string; readonly nowMs: number; readonly bucketKeys: boolean },
): Omit<KitMemory, "before" | "known"> {
  const { profile, volume } = session
  let listed: readonly AccountKit[] = []
  return {
    setKeys: ({ master, places, erase }: KitKeys) =>
      profile.setRecoveryKit(`${volume}/${name}`, {
        ...(master !== undefined && { master }),
        places: [...places],
        erase: erase.map(({ seed, places, kits }) => ({ seed, places: [...places], ...(kits && { kits: [...kits] }) })),
      }),
    async remember({ id, isWhole, missing }) {
      const digest = isWhole ? digestOf(profile) : "0".repeat(64) // counts as stale
      const about = { name, volume, createdMs: nowMs, format: 2 as const, bucketKeys, missing: [...missing] }
      await remember(profile, { ...about, id, digest })
    },
    async list(seed) {
      listed = await ownKits(profile, volume)
      await changeKits(session, { add: [...listed, await accountKit(name, seed)] })
    },
    async unlist(stay) {
      const staying = await Promise.all(stay.map((seed) => accountKit(name, seed)))
      const kept = [...(await ownKits(profile, volume)), ...staying]
      await changeKits(session, { add: kept, remove: listed.filter((kit) => !isAmong(kept, kit)) })
    },
  }
}

function isAmong(kits: readonly AccountKit[], { register }: AccountKit): boolean {
  return kits.some((kit) => equal(kit.register, register))
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
async function fitting(session: Session, content: Parameters<typeof secretsOf>[1], options: KitOptions) {
  const all = await session.profile.exportSeen()
  const numbers = Object.entries(all.registers).map(([id, { sequence }]) => [id, { sequence }])
  const secrets = await secretsOf(session, content)
  const fuller = [
    { seen: "all" as const, text: JSON.stringify(all) },
    { seen: "sequences" as const, text: JSON.stringify({ ...all, registers: Object.fromEntries(numbers) }) },
  ]
  for (const { seen, text } of fuller)
    try {
      return { parts: await makeKit(session.env.crypto, { ...secrets, seen: text }, options), seen }
    } catch (error) {
      if (!isHoldfastError(error, "ERR_LIMIT")) throw error
    }
  return { parts: await makeKit(session.env.crypto, secrets, options), seen: "none" as const }
}
