/**
 * The marks of an account in a bucket: a few objects, each naming many chunks, never changed once put. Their numbers grow: a
 * list is no snapshot, so what replaces a mark object must sort behind it, where a sweeper has not been yet (rule O15).
 */
import { equal, isHoldfastError, toHex } from "@holdfast/core"
import type { AccountId } from "@holdfast/protocol"
import { countBelow, idBytes, recordAt, union } from "./ids.ts"
import { accountPrefix, markName, numberOf, parseMarkKey } from "./keys.ts"
import { decodeMarks, decodeRetired, encodeMarks, type Marks, mostListBytes } from "./lists.ts"
import type { Place } from "./place.ts"

/** A mark object in a list. */
export interface MarkObject {
  readonly name: string
  readonly key: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

/** What lies in an account's part. */
export interface AccountView {
  readonly atMs: number
  readonly objects: readonly MarkObject[]
  /** Objects that say what is about to go. */
  readonly retires: readonly { readonly token: string; readonly key: string; readonly modifiedMs: number }[]
  /** When the account was dropped; undefined unless it is. */
  readonly droppedMs?: number
}

/** More than this many objects nobody has who ever collects. */
const mostObjects = 100_000
const cachedBytes = 64 * 1024 * 1024
/** Ids of one window: 16 MiB. */
const windowIds = 524_288

/** Reads and writes mark objects, and remembers some of what it read. */
export class MarkObjects {
  readonly #place: Place
  readonly #cache = new Map<string, Marks>()
  #cacheBytes = 0
  readonly #retired = new Map<string, Set<string>>()
  /** The highest number seen of each account. */
  readonly #numbers = new Map<string, number>()

  constructor(place: Place) {
    this.#place = place
  }

  /** Lists the mark objects of an account. */
  async list(account: AccountId, signal?: AbortSignal): Promise<AccountView> {
    const { infos, atMs } = await this.#place.bucket.list(accountPrefix(account), { limit: mostObjects, signal })
    const objects: MarkObject[] = []
    const retires: AccountView["retires"][number][] = []
    let droppedMs: number | undefined
    for (const info of infos) {
      const parsed = parseMarkKey(info.key)
      if (parsed === undefined) continue
      if ("drops" in parsed) droppedMs = info.modifiedMs
      else if ("retires" in parsed) retires.push({ token: parsed.retires, key: info.key, modifiedMs: info.modifiedMs })
      else objects.push({ ...info, name: parsed.name })
    }
    this.#sawNumber(account, Math.max(0, ...objects.slice(-1).map(({ name }) => numberOf(name)!)))
    return { atMs, objects, retires, ...(droppedMs !== undefined && { droppedMs }) }
  }

  /** Puts a mark object behind all that were seen of the account; its name. */
  async put(account: AccountId, marks: Marks, signal?: AbortSignal): Promise<string> {
    const { bucket, crypto } = this.#place
    const number = (this.#numbers.get(toHex(account)) ?? 0) + 1
    this.#sawNumber(account, number)
    const name = markName(number, crypto.random(8))
    await bucket.put(`${accountPrefix(account)}${name}`, await encodeMarks(crypto, marks), { signal })
    return name
  }

  /** True when the mark object is there, asked by its key. */
  async isThere(account: AccountId, name: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#place.bucket.get(`${accountPrefix(account)}${name}`, mostListBytes, { signal })) !== undefined
  }

  /** What a mark object says; undefined when it is gone. Throws ERR_CORRUPT, ERR_BAD_FORMAT. */
  async read(key: string, signal?: AbortSignal): Promise<Marks | undefined> {
    const cached = this.#cache.get(key)
    if (cached) return cached
    const got = await this.#place.bucket.get(key, mostListBytes, { signal })
    if (!got) return undefined
    const marks = await decodeMarks(this.#place.crypto, got.bytes, key)
    this.#remember(key, marks)
    return marks
  }

  /** An object that rotted marks nothing for whoever lists, so that he marks again what he needs; no sweeper passes it by. */
  async readUnlessBad(key: string, signal?: AbortSignal): Promise<Marks | undefined> {
    try {
      return await this.read(key, signal)
    } catch (error) {
      if (isUnreadable(error)) return undefined
      throw error
    }
  }

  /** True when the word that something is about to go is still there. */
  async isWord(key: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#place.bucket.get(key, mostListBytes, { signal })) !== undefined
  }

  /** The names that an object says are about to go; undefined when it is gone. */
  async retiredBy(key: string, signal?: AbortSignal): Promise<ReadonlySet<string> | undefined> {
    const known = this.#retired.get(key)
    if (known) return known
    const got = await this.#place.bucket.get(key, mostListBytes, { signal })
    if (!got) return undefined
    const names = new Set(await decodeRetired(this.#place.crypto, got.bytes, key))
    if (this.#retired.size >= 16) this.#retired.delete(this.#retired.keys().next().value!)
    this.#retired.set(key, names)
    return names
  }

  /** The ids that any of `keys` names, ascending and packed, window after window. What is gone by then is passed over. */
  async *windows(
    keys: readonly string[],
    kind: "chunks" | "registers",
    { after, signal }: { readonly after?: Uint8Array | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<Uint8Array, void, void> {
    const highest = new Map<string, Uint8Array>()
    let last = after
    for (;;) {
      let window: Uint8Array = new Uint8Array()
      for (const key of keys) {
        const end = highest.get(key)
        if (end && last && countBelow(end, last) === 1) continue // all below
        const ids = (await this.read(key, signal))?.[kind] ?? new Uint8Array()
        if (ids.length > 0) highest.set(key, recordAt(ids, ids.length / idBytes - 1).slice())
        window = union(window, last ? ids.subarray(countAtMost(ids, last) * idBytes) : ids, windowIds)
      }
      if (window.length === 0) return
      yield window
      last = recordAt(window, window.length / idBytes - 1)
    }
  }

  #sawNumber(account: AccountId, number: number): void {
    const hex = toHex(account)
    this.#numbers.set(hex, Math.max(number, this.#numbers.get(hex) ?? 0))
  }

  #remember(key: string, marks: Marks): void {
    const bytesOf = ({ chunks, registers }: Marks) => chunks.length + registers.length + 200
    this.#cache.set(key, marks)
    this.#cacheBytes += bytesOf(marks)
    for (const [old, held] of this.#cache) {
      if (this.#cacheBytes <= cachedBytes) break
      this.#cache.delete(old)
      this.#cacheBytes -= bytesOf(held)
    }
  }
}

function countAtMost(ids: Uint8Array, id: Uint8Array): number {
  const below = countBelow(ids, id)
  return below + (equal(recordAt(ids, below), id) ? 1 : 0)
}

/** True for what only says that an object is unreadable, not that the bucket is. */
function isUnreadable(error: unknown): boolean {
  return isHoldfastError(error, "ERR_CORRUPT") || isHoldfastError(error, "ERR_BAD_FORMAT")
}
