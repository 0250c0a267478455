/** What maintenance is given: volumes with their trees, and where it remembers. */
import type { Env } from "@holdfast/core"
import type { Answer, Collector, Store } from "@holdfast/store"
import type { Footing } from "../footing.ts"
import type { CheckHealthOptions } from "../health.ts"
import type { MaintenanceMemory } from "./memory.ts"
import type { Hours, Schedule } from "./schedule.ts"

/** A tree to look after, by what its verify capability lists. */
export interface MaintainedTree {
  /** Tells it apart from others for as long as it is there: the volume's key, a slash, and no secret. */
  readonly key: string
  /** For messages. */
  readonly label: string
  /** What it stands on now, anew for each walk; its registers are known before its chunks. */
  footing(): Promise<Footing>
  /** Registers besides. */
  readonly more?: NonNullable<CheckHealthOptions["more"]>["registers"]
}

/** What came of a collection. */
export interface CollectedSum {
  readonly shares: number
  readonly bytes: number
  /** Why something was left as it is. */
  readonly problems: readonly string[]
}

/** A volume to look after. */
export interface MaintainedVolume {
  /** Its storage id. */
  readonly key: string
  readonly name: string
  /** The account that pays for what is mended, in hexadecimal. */
  readonly account: string
  /** The least number of servers that a write needs. */
  readonly happy: number
  readonly store: Pick<
    Store,
    "backends" | "voters" | "domains" | "checkChunk" | "sampleBlock" | "rebalanceChunk" | "beginCollection"
  >
  readonly trees: readonly MaintainedTree[]
  /** False for a place that takes nothing for now; all do when absent. */
  isTaking?(place: string): boolean
  /** Signs for what a rebalance frees where shares lay before. */
  readonly collector?: Collector | undefined
  /** Collects what nothing needs any more; absent where that may not be known. */
  readonly collect?: (() => Promise<CollectedSum>) | undefined
}

/** Volumes that are held open from one round to the next. */
export interface HeldVolumes {
  /** Those of now, as a round begins: what is open and the same goes on as it is. */
  open(): Promise<readonly MaintainedVolume[]>
  /** A round is over, with this report unless it could not begin: what broke in it is closed, to be opened anew by the next one. */
  settle(report?: RoundReport): Promise<void>
}

/** Where maintenance remembers. */
export interface MaintenanceFolder {
  load(): Promise<MaintenanceMemory>
  /** Whole or not at all, whatever happens meanwhile. */
  save(memory: MaintenanceMemory): Promise<void>
  /** Ids of chunks that readers found damaged, by the storage ids of volumes; again until they are not kept. */
  takeSuspects(): Promise<Suspects>
  /** Of those that were taken these are to be looked at still. */
  keepSuspects(left: Suspects): Promise<void>
}

/** Ids of chunks in hexadecimal, by the storage ids of volumes. */
export type Suspects = ReadonlyMap<string, ReadonlySet<string>>

/** What maintenance stands on. */
export interface MaintenanceDeps {
  readonly env: Env
  readonly folder: MaintenanceFolder
  readonly schedule: Schedule
  /** All trees of the profile are looked after: suspects that none of them has are of no tree any more. */
  readonly isAll?: boolean
  /** Nothing is done outside them. */
  readonly hours?: Hours | undefined
  /** A time's minute of the day by the clock on the wall. */
  minuteOfDay(timeMs: number): number
  readonly signal?: AbortSignal | undefined
  /** Runs a round while no other process of the profile runs one, for which it waits; at once when absent. */
  exclusively?<T>(round: () => Promise<T>): Promise<T>
  /** Hears of each chunk that was looked at. */
  readonly onChunk?: (() => void) | undefined
}

/** What a round did with a tree, and how it stands. */
export interface TreeReport {
  readonly tree: string
  readonly volume: string
  /** Chunks that were looked at before others: readers found them damaged, or they were it before. */
  suspects: number
  sample?: { readonly asked: number; readonly good: number }
  /** Servers were asked what they hold of so many chunks. */
  sweep?: { readonly chunks: number; readonly isDone: boolean }
  /** So many chunks were verified; `part` of all are done in the present pass. */
  verify?: { readonly chunks: number; readonly part: number; readonly isDone: boolean }
  rebalance?: { chunks: number; moved: number; released: number; isDone: boolean }
  /** Shares made anew. */
  mended: number
  /** Chunks that lack shares, and that no repair mends now: as known by the end; 1000 at most. */
  below: number
  broken: number
  /** What servers of registers lack still; those that do not answer are told with the volume. */
  registers: readonly { readonly server: string; readonly problem: string; readonly what: string }[]
  /** When it was last verified in full. */
  verifiedMs?: number | undefined
  /** Why it was left as it is. */
  error?: Error
}

/** What a round did with a volume. */
export interface VolumeReport {
  readonly volume: string
  /** Places that do not answer, and since when. */
  readonly away: readonly { readonly server: string; readonly sinceMs: number }[]
  /** Other places than at the last round. */
  readonly hasMoved: boolean
  /** Why places took nothing more of what was to be mended, for this account: they are full, or the quota is used up. */
  readonly refusing: readonly Answer[]
  readonly account: string
  readonly collected?: CollectedSum
  /** Why nothing was collected. */
  readonly error?: Error
}

/** What a round did. */
export interface RoundReport {
  readonly startedMs: number
  readonly endedMs: number
  readonly trees: readonly TreeReport[]
  readonly volumes: readonly VolumeReport[]
  /** The hours ended before all was done that is due. */
  readonly isCutShort: boolean
}
