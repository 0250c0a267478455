/** Changing the newest version of a tree, and the one known last while servers say whether it still is the newest. */
import type { TreeIo } from "./io.ts"
import { isVersion } from "./last-known.ts"
import type { NodePack } from "./pack.ts"
import { type Current, mergeSiblings } from "./races.ts"
import type { NextState, RootContent, TreeState } from "./root.ts"
import type { Path } from "./session.ts"

/** Makes a state of another one; its new nodes go to `pack`. It may run again, on another version. */
export type ChangeState = (state: TreeState, pack: NodePack) => Promise<NextState>

/** What became of a version. */
export interface Changed {
  readonly current: Current
  /** The version, its siblings merged. */
  readonly base: TreeState
  readonly changed: NextState
  /** Copies kept of what siblings changed both. */
  readonly conflicts: Path[]
}

/** What is changed, and how. */
export interface Changing {
  /** Asks for the newest version. */
  readonly read: () => Promise<Current>
  readonly change: ChangeState
  /** Resolves when what the change names is stored. */
  readonly stored: Promise<unknown> | undefined
}

/**
 * What `change` makes of the newest version, its nodes stored. `known` is changed while servers are asked; when another one is the
 * newest, that is changed instead, as if nothing had been done. Throws what reading and changing the newest throw, and what `stored` does.
 */
export async function changeNewest(
  io: TreeIo,
  known: RootContent | undefined,
  { read, change, stored }: Changing,
): Promise<Changed> {
  const make = async (version: Pick<Current, "content" | "siblings">) => {
    const conflicts: Path[] = []
    const base = await mergeSiblings(io, version, conflicts)
    const pack = io.newPack()
    const changed = await change(base, pack)
    await Promise.all([pack.seal(), stored])
    return { base, changed, conflicts }
  }
  const [tried, newest] = await Promise.allSettled([known && make({ content: known, siblings: [] }), read()])
  if (newest.status === "rejected") throw newest.reason
  const current = newest.value
  if (!known || !isVersion(known, current)) return { ...(await make(current)), current }
  if (tried.status === "rejected") throw tried.reason
  return { ...tried.value!, current }
}
