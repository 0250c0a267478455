/**
 * A tree: directories and files under the root in a register. A commit writes new chunks and then moves the register,
 * so it is there as a whole or not at all. Writers may race: who loses merges and tries again.
 */
import { type Env, HoldfastError, toHex } from "@holdfast/core"
import type { AccountId, ChunkId } from "@holdfast/protocol"
import {
  type Author,
  type ChunkRef,
  type ChunkStore,
  levelChunks,
  type RegisterKeys,
  type RegisterStore,
  stoppedRegisters,
} from "@holdfast/store"
import { backOff, busy, maxAttempts } from "./attempts.ts"
import { appendCare, type CareList, careIds, emptyCare, encodeCare, exactCare, isExact, joinAccounts } from "./care.ts"
import { type ChangeState, changeNewest } from "./change.ts"
import { type ListOptions, listDirectory, lookupEntry } from "./directory.ts"
import type { Entry } from "./entry.ts"
import { freshChunks } from "./fresh-chunks.ts"
import { createTreeIo, type TreeIo } from "./io.ts"
import { LastKnown } from "./last-known.ts"
import { allNeededBy, neededBy } from "./needed-ids.ts"
import { readNewest } from "./newest.ts"
import type { NodePack } from "./pack.ts"
import {
  type Current,
  type Followed,
  mergedHistory,
  mergedSnapshots,
  mergeSiblings,
  mergeStates,
  uncertainChunks,
  writersOf,
} from "./races.ts"
import { type Reached, type ReachOptions, reach, startsOf } from "./reach.ts"
import { type DirectoryRef, referenceKey, sameReference, settle } from "./reference.ts"
import {
  encodeRoot,
  isSameState,
  nextRoot,
  type PastRoot,
  type RootContent,
  rootEntry,
  type TreeState,
} from "./root.ts"
import { CommitSession, type Path, requireDirectory } from "./session.ts"
import { Snapshots } from "./snapshot.ts"
import { Turns } from "./turns.ts"

/** What a tree stands on. */
export interface TreeOptions {
  readonly chunks: ChunkStore
  readonly registers: RegisterStore
  readonly env: Env
  readonly keys: RegisterKeys
  /** Shared with others when given: its caches are used for all. */
  readonly io?: TreeIo
  /** The account that a new tree is held for, whoever writes into it. */
  readonly account?: AccountId
}

/** What a commit did. */
export interface CommitResult {
  readonly root: DirectoryRef
  /** Sequence of the register afterwards. */
  readonly sequence: number
  /** False when there was nothing to change, and nothing was written. */
  readonly changed: boolean
  /** Copies kept because another writer changed the same. */
  readonly conflicts: readonly Path[]
  /** Register writes tried. */
  readonly attempts: number
  /** Devices whose changes were merged with these, by the names that they give themselves. */
  readonly writers?: readonly string[]
}

/** Where a path leads: its entry, or a junction on the way with the names that are left. */
export interface Resolution {
  readonly entry: Entry
  readonly rest: Path
}

/** A version of a tree. */
export interface TreeVersion {
  readonly sequence: number
  readonly timeMs: number
  readonly root: DirectoryRef
  /** The device that wrote it: of the newest proven by its key, of others as later writers say. */
  readonly author?: Author
}

/** Whether a past root stays, which was the newest until `endedMs` by the clocks of its writers. */
export type KeepsPast = (past: PastRoot, endedMs: number) => boolean

/** Opens the tree whose root the register of `keys` holds. Throws ERR_NOT_FOUND when no server knows it. */
export async function openTree(options: TreeOptions): Promise<Tree> {
  const tree = new Tree(options)
  await tree.content()
  return tree
}

/** Writes an empty root into a fresh register and opens it. Throws ERR_ALREADY_EXISTS. */
export async function createTree(options: TreeOptions): Promise<Tree> {
  const content = { root: null, commitTimeMs: options.env.clock.nowMs(), history: [], snapshots: null }
  const accounts = options.account ? [options.account] : []
  const parts = { content: encodeRoot(content), care: encodeCare({ ...emptyCare, accounts }) }
  if (!(await options.registers.write(options.keys, 0, parts, { accounts })))
    throw new HoldfastError("ERR_ALREADY_EXISTS", "This capability has a directory already. Open it instead.")
  return new Tree(options)
}

/** An open tree. It holds nothing that needs closing. */
export class Tree {
  readonly io: TreeIo
  readonly snapshots: Snapshots
  readonly #options: TreeOptions
  readonly #turns: Turns
  readonly #last: LastKnown

  constructor(options: TreeOptions, turns = new Turns(), last = new LastKnown(options.env.clock)) {
    this.#options = options
    this.#turns = turns
    this.#last = last
    this.io = options.io ?? createTreeIo(options)
    this.snapshots = new Snapshots(this)
  }

  /** The same tree; work with it throws the signal's reason as soon as it aborts. A commit that was stopped may still be made, or not. */
  stoppedBy(signal: AbortSignal): Tree {
    const io = this.io.stoppedBy(signal)
    const registers = stoppedRegisters(this.#options.registers, signal)
    return new Tree({ ...this.#options, io, chunks: io.chunks, registers }, this.#turns.stoppedBy(signal), this.#last)
  }

  /** The newest root. Asks the register each time: keep it, and pass it as `at` for consistent reads. */
  async root(): Promise<DirectoryRef> {
    return (await this.content()).root
  }

  /**
   * The newest content of the register: root, history, snapshots. Where writers raced any of their values may be the one
   * that was acknowledged, so it shows what the next commit makes of them; the nodes that takes are stored.
   */
  async content(): Promise<RootContent> {
    const current = await this.#read()
    if (current.siblings.length === 0) return current.content
    return { ...current.content, ...(await mergeSiblings(this.io, current, [])) }
  }

  /** The newest version and those before that are kept, newest first. */
  async versions(): Promise<TreeVersion[]> {
    const { sequence, content, authors } = await this.#read()
    const newest = { sequence, timeMs: content.commitTimeMs, root: content.root }
    return [newest, ...content.history].map((version) => {
      const author = authors.find((one) => one.sequence === version.sequence)?.author
      return author ? { ...version, author } : version
    })
  }

  /** The directory of snapshots as the next commit makes it: for this no root needs to be readable. */
  async snapshotDirectory(): Promise<DirectoryRef> {
    return mergedSnapshots(this.io, await this.#read())
  }

  /** The entry at `path`; undefined when there is none. The root's own entry has an empty name. */
  async lookup(path: Path, at?: DirectoryRef): Promise<Entry | undefined> {
    const found = await this.resolve(path, at)
    return found && found.rest.length === 0 ? found.entry : undefined
  }

  /** As lookup, but stops at a junction and tells which names are left to look up in its tree. */
  async resolve(path: Path, at?: DirectoryRef): Promise<Resolution | undefined> {
    let entry: Entry = rootEntry(at === undefined ? await this.root() : at)
    for (const [depth, name] of path.entries()) {
      if (entry.kind === "junction") return { entry, rest: path.slice(depth) }
      if (entry.kind !== "directory") return undefined
      const next = await lookupEntry(this.io, entry.reference, name)
      if (!next) return undefined
      entry = next
    }
    return { entry, rest: [] }
  }

  /** The entries of the directory at `path`, in order. Throws ERR_NOT_FOUND, ERR_NOT_A_DIRECTORY. */
  async *list(
    path: Path,
    { at, ...options }: ListOptions & { readonly at?: DirectoryRef } = {},
  ): AsyncGenerator<Entry, void, void> {
    const directory = requireDirectory(await this.lookup(path, at), path)
    yield* listDirectory(this.io, directory.reference, options)
  }

  /**
   * Makes the changes that `change` asks of its session, all at once. What they name may still be on its way to the servers: the
   * commit is made when `stored` resolves. Throws ERR_CONFLICT after 20 lost races, and what `stored` throws.
   */
  async commit(change: (session: CommitSession) => Promise<void>, stored?: Promise<unknown>): Promise<CommitResult> {
    return this.commitState(async (state, pack) => {
      const session = new CommitSession(this.io, state.root)
      await change(session)
      return { ...state, root: await session.apply(pack), part: session.part }
    }, stored)
  }

  /** Commits what `change` makes of the state; for snapshots and other work on whole roots. One after another: see `Turns`. */
  async commitState(change: ChangeState, stored?: Promise<unknown>): Promise<CommitResult> {
    return this.#turns.run(() => this.#commitNow(change, stored))
  }

  async #commitNow(change: ChangeState, stored: Promise<unknown> | undefined): Promise<CommitResult> {
    const made = await changeNewest(this.io, this.#last.get(), { read: () => this.#read(), change, stored })
    let { current, conflicts } = made
    const { base, changed } = made
    if (isSameState(changed, current.content) && current.siblings.length === 0)
      return { root: base.root, sequence: current.sequence, changed: false, conflicts, attempts: 0 }
    const own = { root: settle(changed.root), snapshots: settle(changed.snapshots) }
    let mine = own
    // A try that was not acknowledged may have been seen and followed: what it referred to is still to be made certain.
    const owed = new Map<string, ChunkId>()
    const { clock } = this.io.env
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const next = nextRoot(current.content, current.sequence, { ...mine, part: changed.part }, clock.nowMs())
      const { care, fresh } = await this.#careFor(current, mine)
      for (const id of fresh) owed.set(toHex(id), id)
      if (await this.#write(current, next, care, [...owed.values()])) {
        this.#last.keep(next)
        return {
          ...{ root: mine.root, sequence: current.sequence + 1, changed: true, conflicts, attempts: attempt },
          ...(conflicts.length > 0 && { writers: writersOf(current) }),
        }
      }
      await backOff(this.io.env, attempt)
      current = await this.#read()
      conflicts = []
      // Always from the first base: a value read between may be a sibling (this writer's own) that nobody followed.
      mine = await mergeStates(
        this.io,
        { base, mine: own, theirs: await mergeSiblings(this.io, current, conflicts) },
        conflicts,
      )
    }
    throw busy()
  }

  /**
   * Goes back to a root that `choose` takes from a past root or a snapshot of `content`. Nothing of the newest root is read, so
   * it may be lost; it stays in the history. Throws ERR_CONFLICT, ERR_WRONG_CAPABILITY, and what `choose` throws.
   */
  async restore(choose: (content: RootContent) => Promise<DirectoryRef>): Promise<CommitResult> {
    // As for any commit: what a try referred to that was not acknowledged is still to be made certain.
    const owed = new Map<string, ChunkId>()
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const current = await this.#read()
      const { sequence, content, siblings } = current
      const snapshots = await mergedSnapshots(this.io, current)
      const raced = siblings.map(({ root, commitTimeMs }) => ({ sequence, timeMs: commitTimeMs, root }))
      const known = { ...content, snapshots, history: mergedHistory(raced, content, siblings) }
      const root = await choose(known)
      const result = { root, conflicts: [], attempts: attempt }
      if (attempt === 1 && sameReference(root, content.root) && siblings.length === 0)
        return { ...result, sequence, changed: false, attempts: 0 }
      const next = nextRoot(known, sequence, { root, snapshots }, this.io.env.clock.nowMs())
      // The chunks of a kept root are listed, and needed all the time, so that nothing has to be looked at.
      const { care, fresh } = await this.#careFor(current, { root, snapshots }, [root])
      for (const id of [...fresh, ...(await uncertainChunks(this.io, current, root))]) owed.set(toHex(id), id)
      if (await this.#write(current, next, care, [...owed.values()]))
        return { ...result, sequence: sequence + 1, changed: true }
      await backOff(this.io.env, attempt)
    }
    throw busy()
  }

  /** Every chunk that the newest root, its history and its snapshots need. Throws at what cannot be read. */
  async *chunks(): AsyncGenerator<ChunkRef, void, void> {
    for await (const met of this.reach())
      if (met.kind === "lost") throw met.lost.error
      else if (met.kind === "chunk") yield met.chunk
  }

  /** All that the newest root, its snapshots and its history stand on; what cannot be read is told, and the rest goes on. */
  async *reach(options?: ReachOptions): AsyncGenerator<Reached, void, void> {
    const { content, siblings, care } = await this.#read()
    const where = { path: [], version: "newest" } as const
    for (const { segments, levels } of care) {
      for (const { chunk } of segments) yield { kind: "chunk", chunk, where }
      // A history that cannot be read is told as lost by the id of its index.
      if (levels)
        for await (const chunk of levelChunks(this.io.chunks, levels, () => undefined))
          yield { kind: "chunk", chunk, where }
    }
    yield* reach(this.io, [content, ...siblings].flatMap(startsOf), options)
  }

  /** As `chunks`, but from the care list: also what was needed lately, and nothing of the tree is read. See careIds. */
  async *caredFor(onUnreadable?: (error: HoldfastError) => void): AsyncGenerator<ChunkId, void, void> {
    for (const list of (await this.#read()).care) yield* careIds(this.io.chunks, list, onUnreadable)
  }

  /**
   * Has the tree held for `account` too, whoever writes into it from now on; what it needs already is for that account to mark.
   * Does nothing when it is, or when as many as can be are. Throws ERR_CONFLICT, ERR_WRONG_CAPABILITY.
   */
  async holdFor(account: AccountId): Promise<void> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const { epoch, sequence, content, siblings, care } = await this.#read()
      const accounts = joinAccounts([...care, { accounts: [account] }])
      if (accounts.length === care[0]!.accounts.length) return
      if (siblings.length > 0) await this.commitState(async (state) => state)
      else if (await this.#write({ epoch, sequence }, content, { ...care[0]!, accounts }, [])) return
      await backOff(this.io.env, attempt)
    }
    throw busy()
  }

  /**
   * Writes the care list anew when it names what is no longer needed, lacks what is, or cannot be read itself, and leaves out
   * of the history what `keeps` does not want; not when anything of the tree cannot be read, as then only the list knows what is below.
   * To be
   * called before anything is removed, so that nobody who checks by the list misses it. Throws ERR_CONFLICT, ERR_WRONG_CAPABILITY.
   */
  async trimCare(keeps: KeepsPast = () => true): Promise<void> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const { epoch, sequence, content, siblings, care } = await this.#read()
      if (siblings.length > 0) {
        await this.commitState(async (state) => state)
        continue
      }
      const endedMs = (i: number) => content.history[i - 1]?.timeMs ?? content.commitTimeMs
      const history = content.history.filter((past, i) => keeps(past, endedMs(i)))
      const kept = { ...content, history }
      const first = await neededBy(this.io, kept)
      if (!first) return
      const parts = () => allNeededBy(this.io, kept, { first })
      const isSame = history.length === content.history.length
      if (isSame && (await isExact(this.io.chunks, care[0]!, parts()))) return
      const exact = await exactCare(this.io.chunks, parts(), joinAccounts(care))
      if (await this.#write({ epoch, sequence }, kept, exact, segmentsOf(exact))) return
      await backOff(this.io.env, attempt)
    }
    throw busy()
  }

  async #read(): Promise<Current> {
    const { registers, keys } = this.#options
    const current = await readNewest(this.io, registers, keys)
    if (current.siblings.length > 0) this.#last.forget()
    else this.#last.keep(current.content)
    return current
  }

  #write({ epoch, sequence }: Followed, content: RootContent, care: CareList, chunks: readonly ChunkId[]) {
    const [{ registers, keys }, parts] = [this.#options, { content: encodeRoot(content), care: encodeCare(care) }]
    return registers.write(keys, sequence, parts, { chunks, accounts: care.accounts, afterEpoch: epoch })
  }

  /**
   * The care list for `mine`, which follows `current`: old roots and snapshots are listed already. All that is new in it, with
   * the chunks of the list itself, is to be there when the commit is acknowledged: it may come from a snapshot or root that
   * nobody needed in the meantime.
   */
  async #careFor(
    { content, care }: Current,
    mine: TreeState,
    kept: readonly DirectoryRef[] = [],
  ): Promise<{ readonly care: CareList; readonly fresh: readonly ChunkId[] }> {
    const listed = [content.root, ...content.history.map((past) => past.root), ...kept]
    const steps = [
      { before: content.root, after: mine.root },
      { before: content.snapshots, after: mine.snapshots },
    ]
    const known = listed.flatMap((root) => (root ? [referenceKey(root)] : []))
    const fresh = await freshChunks(this.io, steps, known)
    const list = await appendCare(this.io.chunks, care, fresh)
    const before = new Set(care.flatMap(segmentsOf).map(toHex))
    return { care: list, fresh: [...fresh, ...segmentsOf(list).filter((id) => !before.has(toHex(id)))] }
  }
}

/** The chunks that hold a care list's segments. */
function segmentsOf({ segments }: CareList): ChunkId[] {
  return segments.map(({ chunk }) => chunk.id)
}
