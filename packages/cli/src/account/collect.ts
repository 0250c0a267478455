/**
 * `gc`: takes away what the account marked and none of its roots needs. The steps come in the order that makes it safe beside
 * anything: tokens, the account's list, its roots by quorum and at each place, marks that are missing, then signed orders.
 */
import {
  absorb,
  changeAccountList,
  collectorOf,
  deviceRegisters,
  listKeysOn,
  publishListed,
  syncAccount,
} from "@holdfast/client/account"
import type { Session } from "@holdfast/client/volumes"
import { type RegisterId, registerIdOf, verifyKeyOf } from "@holdfast/protocol"
import type { Collected, Collection, CollectOptions, OwnValue, Trim } from "@holdfast/store"
import { gather, type Needed, type NeededRoot } from "./needed.ts"

/** How to collect. */
export interface CollectAccountOptions {
  readonly graceMs: number
  readonly dryRun: boolean
  /** Capabilities of trees that stay besides those of the account. */
  readonly keep: readonly { readonly label: string; readonly cap: string }[]
  readonly warn: (text: string) => void
}

/** What was collected on a volume. */
export interface CollectReport extends Pick<Needed, "byRoot" | "problems" | "lost" | "outOfReach"> {
  readonly volume: string
  readonly places: ReadonlyMap<string, Collected>
  readonly leftOut: ReadonlyMap<string, string>
  /** Why places do not hold all that the account needs. */
  readonly refused: Collection["refused"]
  readonly liveChunks: number
}

/** Collects on the session's volume. Throws ERR_REFUSED on an append-only device, and when it cannot be known what a root needs. */
export async function collectAccount(session: Session, options: CollectAccountOptions): Promise<CollectReport> {
  const { store, profile } = session
  const account = await profile.account()
  const collector = collectorOf(account)
  const collection = await store.beginCollection()
  const { notes, list: before } = await syncAccount(session)
  for (const note of notes) options.warn(note)
  const devices = await deviceRegisters(account, session, before.grants)
  const list = await absorb(session, { collection, devices, dryRun: options.dryRun, warn: options.warn })
  const listKeys = await listKeysOn(account, session.storage)
  const roots = [...list.roots].map(
    ([name, root]): NeededRoot => ({
      label: `${name}:`,
      cap: root.cap,
      keepMs: root.keepMs ?? list.keepMs,
      isOwn: true,
    }),
  )
  // The newest value's time is what each place's clock says: it took that one a moment ago.
  const listed = await collection.ownValues({
    publicKey: listKeys.publicKey,
    verifyKey: verifyKeyOf(listKeys.readKey),
  })
  const needed = await gather({
    ...{ session, account: account.id, collection, linked: list.linked, warn: options.warn, trim: !options.dryRun },
    goesOn: true,
    roots: [...roots, ...options.keep],
    registers: [
      registerIdOf(listKeys.publicKey),
      ...devices.map(({ register }) => register),
      ...list.kits.map(({ register }) => register),
    ],
    clocks: new Map([...listed].flatMap(([place, [newest]]) => (newest ? [[place, newest.receivedMs] as const] : []))),
  })
  if (!options.dryRun) {
    await noteLinked(session, needed)
    await publishListed(account, session, list)
  }
  const how = {
    ...{ collector, ...needed, list: registerIdOf(listKeys.publicKey) },
    ...{ trims: withList(needed.trims, registerIdOf(listKeys.publicKey), listed) },
    ...{ graceMs: options.graceMs, dryRun: options.dryRun },
  }
  // An immutable root has no list: whatever is not known to be needed may be below what is out of reach.
  const places = needed.outOfReach.length > 0 ? await holdOnly(collection, how) : await collection.run(how)
  return {
    volume: session.volume,
    places,
    leftOut: collection.leftOut,
    refused: collection.refused,
    byRoot: needed.byRoot,
    problems: needed.problems,
    lost: needed.lost,
    outOfReach: needed.outOfReach,
    liveChunks: needed.live.size,
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

/**
 * Remembers which trees are linked in the roots, for when a node that links one cannot be read. None is remembered for ever: a tree that
 * nothing links any more would never be freed.
 */
async function noteLinked(session: Session, { linked, isWhole }: Needed): Promise<void> {
  await changeAccountList(session, (list) => {
    const next = isWhole ? [...linked].sort() : [...new Set([...list.linked, ...linked])].sort()
    const isSame = next.length === list.linked.length && next.every((cap, i) => cap === [...list.linked].sort()[i])
    return isSame ? list : { ...list, linked: next }
  })
}
