/**
 * The sweeper (rule O16), whoever may delete: what no account marks is condemned in one run; a grace later another run reads all
 * marks again and deletes what is still unmarked; after one more grace the list goes. A writer who finds a condemned object stores
 * it under another key. So between a look and a deletion stands no clock but the bucket's, and that only as a margin.
 */
import { HoldfastError, mapPool } from "@holdfast/core"
import type { CallOptions, SweepOutcome } from "@holdfast/protocol"
import { checkRole } from "../rules.ts"
import { type Drop, finishDrops } from "./accounts.ts"
import { KeyCursor, walk } from "./cursor.ts"
import type { Fence, Sentence } from "./fence.ts"
import { countBelow, hasRecord, idBytes, pack, recordAt, records } from "./ids.ts"
import {
  accountPrefix,
  chunkPrefix,
  condemnedKey,
  marksPrefix,
  parseMarkKey,
  parseRegisterKey,
  parseShareKey,
  registerPrefix,
  registersPrefix,
  sharesPrefix,
  sweptKey,
} from "./keys.ts"
import {
  type Condemned,
  type CondemnedList,
  condemnedOf,
  condemnedRecord,
  encodeCondemned,
  encodeRetired,
  keyOfCondemned,
  mostListed,
  condemnedRecordBytes as width,
} from "./lists.ts"
import type { MarkObjects } from "./marks.ts"
import type { Place } from "./place.ts"

const parallel = 16
/** So many are deleted before the sweeper looks whether its list is still there. */
const deletedTogether = 256
/** Lists of condemned that one run writes at most. */
const mostLists = 8
const mostPasses = 20

/** Deletes what nobody marks. */
export class Sweeper {
  readonly #place: Place
  readonly #fence: Fence
  readonly #marks: MarkObjects
  #signal: AbortSignal | undefined

  constructor(place: Place, fence: Fence, marks: MarkObjects) {
    this.#place = place
    this.#fence = fence
    this.#marks = marks
  }

  /** One run. Throws ERR_CORRUPT, ERR_BAD_FORMAT when some marks cannot be read: then nothing may be deleted. */
  async run({ signal }: CallOptions = {}): Promise<SweepOutcome> {
    checkRole(this.#place.access, "collect")
    await this.#place.requireMarks({ signal, taking: true })
    this.#signal = signal
    const { atMs, sentences } = await this.#fence.look(signal)
    const isOver = (sinceMs: number) => atMs - sinceMs >= this.#place.sweepGraceMs
    const ripe = sentences.filter(
      ({ condemnedMs, sweptMs }) => sweptMs === undefined && condemnedMs !== undefined && isOver(condemnedMs),
    )
    const done = { shares: 0, bytes: 0 }
    for (const sentence of ripe) {
      const { shares, bytes } = await this.#execute(sentence)
      done.shares += shares
      done.bytes += bytes
    }
    const { keys, drops } = await this.#listMarks()
    const gone = await finishDrops(this.#place, { drops, atMs, ...(signal && { signal }) })
    const left = keys.filter((key) => !gone.some((account) => key.startsWith(accountPrefix(account))))
    const condemned = await this.#condemn(left, isOver)
    for (const { name, condemnedMs, sweptMs } of sentences)
      if (sweptMs !== undefined && isOver(sweptMs)) {
        if (condemnedMs !== undefined) await this.#place.bucket.remove(condemnedKey(name), { signal })
        await this.#place.bucket.remove(sweptKey(name), { signal })
      }
    return { ...done, condemned }
  }

  /** Deletes what a list names and no mark does. */
  async #execute({ name }: Sentence): Promise<{ shares: number; bytes: number }> {
    const list = this.#fence.listOf(name)
    const done = { shares: 0, bytes: 0 }
    if (!list) return done
    const marked = await this.#markedAmong(list)
    const victims = [...records(list, width)].filter((_, i) => !marked.has(i)).map(condemnedOf)
    const objects = this.#present(victims)
    for (;;) {
      const some: { key: string; sizeBytes: number; isShare: boolean }[] = []
      for (let next = await objects.next(); !next.done; next = await objects.next())
        if (some.push(next.value) === deletedTogether) break
      if (some.length === 0) break
      await this.#requireList(name)
      await mapPool(some, parallel, ({ key }) => this.#place.bucket.remove(key, { signal: this.#signal }))
      done.bytes += some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      done.shares += some.filter(({ isShare }) => isShare).length
    }
    // The list stays for a grace after the last deletion, so its end is written down with a time of the bucket.
    const nothing = await encodeRetired(this.#place.crypto, [])
    await this.#place.bucket.put(sweptKey(name), nothing, { signal: this.#signal })
    return done
  }

  /** Who slept since the marks were read must not go on when another sweeper ended this list. */
  async #requireList(name: string): Promise<void> {
    const { sentences } = await this.#fence.look(this.#signal)
    const sentence = sentences.find((one) => one.name === name)
    if (sentence?.condemnedMs !== undefined && sentence.sweptMs === undefined) return
    throw new HoldfastError(
      "ERR_CONFLICT",
      `Somebody else is deleting the garbage of bucket ${this.#place.id} too. Nothing is lost by that; try again later.`,
      { server: this.#place.id },
    )
  }

  /** Those of `victims`, which are in order, that are there. */
  async *#present(victims: readonly Condemned[]) {
    const cursors = {
      share: new KeyCursor(this.#place.bucket, sharesPrefix, this.#signal),
      value: new KeyCursor(this.#place.bucket, registersPrefix, this.#signal),
    }
    for (let at = 0; at < victims.length; ) {
      const { kind, id } = victims[at]!
      const part = kind === "share" ? chunkPrefix(id) : registerPrefix(id)
      const keys = new Set<string>()
      for (; at < victims.length && keyOfCondemned(victims[at]!).startsWith(part); at++)
        keys.add(keyOfCondemned(victims[at]!))
      for (const { key, sizeBytes } of await cursors[kind].under(part))
        if (keys.has(key)) yield { key, sizeBytes, isShare: kind === "share" }
    }
  }

  /** Condemns what is old and not marked; how many objects. */
  async #condemn(marks: readonly string[], isOver: (sinceMs: number) => boolean): Promise<number> {
    let [count, lists] = [0, 0]
    let records: Uint8Array[] = []
    const put = async () => {
      if (records.length > 0) await this.#putList(pack(records, width))
      count += records.length
      records = []
      lists++
    }
    for await (const object of this.#unmarked(marks, isOver)) {
      const record = condemnedRecord(object)
      if (this.#fence.firstCondemned(record) !== undefined) continue
      if (records.push(record) === mostListed) await put()
      if (lists === mostLists) return count
    }
    await put()
    return count
  }

  async #putList(list: CondemnedList): Promise<void> {
    const { bucket, crypto } = this.#place
    const name = [...crypto.random(8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
    await bucket.put(condemnedKey(name), await encodeCondemned(crypto, list), { signal: this.#signal })
  }

  /** Old objects that no mark names, as far as one look tells: a second one, a grace later, decides. */
  async *#unmarked(
    keys: readonly string[],
    isOver: (sinceMs: number) => boolean,
  ): AsyncGenerator<Condemned, void, void> {
    const { bucket } = this.#place
    const signal = this.#signal
    const chunks = new Marked(this.#marks.windows(keys, "chunks", { signal }))
    for await (const { parsed, modifiedMs } of walk(bucket, { prefix: sharesPrefix, parse: parseShareKey, signal }))
      if (isOver(modifiedMs) && !(await chunks.has(parsed.id))) yield { kind: "share", ...parsed }
    const registers = new Marked(this.#marks.windows(keys, "registers", { signal }))
    let newest: { part: string; isOld: boolean } | undefined
    for await (const { key, parsed, modifiedMs } of walk(bucket, {
      prefix: registersPrefix,
      parse: parseRegisterKey,
      signal,
    })) {
      const part = registerPrefix(parsed.id)
      if (newest?.part !== part) newest = { part, isOld: isOver(modifiedMs) }
      if (newest.isOld && !(await registers.has(parsed.id)) && key.startsWith(part)) yield { kind: "value", ...parsed }
    }
  }

  /** The places in `list` of what any account's mark names. All marks are read; if one vanishes meanwhile, all again. */
  async #markedAmong(list: CondemnedList): Promise<Set<number>> {
    for (let pass = 0; pass < mostPasses; pass++) {
      const marked = new Set<number>()
      let isWhole = true
      for (const key of (await this.#listMarks()).keys) {
        const marks = await this.#marks.read(key, this.#signal)
        if (!marks) isWhole = false
        if (!marks) break
        for (let i = 0; i * width < list.length; i++) {
          if (marked.has(i)) continue
          const { kind, id } = condemnedOf(recordAt(list, i, width))
          if (hasRecord(kind === "share" ? marks.chunks : marks.registers, id)) marked.add(i)
        }
      }
      if (isWhole) return marked
    }
    throw new HoldfastError("ERR_CONFLICT", `The marks in bucket ${this.#place.id} change too fast. Try again.`)
  }

  /**
   * The keys of all mark objects, in order, and which accounts are dropped. A list is no snapshot: what replaces an object sorts behind
   * it.
   */
  async #listMarks(): Promise<{ readonly keys: readonly string[]; readonly drops: readonly Drop[] }> {
    const keys: string[] = []
    const drops: Drop[] = []
    const all = walk(this.#place.bucket, { prefix: marksPrefix, parse: parseMarkKey, signal: this.#signal })
    for await (const { key, parsed, modifiedMs } of all)
      if ("name" in parsed) keys.push(key)
      else if ("drops" in parsed) drops.push({ account: parsed.account, sinceMs: modifiedMs })
    return { keys, drops }
  }
}

/** Tells of ascending ids whether windows of ids, which ascend too, have them. */
class Marked {
  readonly #windows: AsyncGenerator<Uint8Array, void, void>
  #window: Uint8Array | undefined = new Uint8Array()

  constructor(windows: AsyncGenerator<Uint8Array, void, void>) {
    this.#windows = windows
  }

  async has(id: Uint8Array): Promise<boolean> {
    while (this.#window && countBelow(this.#window, id) * idBytes === this.#window.length) {
      const next = await this.#windows.next()
      this.#window = next.done ? undefined : next.value
    }
    return this.#window !== undefined && hasRecord(this.#window, id)
  }
}
