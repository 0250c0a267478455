/**
 * The collector's side (rule O15): it says which mark objects of its account are about to go before the account's roots are read,
 * then writes what stays behind them and deletes them. It deletes no share: that is the sweeper's. No signature stops anybody who
 * may delete objects; the order is checked so that a mistake of our own stays one.
 */
import { fromHex, HoldfastError, mapPool, toHex } from "@holdfast/core"
import { type CallOptions, checkUnmark, type SignedUnmark, type UnmarkOutcome } from "@holdfast/protocol"
import { checkRole } from "../rules.ts"
import { hasRecord, idBytes, pack, union, without } from "./ids.ts"
import { retireKey } from "./keys.ts"
import { encodeRetired, type Marks, mostListed } from "./lists.ts"
import type { AccountView, MarkObjects } from "./marks.ts"
import type { Place } from "./place.ts"
import type { Registers } from "./registers.ts"

const parallel = 16
const tokenBytes = 16
const dayMs = 24 * 3_600_000
/** A collection that is not over by then never will be: its word is refused at first, and taken away later. */
const oldestTokenMs = 45 * dayMs
const abandonedMs = 90 * dayMs
/** Mark objects that name fewer ids than this are put together. */
const fewIds = mostListed / 2
/** So many of them are left alone while nothing of what they name goes. */
const mostSmall = 16

/** Lists and takes away the marks of one account. */
export class Collector {
  readonly #place: Place
  readonly #marks: MarkObjects
  readonly #registers: Registers
  /** By key of the word: names of mark objects that may go. What replaces one of them may go in its place. */
  readonly #going = new Map<string, Set<string>>()
  /** Words that have done their work when this collection ends, or could have. */
  readonly #spent = new Set<string>()

  constructor(place: Place, marks: MarkObjects, registers: Registers) {
    this.#place = place
    this.#marks = marks
    this.#registers = registers
  }

  /**
   * Says which mark objects are about to go. Where lists lag, what was said a while ago is taken up again, so that a collection
   * there takes two runs.
   */
  async collectToken({ signal }: CallOptions = {}): Promise<Uint8Array> {
    const { bucket, crypto, access, listDelayMs } = this.#place
    checkRole(access, "collect")
    await this.#place.requireMarks({ signal, taking: true })
    const view = await this.#marks.list(access.account, signal)
    const isSettled = (modifiedMs: number) => view.atMs - modifiedMs >= listDelayMs
    const earlier = view.retires.findLast(
      ({ modifiedMs }) => isSettled(modifiedMs) && view.atMs - modifiedMs < oldestTokenMs / 2,
    )
    if (listDelayMs > 0 && earlier) return fromHex(earlier.token)
    await this.#dropAbandoned(view, signal)
    const token = crypto.random(tokenBytes)
    const names = view.objects.map(({ name }) => name).slice(0, mostListed)
    const word = retireKey(access.account, token)
    await bucket.put(word, await encodeRetired(crypto, names), { signal })
    if (listDelayMs === 0) this.#spent.add(word) // elsewhere the next run takes it up
    return token
  }

  /** Carries out an order. Throws ERR_REFUSED. */
  async unmark(order: SignedUnmark, { signal }: CallOptions = {}): Promise<UnmarkOutcome> {
    const { id, crypto, access } = this.#place
    checkRole(access, "collect")
    await checkUnmark(crypto, order, { account: access.account, place: id })
    await this.#place.requireMarks({ signal, taking: true })
    const view = await this.#marks.list(access.account, signal)
    const word = retireKey(access.account, order.token)
    const names = order.token.length === tokenBytes ? await this.#goingBy(word, signal) : undefined
    // Where lists lag, a word that is not listed yet was given just now.
    const listed = view.retires.find(({ key }) => key === word)
    const ageMs = listed ? view.atMs - listed.modifiedMs : 0
    if (!names || !(listed || this.#place.listDelayMs > 0) || ageMs > oldestTokenMs) throw badToken(id)
    const isSettled = ageMs >= this.#place.listDelayMs
    if (isSettled) this.#spent.add(word)
    const graceMs = Math.max(this.#place.sweepGraceMs, order.graceMs)
    const work: Work = {
      chunks: pack(order.chunks),
      registers: pack(order.registers),
      old: [],
      tally: new Tally(order),
      held: new Set(),
      signal,
    }
    const trimmed = new Set(order.trims.map(({ register }) => toHex(register)))
    for (const object of view.objects) {
      const marks = await this.#marks.readUnlessBad(object.key, signal)
      if (!marks) continue
      for (const register of trimmed) if (hasRecord(marks.registers, fromHex(register))) work.held.add(register)
      const sinceMs = marks.sinceMs || object.modifiedMs
      const isOld = isSettled && names.has(object.name) && view.atMs - sinceMs >= graceMs
      const loses = work.tally.add(marks, isOld)
      const count = countOf(marks)
      if (isOld) work.old.push({ key: object.key, count, sinceMs, loses })
    }
    await this.#rewrite(work, names, word)
    for (const { register, below } of order.trims)
      if (work.held.has(toHex(register))) await this.#registers.trim(register, below, signal)
    return work.tally.outcome()
  }

  /** Ends the collections that this process began; where lists lag, those that the next run has no use for. */
  async end({ signal }: CallOptions = {}): Promise<void> {
    for (const word of this.#spent) {
      await this.#place.bucket.remove(word, { signal })
      this.#going.delete(word)
      this.#spent.delete(word)
    }
  }

  /** Puts what stays of the old objects behind them, then deletes them: those that lose something, and small ones together. */
  async #rewrite({ old, chunks, registers, signal }: Work, names: Set<string>, retire: string): Promise<void> {
    const loses = old.some((one) => one.loses)
    const together = old.filter(({ count }) => count < fewIds).length > (loses ? 1 : mostSmall)
    if (!loses && !together) return
    const going = old.filter(({ loses, count }) => loses || (together && count < fewIds))
    const put = async (marks: Marks) => {
      if (countOf(marks) === 0) return
      names.add(await this.#marks.put(this.#place.access.account, marks, signal))
    }
    let rest: Marks = { chunks: new Uint8Array(), registers: new Uint8Array(), sinceMs: 0 }
    for (const { key, sinceMs } of going) {
      const marks = await this.#marks.read(key, signal)
      if (!marks) continue // another collector was here: what it wrote has what it kept
      const left = { chunks: without(marks.chunks, chunks), registers: without(marks.registers, registers), sinceMs }
      if (countOf(rest) + countOf(left) > mostListed) {
        await put(rest)
        rest = left
      } else rest = joined(rest, left)
    }
    await put(rest)
    // Whoever slept since the order was checked may find that his word was taken away meanwhile.
    if (!(await this.#marks.isWord(retire, signal))) throw badToken(this.#place.id)
    await mapPool(going, parallel, ({ key }) => this.#place.bucket.remove(key, { signal }))
  }

  /** What a word lets go; undefined when it was never given, or taken away. */
  async #goingBy(word: string, signal?: AbortSignal): Promise<Set<string> | undefined> {
    const known = this.#going.get(word)
    if (known) return known
    const names = await this.#marks.retiredBy(word, signal)
    if (!names) return undefined
    const going = new Set(names)
    this.#going.set(word, going)
    return going
  }

  /** Words of collections that ended long ago without taking them away. */
  async #dropAbandoned({ atMs, retires }: AccountView, signal?: AbortSignal): Promise<void> {
    const abandoned = retires.filter(({ modifiedMs }) => atMs - modifiedMs > abandonedMs)
    await Promise.allSettled(abandoned.map(({ key }) => this.#place.bucket.remove(key, { signal })))
  }
}

interface Work {
  readonly chunks: Uint8Array
  readonly registers: Uint8Array
  /** Objects that may go. */
  readonly old: { readonly key: string; readonly count: number; readonly sinceMs: number; readonly loses: boolean }[]
  readonly tally: Tally
  /** Registers of trims that the account holds. */
  readonly held: Set<string>
  readonly signal: AbortSignal | undefined
}

/** Counts which of an order's marks go and which stay. */
class Tally {
  readonly #ids: readonly (readonly ["chunks" | "registers", Uint8Array])[]
  readonly #named: Set<number> = new Set()
  readonly #kept: Set<number> = new Set()

  constructor({ chunks, registers }: SignedUnmark) {
    this.#ids = [...chunks.map((id) => ["chunks", id] as const), ...registers.map((id) => ["registers", id] as const)]
  }

  /** Counts an object; true when it loses something. */
  add(marks: Marks, isOld: boolean): boolean {
    let loses = false
    for (const [i, [kind, id]] of this.#ids.entries()) {
      if (!hasRecord(marks[kind], id)) continue
      if (isOld) this.#named.add(i)
      else this.#kept.add(i)
      loses ||= isOld
    }
    return loses
  }

  outcome(): UnmarkOutcome {
    const marks = [...this.#named].filter((i) => !this.#kept.has(i)).length
    return { marks, shares: 0, bytes: 0, young: this.#kept.size }
  }
}

function badToken(id: string): HoldfastError {
  return new HoldfastError(
    "ERR_REFUSED",
    `This order to unmark is refused: bucket ${id} knows nothing of its token any more. Begin the collection again.`,
    { server: id },
  )
}

function countOf({ chunks, registers }: Marks): number {
  return (chunks.length + registers.length) / idBytes
}

function joined(a: Marks, b: Marks): Marks {
  return {
    chunks: union(a.chunks, b.chunks),
    registers: union(a.registers, b.registers),
    sinceMs: Math.max(a.sinceMs, b.sinceMs),
  }
}
