/**
 * Collection: takes away what an account marked and none of its roots needs. The steps come in the order that makes it safe beside
 * anything: tokens, the account's list, its roots by quorum and at each place, marks that are missing, then signed orders.
 */
import type { Env } from "@holdfast/core"
import { type AccountId, type RegisterId, registerIdOf } from "@holdfast/protocol"
import type { CareKeys, Collected, Collection, CollectOptions, Collector, OwnValue, Store, Trim } from "@holdfast/store"
import type { Files } from "../files.ts"
import { gather, type Needed } from "./needed.ts"
import type { NeededRoot } from "./needed-root.ts"

/** What an account keeps on the volume, as its list has it. */
export interface AccountListing {
  readonly roots: readonly NeededRoot[]
  /** Trees that were linked in the roots the last time. */
  readonly linked: readonly string[]
  /** Keys of the account's list, which is needed too. */
  readonly list: CareKeys
  /** Registers that are needed besides: lists of devices, recovery kits. */
  readonly registers: readonly RegisterId[]
}

/** The account that collects. */
export interface CollectingAccount {
  readonly id: AccountId
  readonly collector: Collector
  /**
   * What it lists, with what its devices that may only append have ever listed. Unless nothing is to be changed the list is written,
   * also when it is the same: so each place has just said by its own clock when that was.
   */
  list(collection: Collection): Promise<AccountListing>
  /** Remembers which trees are linked in the roots, for when a node that links one cannot be read. Not called on a dry run. */
  noteLinked(needed: Pick<Needed, "linked" | "isWhole">, listing: AccountListing): Promise<void>
}

/** Where is collected. */
export interface CollectingVolume {
  readonly env: Env
  readonly store: Pick<Store, "chunks" | "registers" | "beginCollection">
  readonly files: Pick<Files, "open">
}

/** How to collect. */
export interface CollectGarbageOptions {
  /** Spares what was stored or used since; places spare more. */
  readonly graceMs: number
  /** Only tells what would be removed. */
  readonly dryRun: boolean
  /** Further trees that stay. */
  readonly keep: readonly NeededRoot[]
  /** The most ids of chunks that are kept in memory at once; with more, all trees are walked again for the next. */
  readonly mostIds?: number
  readonly warn: (text: string) => void
}

/** What was collected on a volume; `byRoot` has the roots that need chunks. */
export interface CollectReport extends Pick<Needed, "byRoot" | "problems" | "lost" | "outOfReach"> {
  readonly places: ReadonlyMap<string, Collected>
  readonly leftOut: ReadonlyMap<string, string>
  /** Why places do not hold all that the account needs. */
  readonly refused: Collection["refused"]
  readonly liveChunks: number
}

/** Collects for an account. Throws when it cannot be known what a root needs: then nothing was taken away. */
export async function collectGarbage(
  { env, store, files }: CollectingVolume,
  account: CollectingAccount,
  { graceMs, dryRun, keep, mostIds, warn }: CollectGarbageOptions,
): Promise<CollectReport> {
  const collection = await store.beginCollection()
  const listing = await account.list(collection)
  const list = registerIdOf(listing.list.publicKey)
  // The newest value's time is what each place's clock says: it took that one a moment ago.
  const listed = await collection.ownValues(listing.list)
  const parts = gather({
    ...{ env, store, files, warn, collection, account: account.id, linked: listing.linked, trim: !dryRun },
    ...(mostIds !== undefined && { mostIds }),
    goesOn: true,
    roots: [...listing.roots, ...keep],
    registers: [list, ...listing.registers],
    clocks: new Map([...listed].flatMap(([place, [newest]]) => (newest ? [[place, newest.receivedMs] as const] : []))),
  })
  let report = nothingCollected
  for await (const needed of parts) {
    const { live, liveAt, registers, outOfReach } = needed
    const isFirst = live.from === 0
    if (isFirst && !dryRun) await account.noteLinked(needed, listing)
    const how = {
      ...{ collector: account.collector, live, liveAt, registers, list, graceMs, dryRun },
      trims: withList(needed.trims, list, listed),
    }
    // An immutable root has no list: whatever is not known to be needed may be below what is out of reach.
    const places = outOfReach.length > 0 ? await holdOnly(collection, how) : await collection.run(how)
    report = withPart(report, needed, places)
  }
  const { leftOut, refused } = collection
  return { ...report, byRoot: report.byRoot.filter(({ chunks }) => chunks > 0), leftOut, refused }
}

/** What was collected, but for places that took no part. */
type Sum = Omit<CollectReport, "leftOut" | "refused">

const nothingCollected: Sum = { places: new Map(), byRoot: [], problems: [], lost: [], outOfReach: [], liveChunks: 0 }

/** The same with one part more. Each part looks at all registers and walks all trees: what that tells is told for the last one. */
function withPart(sum: Sum, { live, byRoot, ...walked }: Needed, places: ReadonlyMap<string, Collected>): Sum {
  const counts = new Map(sum.byRoot.map(({ label, chunks }) => [label, chunks]))
  for (const { label, chunks } of byRoot) counts.set(label, (counts.get(label) ?? 0) + chunks)
  const collected = new Map(sum.places)
  for (const [place, part] of places) {
    const before = collected.get(place)
    const registers = Math.max(before?.registers ?? 0, part.registers) // taken away for the first part, or for none
    collected.set(place, before ? { ...added(before, part), registers } : part)
  }
  return {
    places: collected,
    byRoot: [...counts].map(([label, chunks]) => ({ label, chunks })),
    ...{ problems: walked.problems, lost: walked.lost },
    outOfReach: walked.outOfReach.length > 0 ? walked.outOfReach : sum.outOfReach,
    liveChunks: sum.liveChunks + live.size,
  }
}

function added(a: Collected, b: Collected): Collected {
  return {
    shares: a.shares + b.shares,
    bytes: a.bytes + b.bytes,
    marks: a.marks + b.marks,
    young: a.young + b.young,
    registers: a.registers + b.registers,
    adopted: a.adopted + b.adopted,
  }
}

/** Marks what is needed and is not marked, and takes nothing away. */
async function holdOnly(collection: Collection, options: CollectOptions): Promise<ReadonlyMap<string, Collected>> {
  const nothing = { shares: 0, bytes: 0, marks: 0, young: 0, registers: 0 }
  const adopted = await collection.adopt(options)
  return new Map([...adopted].map(([place, count]) => [place, { ...nothing, adopted: count }]))
}

/**
 * Trims the account's list too: each collection writes it anew, and nothing is ever read of what it was. A place that enforces the
 * account's rights keeps nothing of it in the first place, a bucket everything.
 */
function withList(
  trims: Needed["trims"],
  register: RegisterId,
  listed: ReadonlyMap<string, readonly OwnValue[]>,
): Map<string, readonly Trim[]> {
  const all = new Map(trims)
  for (const [place, [newest, ...older]] of listed)
    if (newest && older.length > 0) all.set(place, [...(trims.get(place) ?? []), { register, below: newest.sequence }])
  return all
}
