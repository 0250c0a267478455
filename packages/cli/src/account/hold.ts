/**
 * Holding what others stored: a tree that is taken into the account's list, or linked in one of its trees, is marked for the
 * account at once, so that its owner may remove and collect it from then on. What is written into it later, by whoever may not
 * name this account in the tree, is marked by the next collection.
 */
import type { Session } from "@holdfast/client/volumes"
import { isHoldfastError } from "@holdfast/core"
import { decodeCap, encodeCap } from "@holdfast/protocol"
import type { Collection } from "@holdfast/store"
import { reachEntry } from "@holdfast/tree"
import { placeIn } from "../commands/files/lost.ts"
import { contentOf } from "../commands/files/opened-tree.ts"
import type { TreeVolume } from "../commands/files/tree-volume.ts"
import type { Item } from "../commands/files/volume.ts"
import { gather } from "./needed.ts"

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

/** Who is told of what is not held, and how that is called. */
interface HoldOptions {
  readonly label: string
  readonly warn: (text: string) => void
}

/**
 * Marks the trees that are linked in what was copied from one tree to another. A collection that has been through the one may not
 * come to the other before the link is gone from there: it must find marks that are younger than its tokens.
 */
export async function holdLinks(session: Session, item: Item, { label, warn }: HoldOptions): Promise<void> {
  const { entry, owner } = contentOf<TreeVolume>(item)
  for await (const met of reachEntry(owner.io, entry)) {
    if (met.kind !== "junction") continue // chunks of another tree were copied, and what is lost has been told
    const place = placeIn(label, met.where)
    try {
      await holdNow(session, encodeCap(await owner.capOfLink(met.junction)), { label: place, warn })
    } catch (error) {
      if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
      warn(`${place} is not held by this account: ${error.message}`) // it was copied all the same
    }
  }
}

/**
 * Marks all that `cap` stands for. What cannot be marked is told to `warn` with what to do: the capability stays good as long as
 * others keep its tree.
 */
export async function holdNow(session: Session, cap: string, { label, warn }: HoldOptions): Promise<boolean> {
  if (decodeCap(cap).kind === "lit") return true
  try {
    const { id: account } = await session.profile.account()
    const needed = await gather({
      ...{ session, account, roots: [{ label, cap }], linked: [], registers: [], warn, trim: false },
      ...{ collection: nothingBegun, clocks: new Map() },
    })
    for (const { label: part, why } of needed.problems) warn(`${part} is not held whole: ${why}`)
    await session.store.hold(needed.live, needed.registers)
    return needed.problems.length === 0
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    warn(
      `${label} is not held by this account yet, only by others: ${error.message} Then run \`holdfast gc\`, which holds it.`,
    )
    return false
  }
}
