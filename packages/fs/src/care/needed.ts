/**
 * What an account needs of a volume: every chunk of its roots, of trees linked in them, and what single places hold of newer
 * values than the quorum's. A part of a tree that is lost costs nothing but space, as all that the tree's list names stays;
 * what is only out of reach, and a list that cannot be read, ends all: then nobody knows what is needed.
 */
import { type Env, equal, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import {
  type AccountId,
  type Cap,
  decodeCap,
  encodeCap,
  type RegisterId,
  rankOf,
  registerIdOf,
  toVerifyCap,
} from "@holdfast/protocol"
import {
  type CareKeys,
  type Collection,
  IdSet,
  idPrefixes,
  mostIdsAtOnce,
  type OwnValue,
  type RegisterKeys,
  type Store,
  type Trim,
} from "@holdfast/store"
import {
  type CareList,
  careIds,
  decodeCare,
  emptyCare,
  isDamage,
  isOutOfReach,
  type KeepsPast,
  type LostNode,
  liveSetOf,
  reachEntry,
  referenceKey,
  withLevels,
} from "@holdfast/tree"
import { type LostPlace, lostPlace, placeIn } from "../damage.ts"
import type { FileSystem } from "../file-system.ts"
import type { Files } from "../files.ts"
import { idsOf } from "./footing.ts"
import { longestKeeps, trimBelow, usualKeepMs } from "./keeps.ts"
import { type KeptContent, type Link, linksKept } from "./kept-links.ts"
import type { NeededRoot } from "./needed-root.ts"
import { cannotKnow, isNonsense, stopsAll } from "./unknown.ts"

/** What is needed; of very many chunks a part, by the first bytes of their ids. */
export interface Needed {
  /** The chunks, and which part of all they are. */
  readonly live: IdSet
  readonly liveAt: ReadonlyMap<string, IdSet>
  readonly registers: IdSet
  readonly trims: ReadonlyMap<string, readonly Trim[]>
  /** How many chunks of this part each root needs that none before it needs, in the order of the roots. */
  readonly byRoot: readonly { readonly label: string; readonly chunks: number }[]
  /** Trees linked in the roots, in a version or a snapshot that is kept. */
  readonly linked: readonly string[]
  /** True when every root could be walked, so that `linked` is all; else the trees of the last time are among them. */
  readonly isWhole: boolean
  /** What could not be trimmed, or is gone, by label; all that it lists stays. */
  readonly problems: readonly { readonly label: string; readonly why: string }[]
  /** What is lost of the trees; all that their lists name stays. */
  readonly lost: readonly LostPlace[]
  /** Parts of immutable roots that some server may have and none gave: while there are any, nothing may be taken away. */
  readonly outOfReach: readonly LostPlace[]
}

/** How it is gathered. */
export interface GatherOptions {
  readonly env: Env
  readonly store: Pick<Store, "chunks" | "registers">
  /** Opens trees of the files. */
  readonly files: Pick<Files, "open">
  readonly account: AccountId
  readonly collection: Collection
  readonly roots: readonly NeededRoot[]
  /** Trees that were linked in the roots the last time: needed too while not every root can be walked. */
  readonly linked: readonly string[]
  /** Registers that are needed besides. */
  readonly registers: readonly RegisterId[]
  /** What each place's clock says, as far as is known, by place. */
  readonly clocks: ReadonlyMap<string, number>
  /** Writes what is no longer needed out of the trees' lists. */
  readonly trim: boolean
  /** The most ids of chunks that are kept at once. */
  readonly mostIds?: number
  /** Goes on where an immutable root is out of reach in part, for who takes nothing away then. */
  readonly goesOn?: boolean
  readonly warn: (text: string) => void
}

/**
 * Gathers what is needed, of very many chunks in parts, for each of which all roots are walked anew (decision 0032). When it cannot be
 * known of some tree, throws an error with the code of the first reason that names all of them: then nothing more may be taken away.
 */
export async function* gather(options: GatherOptions): AsyncGenerator<Needed, void, void> {
  const keeps = await longestKeeps(options.env.crypto, options.roots)
  for (let from = 0; from < idPrefixes; ) {
    // What was written out of the lists for the first part need not be again, nor said again what was said.
    const part = await gatherPart(
      from === 0 ? options : { ...options, trim: false, warn: () => undefined },
      from,
      keeps,
    )
    yield part
    from = part.live.before
  }
}

async function gatherPart(options: GatherOptions, from: number, keeps: Keeps): Promise<Needed> {
  const gathering = new Gathering(options, from, keeps)
  for (const root of options.roots) await gathering.root(root)
  await gathering.finish()
  // What a node links that cannot be read now, the collection before may have seen.
  if (!gathering.isWhole) for (const cap of options.linked) gathering.link(decodeCap(cap), "a linked tree")
  await gathering.finish()
  const [first] = gathering.unknown
  if (first) throw cannotKnow(first.error, gathering)
  return gathering
}

class Gathering implements Needed {
  readonly live: IdSet
  readonly liveAt = new Map<string, IdSet>()
  readonly registers: IdSet
  readonly trims = new Map<string, Trim[]>()
  readonly problems: { label: string; why: string }[] = []
  readonly lost: LostPlace[] = []
  readonly outOfReach: LostPlace[] = []
  /** Why it cannot be known what is needed. */
  readonly unknown: { readonly label: string; readonly error: HoldfastError }[] = []
  isWhole = true
  readonly #options: GatherOptions
  readonly #keepMsOf: Keeps
  /** What each root added, by the first bytes of ids: some of these may turn out to be of a later part. */
  readonly #added: { readonly label: string; readonly counts: Uint32Array }[] = []
  /** What all roots until now added. */
  #counted: Uint32Array = new Uint32Array(idPrefixes)
  readonly #linked = new Map<string, { readonly label: string; readonly cap: string }>()
  readonly #done = new Set<string>()
  readonly #segments = new Set<string>()

  constructor(options: GatherOptions, from: number, keeps: Keeps) {
    this.#options = options
    this.live = new IdSet(options.env.crypto, { from, most: options.mostIds ?? mostIdsAtOnce })
    this.registers = new IdSet(options.env.crypto)
    this.#keepMsOf = keeps
    for (const id of options.registers) this.registers.add(id)
  }

  get byRoot(): { label: string; chunks: number }[] {
    const within = (counts: Uint32Array) => counts.subarray(this.live.from, this.live.before)
    const sum = (counts: Uint32Array) => within(counts).reduce((total, count) => total + count, 0)
    return this.#added.map(({ label, counts }) => ({ label, chunks: sum(counts) }))
  }

  get linked(): string[] {
    return [...this.#linked.values()].map(({ cap }) => cap)
  }

  link(cap: Cap, label: string): void {
    if (cap.kind === "lit") return
    this.#linked.set(keyOf(cap), { label, cap: encodeCap(cap) })
  }

  /** Goes through linked trees, and those linked in them. */
  async finish(): Promise<void> {
    for (
      let open = [...this.#linked];
      open.length > 0;
      open = [...this.#linked].filter(([key]) => !this.#done.has(key))
    )
      for (const [key, link] of open) {
        await this.root(link)
        this.#done.add(key)
      }
  }

  /** Takes in what a root needs; or why that cannot be known. */
  async root(root: NeededRoot): Promise<void> {
    const cap = decodeCap(root.cap)
    const key = keyOf(cap)
    if (this.#done.has(key)) return
    this.#done.add(key)
    await this.#needsOf(root, cap)
    const counts = this.live.counts()
    this.#added.push({ label: root.label, counts: counts.map((count, i) => count - this.#counted[i]!) })
    this.#counted = counts
  }

  async #needsOf(root: NeededRoot, cap: Cap): Promise<void> {
    try {
      if (cap.kind === "lit") return
      if (cap.kind === "cv") for (const id of idsOf(cap)) this.live.add(id)
      else if (cap.kind === "ci") await this.#immutable(root, cap)
      else await this.#tree(root, cap)
    } catch (error) {
      if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
      // A tree that is gone, of somebody else perhaps, must not keep this account from collecting.
      if (isNonsense(cap, error)) this.#problem(root.label, error)
      else if (error.code === "ERR_NOT_FOUND") this.#notWalked(root.label, error)
      else this.unknown.push({ label: root.label, error })
    }
  }

  /** An immutable root has no list beside it: what is below a lost node, nobody can find any more. */
  async #immutable({ label }: NeededRoot, cap: Cap): Promise<void> {
    const files = await this.#open(cap, label)
    const junctions: Link[] = []
    for await (const met of reachEntry(files.io, files.root))
      if (met.kind === "chunk") this.live.add(met.chunk.id)
      else if (met.kind === "junction") junctions.push(met)
      else {
        this.#lost(label, met.lost)
        if (!isOutOfReach(met.lost.error)) continue
        if (this.#options.goesOn) this.outOfReach.push(lostPlace(label, met.lost))
        else this.unknown.push({ label, error: met.lost.error })
      }
    await this.#links(files, junctions)
  }

  async #tree(root: NeededRoot, cap: Exclude<Cap, { kind: "cv" | "ci" | "lit" }>): Promise<void> {
    const keys = await toVerifyCap(this.#options.env.crypto, cap)
    this.registers.add(registerIdOf(keys.publicKey))
    const keepMs = this.#keepMsOf.get(toHex(keys.publicKey))
    let newest: Newest
    const readList = async (onUnreadable: OnUnreadable) => {
      newest = await this.#options.store.registers.readCare(keys)
      for (const [i, care] of (newest?.care ?? []).entries())
        await this.#care(withLevels(decodeCare(care), newest?.levels?.[i]), this.live, { onUnreadable })
    }
    const files = cap.kind === "dv" || cap.kind === "fv" ? undefined : await this.#opened(cap, root.label)
    const isWhole = !files || (await this.#readable({ ...root, keepMs }, files, readList))
    if (!files) await readList((error) => void this.unknown.push({ label: root.label, error }))
    // While it cannot be walked its list alone says what it needs; lists of the values before may say more, and stay.
    const kept = await this.#ownValues(isWhole ? keepMs : Number.POSITIVE_INFINITY, files?.access ?? keys, newest)
    if (files) await this.#keptLinks(files, kept)
  }

  /** What a fellow writer took out of the history, its owner may go back to as long as places keep it: its links too. */
  async #keptLinks(files: FileSystem, kept: readonly KeptContent[]): Promise<void> {
    const { links, isWhole } = await linksKept(files.io, kept)
    if (!isWhole) this.isWhole = false // for what it cannot tell the collection before may
    await this.#links(files, links)
  }

  /** Undefined for a tree that no server knows: single places may. */
  async #opened(cap: Cap, label: string): Promise<FileSystem | undefined> {
    try {
      return await this.#open(cap, label)
    } catch (error) {
      if (!isHoldfastError(error, "ERR_NOT_FOUND")) throw error
      this.isWhole = false
      return undefined
    }
  }

  /** Walks a tree and takes its list, which is trimmed before when all of it can be read. True when that was so. */
  async #readable(
    root: NeededRoot,
    files: FileSystem,
    readList: (onUnreadable: OnUnreadable) => Promise<void>,
  ): Promise<boolean> {
    const { label } = root
    if (this.#options.trim && files.access?.seed) await this.#trim(root, files)
    const junctions: Link[] = []
    const { lost, unknown } = await liveSetOf(files.tree!, {
      onChunk: (id) => this.live.add(id),
      onJunction: (junction, where) => void junctions.push({ junction, where }),
      readList,
    })
    for (const node of lost) this.#lost(label, node)
    this.unknown.push(...unknown.map((error) => ({ label, error })))
    await this.#links(files, junctions)
    return lost.length + unknown.length === 0
  }

  /** What fails leaves the list as it is, which is never too short. */
  async #trim({ label, keepMs, isOwn = false }: NeededRoot, { tree }: FileSystem): Promise<void> {
    try {
      if (isOwn) await tree!.holdFor(this.#options.account)
      await tree!.trimCare(this.#keeps(keepMs))
    } catch (error) {
      if (!isHoldfastError(error) || stopsAll.has(error.code)) throw error
      if (!isDamage(error)) this.#problem(label, error) // else the walk tells what is damaged
    }
  }

  async #links(files: FileSystem, junctions: readonly Link[]): Promise<void> {
    for (const { junction, where } of junctions) {
      const label = placeIn(files.label, where)
      try {
        this.link(await files.capOfLink(junction), label)
      } catch (error) {
        if (!isHoldfastError(error)) throw error
        this.#notWalked(label, error)
      }
    }
  }

  #keeps(keepMs: number | undefined): KeepsPast | undefined {
    if (keepMs === undefined) return undefined
    const nowMs = this.#nowMs()
    return (_, endedMs) => keepMs > 0 && nowMs - endedMs < keepMs
  }

  /** The time by most places' clocks, and never later than by our own: what is kept by time must not go by one wrong clock. */
  #nowMs(): number {
    const clocks = [...this.#options.clocks.values()].sort((a, b) => a - b)
    const middle = clocks[Math.floor((clocks.length - 1) / 2)]
    return Math.min(this.#options.env.clock.nowMs(), middle ?? 0)
  }

  /** Gives what is in values that are kept behind the newest. */
  async #ownValues(
    keepMs: number | undefined,
    keys: CareKeys | RegisterKeys,
    newest: Newest,
  ): Promise<readonly KeptContent[]> {
    const own = await this.#options.collection.ownValues(keys)
    const rank = newest ? rankOf({ epoch: 0, ...newest }) : 0
    const kept: KeptContent[] = []
    for (const [place, values] of own) {
      for (const value of values) {
        const isListed = newest?.care.some((care) => value.care && equal(care, value.care)) ?? false
        await this.#careAt(place, value, isListed).catch((error: unknown) => {
          if (!isHoldfastError(error)) throw error
          // What is behind the quorum's value is wanted for its history alone, and may be gone elsewhere.
          if (value.sequence >= rank) this.#options.collection.leaveOut(place, error.message)
        })
      }
      const below = trimBelow(values, this.#options.clocks.get(place), keepMs ?? usualKeepMs)
      kept.push(...values.filter(({ sequence }) => sequence !== rank && sequence >= (below ?? 0)))
      const register = registerIdOf(keys.publicKey)
      const trims = this.trims.get(place) ?? []
      const isKnown = trims.some((trim) => equal(trim.register, register)) // a tree may be listed more than once
      if (below !== undefined && !isKnown) this.trims.set(place, [...trims, { register, below }])
    }
    return kept
  }

  /** A list that is the newest one's too is taken for its history alone, which may be another. */
  async #careAt(place: string, { care, levels }: OwnValue, isListed: boolean): Promise<void> {
    if (!care) throw new HoldfastError("ERR_CORRUPT", `${place} holds a value of a tree that its key does not open.`)
    const set = this.liveAt.get(place) ?? new IdSet(this.#options.env.crypto, { from: this.live.from })
    this.liveAt.set(place, set)
    await this.#care(withLevels(isListed ? emptyCare : decodeCare(care), levels), set, { place })
  }

  /** Adds what a list names; a segment that was read for all places, or for this one, is not read again. */
  async #care(
    list: CareList,
    set: IdSet,
    { place = "", onUnreadable }: { readonly place?: string; readonly onUnreadable?: OnUnreadable } = {},
  ): Promise<void> {
    const isKnown = (key: string) => this.#segments.has(` ${key}`) || this.#segments.has(`${place} ${key}`)
    const segments = list.segments.filter((segment) => !isKnown(referenceKey(segment)))
    let isRead = true
    const tell = (error: HoldfastError) => {
      isRead = false
      onUnreadable?.(error)
    }
    const { chunks } = this.#options.store
    for await (const id of careIds(chunks, { ...list, segments }, onUnreadable && tell))
      if (this.live.covers(id)) set.add(id)
    if (isRead) for (const segment of segments) this.#segments.add(`${place} ${referenceKey(segment)}`)
  }

  #open(cap: Cap, label: string): Promise<FileSystem> {
    const { files, warn } = this.#options
    return files.open(cap, { label, warn })
  }

  #notWalked(label: string, error: HoldfastError): void {
    this.isWhole = false
    this.#problem(label, error)
  }

  #problem(label: string, error: HoldfastError): void {
    this.problems.push({ label, why: error.message })
  }

  #lost(label: string, node: LostNode): void {
    this.isWhole = false
    this.lost.push(lostPlace(label, node))
  }
}

type Keeps = Awaited<ReturnType<typeof longestKeeps>>
type Newest = Awaited<ReturnType<Store["registers"]["readCare"]>>
type OnUnreadable = (error: HoldfastError) => void

function keyOf(cap: Cap): string {
  return "seed" in cap || "publicKey" in cap ? encodeCap(cap) : `${cap.kind} ${encodeCap(cap)}`
}
