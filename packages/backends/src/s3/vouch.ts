/**
 * The writer's side of the race with collectors and sweepers (rules O13 and O14): marks are there before the value, and after it
 * the writer looks whether anybody drops them or condemned what they name. It spends no request on a chunk: whatever it saw
 * lately by the bucket's own clock, and sees in no list of condemned after its marks are there, stays.
 */
import { mapPool, toHex } from "@holdfast/core"
import type { AccountId } from "@holdfast/protocol"
import { droppedWhy } from "./accounts.ts"
import type { Batch, Segment } from "./batches.ts"
import type { Fence, FenceView } from "./fence.ts"
import { recordAt } from "./ids.ts"
import { chunkPrefix } from "./keys.ts"
import { condemnedOf, condemnedRecordBytes, keyOfCondemned } from "./lists.ts"
import type { AccountView, MarkObjects } from "./marks.ts"
import type { Place } from "./place.ts"

/** What the writer found. */
export type Verdict = { readonly kind: "stays" } | { readonly kind: "gone" | "moved" | "refused"; readonly why: string }

const parallel = 32
/** How often marks are put again while collectors take them away. */
const mostRounds = 8

const stays: Verdict = { kind: "stays" }

/** Writes marks down, and looks after them. */
export class Voucher {
  readonly #place: Place
  readonly #fence: Fence
  readonly #marks: MarkObjects

  constructor(place: Place, fence: Fence, marks: MarkObjects) {
    this.#place = place
    this.#fence = fence
    this.#marks = marks
  }

  /** Puts the mark objects of `batch` that are not there yet. Calls follow each other, so that none is put twice. */
  write(batch: Batch, signal: AbortSignal | undefined): Promise<void> {
    const work = batch.writing.catch(() => undefined).then(() => this.#write(batch, signal))
    batch.writing = work
    return work
  }

  async #write(batch: Batch, signal: AbortSignal | undefined): Promise<void> {
    batch.closeSegments()
    const missing = batch.segments.flatMap((segment) =>
      segment.accounts.filter((account) => !segment.names.has(toHex(account))).map((account) => ({ segment, account })),
    )
    await mapPool(missing, parallel, ({ segment, account }) => this.#put(segment, account, signal))
  }

  /**
   * After the marks, before the value: is something condemned that this command found, or gone that it saw long ago? What it put
   * itself lately is too young. What was looked at once is marked since, and stays.
   */
  async before(batch: Batch, signal: AbortSignal | undefined): Promise<Verdict> {
    const { segments, hasFound, judged } = batch
    const isStale = segments.some(({ seenMs }) => this.#isStale(seenMs, this.#place.newestMs)) // of the marks' answer
    if (judged === segments.length || !(hasFound || isStale)) return stays
    const fence = await this.#fence.look(signal)
    const stale = segments.filter(({ seenMs }) => this.#isStale(seenMs, fence.atMs))
    const verdict = this.#judgeFence(batch, fence) ?? (await this.#lookAgain(stale, signal))
    if (!verdict) batch.judged = segments.length
    return verdict ?? stays
  }

  /** After the value: is all that the batch marked still marked, and nothing of it condemned? Puts marks again that go. */
  async after(batch: Batch, signal: AbortSignal | undefined): Promise<Verdict> {
    const accounts = new Map(
      batch.segments.flatMap((segment) => segment.accounts.map((account) => [toHex(account), account])),
    )
    for (let round = 0; round < mostRounds; round++) {
      const [fence, ...views] = await Promise.all([
        this.#fence.look(signal),
        ...[...accounts.values()].map((account) => this.#marks.list(account, signal)),
      ])
      const verdict = this.#judgeFence(batch, fence) ?? this.#judgeDrop([...accounts.keys()], views)
      if (verdict) return verdict
      const stale = batch.segments.filter(({ seenMs }) => this.#isStale(seenMs, fence.atMs))
      const missing = await this.#lookAgain(stale, signal)
      if (missing) return missing
      const put = await this.#putAgain(batch, new Map([...accounts.keys()].map((hex, i) => [hex, views[i]!])), signal)
      if (stale.length === 0 && put === 0) return stays
    }
    return { kind: "gone", why: "marks were taken away again and again" }
  }

  #judgeFence(batch: Batch, { epoch }: FenceView): Verdict | undefined {
    if (epoch > this.#place.epoch)
      return { kind: "moved", why: `the volume has moved on to epoch ${epoch}; ask for its new description` }
    for (const { shares } of batch.segments) {
      const condemned = this.#fence.firstCondemned(shares)
      if (condemned) return { kind: "gone", why: `chunk ${condemned} is about to be deleted here` }
    }
    return undefined
  }

  /** Who writes for an account of his own that was dropped is told, and not acknowledged. */
  #judgeDrop(accounts: readonly string[], views: readonly AccountView[]): Verdict | undefined {
    const { account } = this.#place.access
    const droppedMs = views[accounts.indexOf(toHex(account))]?.droppedMs
    return droppedMs === undefined ? undefined : { kind: "refused", why: droppedWhy(account, droppedMs) }
  }

  /** A list of condemned stays for a grace after its objects are gone; half of that is left for what takes time. */
  #isStale(seenMs: number, atMs: number): boolean {
    return atMs - seenMs > this.#place.trustMs
  }

  /** Looks whether what was seen too long ago is still there. */
  async #lookAgain(segments: readonly Segment[], signal: AbortSignal | undefined): Promise<Verdict | undefined> {
    for (const segment of segments) {
      const count = segment.shares.length / condemnedRecordBytes
      let seenMs = Number.POSITIVE_INFINITY
      const there = await mapPool(Array.from({ length: count }), parallel, async (_, i) => {
        const share = condemnedOf(recordAt(segment.shares, i, condemnedRecordBytes))
        const { infos, atMs } = await this.#place.bucket.list(chunkPrefix(share.id), { limit: 1000, signal })
        seenMs = Math.min(seenMs, atMs)
        return infos.some(({ key }) => key === keyOfCondemned(share)) ? undefined : toHex(share.id)
      })
      const gone = there.find((id) => id !== undefined)
      if (gone) return { kind: "gone", why: `chunk ${gone} was deleted here` }
      segment.seenMs = seenMs
    }
    return undefined
  }

  /** Puts marks again that are gone or about to go (O13); not 0 when it must be looked at once more. */
  async #putAgain(batch: Batch, views: ReadonlyMap<string, AccountView>, signal: AbortSignal | undefined) {
    let put = 0
    for (const [hex, { objects, retires }] of views) {
      const present = new Set(objects.map(({ name }) => name))
      const going = await Promise.all(retires.map(({ key }) => this.#marks.retiredBy(key, signal)))
      if (going.includes(undefined)) put++ // somebody ended a collection since: the list is too old
      for (const segment of batch.segments) {
        const name = segment.names.get(hex)
        if (name === undefined) continue
        const account = segment.accounts.find((one) => toHex(one) === hex)!
        const isGoing = going.some((names) => names?.has(name))
        if (!isGoing && (present.has(name) || (await this.#isUnlisted(account, name, signal)))) continue
        await this.#put(segment, account, signal)
        put++
      }
    }
    return put
  }

  /** Where lists lag behind, what is not listed may be there. */
  async #isUnlisted(account: AccountId, name: string, signal: AbortSignal | undefined): Promise<boolean> {
    return this.#place.listDelayMs > 0 && (await this.#marks.isThere(account, name, signal))
  }

  async #put(segment: Segment, account: AccountId, signal: AbortSignal | undefined): Promise<void> {
    segment.names.set(toHex(account), await this.#marks.put(account, segment.marks, signal))
  }
}
