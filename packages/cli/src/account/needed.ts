/**
 * What an account needs of a volume: every chunk of its roots, of trees linked in them, and what single places hold of newer
 * values than the quorum's. A part of a tree that cannot be read costs nothing but space; a list that cannot be read ends all.
 */
import { equal, type HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountId,
  type Cap,
  decodeCap,
  encodeCap,
  type RegisterId,
  registerIdOf,
  toVerifyCap,
} from "@holdfast/protocol"
import { type CareKeys, type Collection, IdSet, type OwnValue, type Trim } from "@holdfast/store"
import { type CareList, careIds, decodeCare, emptyCare, type KeepsPast, referenceKey, withLevels } from "@holdfast/tree"
import { idsOf } from "../commands/files/check.ts"
import { openVolume } from "../commands/files/open-volume.ts"
import type { TreeVolume } from "../commands/files/tree-volume.ts"
import type { Session } from "../session.ts"

/** How values behind the newest are kept where the account cannot have wanted them gone, unless it says otherwise. */
export const usualKeepMs = 14 * 86_400_000

/** A root to keep. */
export interface NeededRoot {
  /** What it is called in messages. */
  readonly label: string
  readonly cap: string
  readonly keepMs?: number | undefined
  /** In the account's list: others who write into it hold what they write for the account too. */
  readonly isOwn?: boolean
}

/** What is needed. */
export interface Needed {
  readonly live: IdSet
  readonly liveAt: ReadonlyMap<string, IdSet>
  readonly registers: IdSet
  readonly trims: ReadonlyMap<string, readonly Trim[]>
  /** Trees linked in the roots. */
  readonly linked: readonly string[]
  /** True when every root could be walked, so that `linked` is all. */
  readonly isWhole: boolean
  /** What could not be read or trimmed, by label; all of it stays. */
  readonly problems: readonly { readonly label: string; readonly why: string }[]
}

/** How it is gathered. */
export interface GatherOptions {
  readonly session: Session
  readonly account: AccountId
  readonly collection: Collection
  readonly roots: readonly NeededRoot[]
  /** Trees that were linked in the roots the last time. */
  readonly linked: readonly string[]
  /** Registers that are needed besides. */
  readonly registers: readonly RegisterId[]
  /** What each place's clock says, as far as is known, by place. */
  readonly clocks: ReadonlyMap<string, number>
  /** Writes what is no longer needed out of the trees' lists. */
  readonly trim: boolean
  readonly warn: (text: string) => void
}

/** Gathers what is needed. Throws what reading a root's register or list throws: then nothing may be taken away. */
export async function gather(options: GatherOptions): Promise<Needed> {
  const gathering = new Gathering(options, await longestKeeps(options.roots))
  for (const root of options.roots) await gathering.root(root)
  for (const cap of options.linked) gathering.link(decodeCap(cap), "a linked tree")
  await gathering.finish()
  return gathering
}

/**
 * How long old values are kept, by register. One tree may be listed under several capabilities, by devices that may not shorten what
 * another listing says: the longest time holds. Without one the last values of any age stay.
 */
async function longestKeeps(roots: readonly NeededRoot[]): Promise<ReadonlyMap<string, number | undefined>> {
  const keeps = new Map<string, number | undefined>()
  for (const { cap: text, keepMs } of roots) {
    const cap = decodeCap(text)
    if (cap.kind === "ci" || cap.kind === "cv" || cap.kind === "lit") continue
    const key = toHex((await toVerifyCap(crypto, cap)).publicKey)
    const other = keeps.has(key) ? keeps.get(key) : keepMs
    keeps.set(key, keepMs === undefined || other === undefined ? undefined : Math.max(keepMs, other))
  }
  return keeps
}

class Gathering implements Needed {
  readonly live = new IdSet(crypto)
  readonly liveAt = new Map<string, IdSet>()
  readonly registers = new IdSet(crypto)
  readonly trims = new Map<string, Trim[]>()
  readonly problems: { label: string; why: string }[] = []
  isWhole = true
  readonly #options: GatherOptions
  readonly #keepMsOf: ReadonlyMap<string, number | undefined>
  readonly #linked = new Map<string, { readonly label: string; readonly cap: string }>()
  readonly #done = new Set<string>()
  readonly #segments = new Set<string>()

  constructor(options: GatherOptions, keeps: ReadonlyMap<string, number | undefined>) {
    this.#options = options
    this.#keepMsOf = keeps
    for (const id of options.registers) this.registers.add(id)
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
        await this.root(link).catch((error: unknown) => {
          // Somebody else's tree that is gone must not keep this account from collecting.
          if (!isHoldfastError(error, "ERR_NOT_FOUND")) throw error
          this.#problem(link.label, error)
        })
        this.#done.add(key)
      }
  }

  async root(root: NeededRoot): Promise<void> {
    const cap = decodeCap(root.cap)
    const key = keyOf(cap)
    if (this.#done.has(key)) return
    this.#done.add(key)
    if (cap.kind === "lit") return
    if (cap.kind === "cv") for await (const id of idsOf(cap)) this.live.add(id)
    else if (cap.kind === "ci") await this.#immutable(root, cap)
    else await this.#tree(root, cap)
  }

  /** An immutable root has no list beside it: when it cannot be walked, nothing is known of what it needs. */
  async #immutable({ label }: NeededRoot, cap: Cap): Promise<void> {
    const volume = await this.#open(cap, label)
    for await (const id of volume.chunksOf(volume.item(volume.root), { deep: true })) this.live.add(id)
  }

  async #tree(root: NeededRoot, cap: Exclude<Cap, { kind: "cv" | "ci" | "lit" }>): Promise<void> {
    const keys = await toVerifyCap(crypto, cap)
    this.registers.add(registerIdOf(keys.publicKey))
    const keepMs = this.#keepMsOf.get(toHex(keys.publicKey))
    if (cap.kind !== "dv" && cap.kind !== "fv") await this.#walk({ ...root, keepMs }, cap)
    const newest = await this.#options.session.store.registers.readCare(keys)
    for (const [i, care] of (newest?.care ?? []).entries())
      await this.#care(withLevels(decodeCare(care), newest?.levels?.[i]), this.live)
    await this.#ownValues({ ...root, keepMs }, keys, newest)
  }

  /**
   * Trims the tree's list and finds what is linked in it. What fails leaves the list as it is. The list is the word of whoever wrote
   * last, who may have left out what others need: what is reached is needed whatever it says.
   */
  async #walk({ label, keepMs, isOwn = false }: NeededRoot, cap: Cap): Promise<void> {
    try {
      const volume = await this.#open(cap, label)
      if (this.#options.trim && volume.access?.seed) {
        if (isOwn) await volume.tree!.holdFor(this.#options.account)
        await volume.tree!.trimCare(this.#keeps(keepMs))
      }
      for await (const reached of volume.reachedAll())
        if ("chunk" in reached) this.live.add(reached.chunk)
        else this.link(await volume.capOfLink(reached.junction), `${label} …/${reached.junction.name}`)
    } catch (error) {
      if (isHoldfastError(error, "ERR_NOT_FOUND")) return
      if (!isHoldfastError(error) || stopsAll.has(error.code)) throw error
      this.isWhole = false
      this.#problem(label, error)
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
    return Math.min(this.#options.session.env.clock.nowMs(), middle ?? 0)
  }

  async #ownValues(
    { keepMs = usualKeepMs }: NeededRoot,
    keys: CareKeys,
    newest: { readonly sequence: number; readonly care: readonly Uint8Array[] } | undefined,
  ): Promise<void> {
    const own = await this.#options.collection.ownValues(keys)
    for (const [place, values] of own) {
      for (const value of values) {
        const isListed = newest?.care.some((care) => equal(care, value.care)) ?? false
        const added = await this.#careAt(place, value, isListed).catch((error: unknown) => {
          // What is behind the quorum's value is wanted for its history alone, and may be gone elsewhere.
          if (isHoldfastError(error) && value.sequence >= (newest?.sequence ?? 0))
            this.#options.collection.leaveOut(place, error.message)
          else if (!isHoldfastError(error)) throw error
        })
        void added
      }
      const below = trimBelow(values, this.#options.clocks.get(place), keepMs)
      if (below !== undefined) {
        const trims = this.trims.get(place) ?? []
        this.trims.set(place, [...trims, { register: registerIdOf(keys.publicKey), below }])
      }
    }
  }

  /** A list that is the newest one's too is taken for its history alone, which may be another. */
  async #careAt(place: string, { care, levels }: OwnValue, isListed: boolean): Promise<void> {
    const set = this.liveAt.get(place) ?? new IdSet(crypto)
    this.liveAt.set(place, set)
    await this.#care(withLevels(isListed ? emptyCare : decodeCare(care), levels), set, place)
  }

  /** Adds what a list names; a segment that was read for all places, or for this one, is not read again. */
  async #care(list: CareList, set: IdSet, place = ""): Promise<void> {
    const isKnown = (key: string) => this.#segments.has(` ${key}`) || this.#segments.has(`${place} ${key}`)
    const segments = list.segments.filter((segment) => !isKnown(referenceKey(segment)))
    for await (const id of careIds(this.#options.session.store.chunks, { ...list, segments })) set.add(id)
    for (const segment of segments) this.#segments.add(`${place} ${referenceKey(segment)}`)
  }

  #open(cap: Cap, label: string): Promise<TreeVolume> {
    const { session, warn } = this.#options
    return openVolume(session, cap, { label, warn })
  }

  #problem(label: string, error: HoldfastError): void {
    this.problems.push({ label, why: error.message })
  }
}

/** Where history does not fit, or nobody can say what is needed: nothing is taken away then. */
const stopsAll: ReadonlySet<string> = new Set(["ERR_ROLLBACK", "ERR_FORK", "ERR_UNPROVEN", "ERR_NO_QUORUM"])

function keyOf(cap: Cap): string {
  return "seed" in cap || "publicKey" in cap ? encodeCap(cap) : `${cap.kind} ${encodeCap(cap)}`
}

/** The lowest sequence that a place is to keep; undefined when all of its values are. By that place's clock alone. */
export function trimBelow(values: readonly OwnValue[], nowMs: number | undefined, keepMs: number): number | undefined {
  if (nowMs === undefined) return undefined
  const first = values.findIndex((_, i) => i > 0 && nowMs - values[i - 1]!.receivedMs >= keepMs)
  return first > 0 ? values[first - 1]!.sequence : undefined
}
