/**
 * What commands mark until their commits, remembered here and written down in bulk: an object for up to 131,072 chunks instead
 * of a request for each. Of each share is known under which key and when, by the bucket's clock, it was last seen there.
 */
import { toHex } from "@holdfast/core"
import type { AccountId, BatchToken, ChunkId, RegisterId } from "@holdfast/protocol"
import { countBelow, pack } from "./ids.ts"
import type { ShareKey } from "./keys.ts"
import { condemnedRecord, condemnedRecordBytes, type Marks, mostListed } from "./lists.ts"

/** What one or more mark objects say, an object for each account. */
export interface Segment {
  readonly accounts: readonly AccountId[]
  readonly marks: Marks
  /** The shares that the command relies on, as records of `condemnedRecord`, packed and ascending. */
  readonly shares: Uint8Array
  /** When the share that was seen longest ago was seen. */
  seenMs: number
  /** Names of the objects that are put, by account. */
  readonly names: Map<string, string>
}

interface Pending {
  readonly share: ShareKey
  readonly seenMs: number
}

/** What is held for one set of accounts. */
interface Group {
  readonly accounts: readonly AccountId[]
  readonly shares: Map<string, Pending>
  readonly registers: Map<string, RegisterId>
}

/** One command's marks. */
export class Batch {
  readonly segments: Segment[] = []
  readonly #groups = new Map<string, Group>()
  /** Why nothing more can be done with it. */
  broken: string | undefined
  /** Shares are in it that others put, perhaps long ago. */
  hasFound = false
  hasShares = false
  /** So many segments were held against the lists of condemned after they were written. */
  judged = 0
  /** Those that are in it, for which accounts. */
  readonly #registers = new Set<string>()
  /** The mark objects that are being put. */
  writing: Promise<unknown> = Promise.resolve()

  /** Marks a share that was seen under its key at `seenMs`. */
  addShare(accounts: readonly AccountId[], share: ShareKey, seenMs: number): void {
    this.hasShares = true
    const group = this.#group(accounts)
    group.shares.set(`${toHex(share.id)}.${share.index}`, { share: { ...share, id: share.id.slice() }, seenMs })
    if (group.shares.size + group.registers.size >= mostListed) this.#close(group)
  }

  /** Marks a register, once. */
  addRegister(accounts: readonly AccountId[], id: RegisterId): void {
    const name = [id, ...accounts].map(toHex).join()
    if (this.#registers.has(name)) return
    this.#registers.add(name)
    const group = this.#group(accounts)
    group.registers.set(toHex(id), id.slice())
    if (group.shares.size + group.registers.size >= mostListed) this.#close(group)
  }

  /** Makes segments of all that is pending. */
  closeSegments(): void {
    for (const group of this.#groups.values()) this.#close(group)
  }

  /** When the share not yet in a segment that was seen longest ago was seen; undefined when all are. */
  oldestPendingMs(): number | undefined {
    let oldest: number | undefined
    for (const { shares } of this.#groups.values()) {
      const [first] = shares.values() // in order of their times, but for a few seconds
      if (first) oldest = Math.min(oldest ?? first.seenMs, first.seenMs)
    }
    return oldest
  }

  /** True when a share of this number is in it, whatever its generation. */
  hasShare(id: ChunkId, index: number): boolean {
    const name = `${toHex(id)}.${index}`
    if ([...this.#groups.values()].some(({ shares }) => shares.has(name))) return true
    const [from, to] = [index, index + 1].map((i) =>
      condemnedRecord({ kind: "share", id, index: i, generation: 0 }),
    ) as [Uint8Array, Uint8Array]
    return this.segments.some(
      ({ shares }) => countBelow(shares, from, condemnedRecordBytes) < countBelow(shares, to, condemnedRecordBytes),
    )
  }

  #group(accounts: readonly AccountId[]): Group {
    const key = accounts.map(toHex).sort().join()
    const group = this.#groups.get(key) ?? { accounts, shares: new Map(), registers: new Map() }
    this.#groups.set(key, group)
    return group
  }

  #close({ accounts, shares, registers }: Group): void {
    if (shares.size + registers.size === 0) return
    const pending = [...shares.values()]
    const chunks = pack(pending.map(({ share }) => share.id))
    this.segments.push({
      accounts,
      marks: { chunks, registers: pack(registers.values()), sinceMs: 0 },
      shares: pack(
        pending.map(({ share }) => condemnedRecord({ kind: "share", ...share })),
        condemnedRecordBytes,
      ),
      seenMs: pending.reduce((oldest, { seenMs }) => Math.min(oldest, seenMs), Number.POSITIVE_INFINITY),
      names: new Map(),
    })
    shares.clear()
    registers.clear()
  }
}

/** More commands than this at once no client has; the oldest is forgotten and vouched for no more. */
const mostBatches = 1024

/** The batches of one backend. */
export class Batches {
  readonly #batches = new Map<string, Batch>()

  find(token: BatchToken): Batch | undefined {
    return this.#batches.get(toHex(token))
  }

  /** True when any command of this process has marked the share. */
  hasShare(id: ChunkId, index: number): boolean {
    return [...this.#batches.values()].some((batch) => batch.hasShare(id, index))
  }

  /** All batches. */
  all(): Batch[] {
    return [...this.#batches.values()]
  }

  open(token: BatchToken): Batch {
    const key = toHex(token)
    const batch = this.#batches.get(key) ?? new Batch()
    this.#batches.delete(key)
    this.#batches.set(key, batch)
    if (this.#batches.size > mostBatches) this.#batches.delete(this.#batches.keys().next().value!)
    return batch
  }
}
