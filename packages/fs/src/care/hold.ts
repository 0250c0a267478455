/**
 * Holding what others stored: a tree that is taken into the account's list, or linked in one of its trees, is marked for the
 * account at once, so that its owner may remove and collect it from then on. What is written into it later, by whoever may not
 * name this account in the tree, is marked by the next collection.
 */
import { type AccountId, decodeCap, encodeCap } from "@holdfast/protocol"
import type { Collection, Store } from "@holdfast/store"
import { reachEntry } from "@holdfast/tree"
import { placeIn } from "../damage.ts"
import type { Item } from "../file-system.ts"
import type { CollectingVolume } from "./garbage.ts"
import { gather, type Needed } from "./needed.ts"

/** Only what all places together have; each place's own values are for collections, which take something away. */
const nothingBegun: Collection = {
  leftOut: new Map(),
  refused: new Map(),
  ownValues: async () => new Map(),
  leaveOut: () => undefined,
  adopt: async () => new Map(),
  release: async () => 0,
  run: async () => new Map(),
}

/** What is held for whom. */
export interface HoldOptions {
  /** What the capability is called in messages. */
  readonly label: string
  readonly account: AccountId
  readonly warn: (text: string) => void
}

/** Marks all that `cap` stands for; gives what could not be marked, and why. Throws when it cannot be known what that is. */
export async function holdCap(
  {
    env,
    store,
    files,
  }: Omit<CollectingVolume, "store"> & { readonly store: Pick<Store, "chunks" | "registers" | "hold"> },
  cap: string,
  { label, account, warn }: HoldOptions,
): Promise<Needed["problems"]> {
  if (decodeCap(cap).kind === "lit") return []
  let problems: Needed["problems"] = []
  const parts = gather({
    ...{ env, store, files, account, roots: [{ label, cap }], linked: [], registers: [], warn, trim: false },
    ...{ collection: nothingBegun, clocks: new Map() },
  })
  for await (const needed of parts) {
    await store.hold(needed.live, needed.registers)
    problems = needed.problems
  }
  return problems
}

/** A tree that is linked in. */
export interface LinkedTree {
  /** Gives the strongest capability that the link gives. Throws ERR_BAD_CAPABILITY, ERR_CORRUPT. */
  readonly cap: () => Promise<string>
  /** Where it is, for messages. */
  readonly place: string
}

/**
 * The trees that are linked in what was copied to `label`, to be held at once where the copy is in another tree. A collection that has
 * been through the one may not come to the other before the link is gone from there: it must find marks that are younger than its tokens.
 */
export async function* linkedIn({ entry, owner }: Item, label: string): AsyncGenerator<LinkedTree, void, void> {
  for await (const met of reachEntry(owner.io, entry)) {
    if (met.kind !== "junction") continue // chunks of another tree were copied, and what is lost has been told
    const { junction } = met
    yield { cap: async () => encodeCap(await owner.capOfLink(junction)), place: placeIn(label, met.where) }
  }
}
