/**
 * What maintenance remembers between its rounds: how far each tree was checked, what was found, when what was done last. JSON; nothing in
 * it is secret, and all of it may be lost: then everything is checked anew. Specification: docs/formats/profile.md.
 */
import { HoldfastError } from "@holdfast/core"

/** A way through all chunks of a tree, in the order of their ids, so that it goes on where it was whatever was stored meanwhile. */
export interface Pass {
  readonly startedMs: number
  /** The id of the last chunk that is done, in hexadecimal; empty at the start. */
  readonly position: string
  readonly chunks: number
  /** Shares that were made anew on the way. */
  readonly mended: number
  /** Ids of chunks that lack shares, and of those that no repair mends now; the first 1000 of each. */
  readonly below: readonly string[]
  readonly broken: readonly string[]
}

/** What is known of a tree. */
export interface TreeMemory {
  /** The last round. */
  readonly lookedMs: number
  /** Servers are asked what they hold: under way, and when it last came to its end. */
  readonly sweep?: Pass
  readonly sweptMs?: number
  /** Shares that the last sweep made anew. */
  readonly sweptMended?: number
  /** Every share is read and verified: the same, and which part of all chunks was done by this. */
  readonly verify?: Pass
  readonly verifiedMs?: number
  readonly rebalance?: Pass
  readonly rebalancedMs?: number
  /** Shares that were made anew, ever, and when last. */
  readonly mended: number
  readonly mendedMs?: number
  /** As of a pass, of the last look at each. */
  readonly below: readonly string[]
  readonly broken: readonly string[]
}

/** What is known of a volume. */
export interface VolumeMemory {
  /** Ids of its places that take shares, each followed by the domains that it lies in, after spaces. */
  readonly places: readonly string[]
  /** The same places with other domains, which do not count yet, and since when they have these. */
  readonly relabelled?: { readonly places: readonly string[]; readonly sinceMs: number } | undefined
  /** Since when places have given no answer. */
  readonly awaySinceMs: Readonly<Record<string, number>>
  readonly collectedMs?: number
}

/** All that is remembered. */
export interface MaintenanceMemory {
  /** By keys that begin with the volume's and tell trees apart: no names, no secrets. */
  readonly trees: Readonly<Record<string, TreeMemory>>
  /** By the storage ids of volumes. */
  readonly volumes: Readonly<Record<string, VolumeMemory>>
  /** The last round of all trees, whatever process ran it; without an end it is under way, or was killed. */
  readonly round?: { readonly startedMs: number; readonly endedMs?: number }
}

/** Of a profile that was never maintained. */
export const emptyMemory: MaintenanceMemory = { trees: {}, volumes: {} }

/** Ids kept in a list. */
export const mostListed = 1000
/** Trees and volumes, and places of a volume. */
const mostNamed = 10_000
const version = 1

/** Writes it. */
export function encodeMemory(memory: MaintenanceMemory): string {
  return `${JSON.stringify({ version, ...memory }, null, 1)}\n`
}

/** Reads what `encodeMemory` wrote. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function decodeMemory(text: string): MaintenanceMemory {
  const all = fieldsOf(parsed(text))
  if (Number.isInteger(all["version"]) && (all["version"] as number) > version)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", "What maintenance remembers was written by a newer Holdfast.")
  if (all["version"] !== version) throw damaged()
  const trees = mapOf(all["trees"], treeOf)
  return { trees, volumes: mapOf(all["volumes"], volumeOf), ...whereThere(all, ["round"], roundOf) }
}

function roundOf(value: unknown): NonNullable<MaintenanceMemory["round"]> {
  const of = fieldsOf(value)
  return { startedMs: numberOf(of["startedMs"]), ...whereThere(of, ["endedMs"], numberOf) }
}

function treeOf(value: unknown): TreeMemory {
  const of = fieldsOf(value)
  return {
    lookedMs: numberOf(of["lookedMs"]),
    mended: numberOf(of["mended"]),
    below: idsOf(of["below"]),
    broken: idsOf(of["broken"]),
    ...whereThere(of, ["sweptMs", "sweptMended", "verifiedMs", "rebalancedMs", "mendedMs"], numberOf),
    ...whereThere(of, ["sweep", "verify", "rebalance"], passOf),
  }
}

function volumeOf(value: unknown): VolumeMemory {
  const of = fieldsOf(value)
  return {
    places: listOf(of["places"], mostNamed, textOf),
    awaySinceMs: mapOf(of["awaySinceMs"], numberOf),
    ...whereThere(of, ["collectedMs"], numberOf),
    ...whereThere(of, ["relabelled"], relabelledOf),
  }
}

function relabelledOf(value: unknown): NonNullable<VolumeMemory["relabelled"]> {
  const { places, sinceMs } = fieldsOf(value)
  return { places: listOf(places, mostNamed, textOf), sinceMs: numberOf(sinceMs) }
}

function passOf(value: unknown): Pass {
  const { startedMs, position, chunks, mended, below, broken } = fieldsOf(value)
  if (position !== "" && !isId(position)) throw damaged()
  return {
    ...{
      startedMs: numberOf(startedMs),
      position: position as string,
      chunks: numberOf(chunks),
      mended: numberOf(mended),
    },
    ...{ below: idsOf(below), broken: idsOf(broken) },
  }
}

/** Those fields that are there. */
function whereThere<K extends string, T>(
  of: Readonly<Record<string, unknown>>,
  names: readonly K[],
  read: (value: unknown) => T,
): { [name in K]?: T } {
  const there = names.filter((name) => of[name] !== undefined)
  return Object.fromEntries(there.map((name) => [name, read(of[name])])) as { [name in K]?: T }
}

function idsOf(value: unknown): string[] {
  return listOf(value, mostListed, (id) => {
    if (!isId(id)) throw damaged()
    return id
  })
}

function listOf<T>(value: unknown, most: number, read: (value: unknown) => T): T[] {
  if (!Array.isArray(value) || value.length > most) throw damaged()
  return value.map(read)
}

function mapOf<T>(value: unknown, read: (value: unknown) => T): Record<string, T> {
  const entries = Object.entries(fieldsOf(value))
  if (entries.length > mostNamed) throw damaged()
  return Object.fromEntries(entries.map(([name, one]) => [name, read(one)]))
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw damaged()
  return value as Record<string, unknown>
}

function textOf(value: unknown): string {
  if (typeof value !== "string" || value.length > 4096) throw damaged()
  return value
}

function numberOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw damaged()
  return value
}

function isId(value: unknown): value is string {
  return typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw damaged(cause)
  }
}

function damaged(cause?: unknown): HoldfastError {
  const told = "What maintenance remembers is damaged."
  return new HoldfastError("ERR_BAD_FORMAT", told, {}, cause === undefined ? {} : { cause })
}
