/** Snapshots: roots kept under a name. Making one copies nothing. */
import { HoldfastError } from "@holdfast/core"
import { listDirectory, lookupEntry } from "./directory.ts"
import { updateDirectory } from "./directory-update.ts"
import { type DirectoryEntry, type Entry, plainAttributes } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import type { NodePack } from "./pack.ts"
import type { DirectoryRef } from "./reference.ts"
import type { TreeState } from "./root.ts"

/** Where the roots are committed. */
interface Commits {
  readonly io: TreeIo
  snapshotDirectory(): Promise<DirectoryRef>
  commitState(change: (state: TreeState, pack: NodePack) => Promise<TreeState>): Promise<unknown>
}

/** The snapshots of one tree. An entry's `reference` is the root of its time, `mtimeNs` when it was made. */
export class Snapshots {
  readonly #tree: Commits

  constructor(tree: Commits) {
    this.#tree = tree
  }

  /** Keeps the newest root as `name`. Throws ERR_ALREADY_EXISTS, ERR_INVALID_NAME. */
  async create(name: string): Promise<DirectoryEntry> {
    checkSnapshotName(name)
    const { io } = this.#tree
    const attributes = plainAttributes(0o755, io.env.clock.nowMs())
    let made: DirectoryEntry | undefined
    await this.#tree.commitState(async (state, pack) => {
      if (await lookupEntry(io, state.snapshots, name))
        throw new HoldfastError("ERR_ALREADY_EXISTS", `There is a snapshot "${name}" already. Choose another name.`)
      made = { ...attributes, name, kind: "directory", size: 0, reference: state.root }
      return { ...state, snapshots: await updateDirectory(io, pack, state.snapshots, new Map([[name, made]])) }
    })
    return made!
  }

  /** All snapshots by name. */
  async *list(): AsyncGenerator<DirectoryEntry, void, void> {
    const snapshots = await this.#tree.snapshotDirectory()
    for await (const entry of listDirectory(this.#tree.io, snapshots)) if (isSnapshot(entry)) yield entry
  }

  /** The snapshot called `name`; undefined when there is none. */
  async lookup(name: string): Promise<DirectoryEntry | undefined> {
    const entry = await lookupEntry(this.#tree.io, await this.#tree.snapshotDirectory(), name)
    return entry && isSnapshot(entry) ? entry : undefined
  }

  /** Forgets a snapshot. Throws ERR_NOT_FOUND. */
  async remove(name: string): Promise<void> {
    const { io } = this.#tree
    await this.#tree.commitState(async (state, pack) => {
      if (!(await lookupEntry(io, state.snapshots, name)))
        throw new HoldfastError("ERR_NOT_FOUND", `There is no snapshot "${name}".`)
      return { ...state, snapshots: await updateDirectory(io, pack, state.snapshots, new Map([[name, null]])) }
    })
  }
}

const maxNameLength = 64

/** "/" and "@" would make a snapshot that no path can name. */
function checkSnapshotName(name: string): void {
  if (name !== "" && !/[/@\0]/.test(name) && name.length <= maxNameLength && name.isWellFormed()) return
  throw new HoldfastError(
    "ERR_INVALID_NAME",
    `"${name}" cannot name a snapshot: use 1 to ${maxNameLength} letters without / and @.`,
    { name },
  )
}

function isSnapshot(entry: Entry): entry is DirectoryEntry {
  return entry.kind === "directory"
}
