/**
 * Requests that wait for something to change. They hold no memory of those that work, and have a bound of their own, shared among
 * tenants and within each among its members: who waits for much makes place for who waits for less. Specification:
 * docs/protocols/storage-node.md, section Waiting for changes.
 */
import { HoldfastError } from "@holdfast/core"
import type { Asker } from "./memory.ts"

/** How much may wait. */
export interface WaitingOptions {
  /** What all requests that wait may cost together. */
  readonly totalBytes: number
  /** Once it aborts all are answered at once. */
  readonly stopped: AbortSignal
  /** Calls `run` once, later; gives what takes that back. */
  readonly later: (ms: number, run: () => void) => () => void
  /** Told how many requests wait, when that changes. */
  readonly onCount?: (count: number) => void
}

/** What a request waits for. */
export interface Wish {
  /** Answered after so long at the latest. */
  readonly waitMs: number
  readonly registers: number
}

interface Wait extends Asker {
  readonly bytes: number
  /** Ends it with an answer. */
  readonly until: AbortController
}

/** What one costs: its request and answer as Node holds them, and what the table of those who wait has for each register. */
const requestBytes = 8 * 1024
const registerBytes = 512
/** The part of all that one member may take. */
const memberPart = 1 / 16

/** The requests that wait at one node, oldest first. */
export class Waiting {
  readonly #options: WaitingOptions
  readonly #waits = new Set<Wait>()

  constructor(options: WaitingOptions) {
    this.#options = options
    options.stopped.addEventListener("abort", () => {
      for (const { until } of this.#waits) until.abort()
    })
  }

  /**
   * Runs `work`, which waits until the signal that it is given aborts: when the time is over, the node stops, or others need the place.
   * Throws ERR_REMOTE (status 503) when there is no place.
   */
  async run<T>(asker: Asker, { waitMs, registers }: Wish, work: (until: AbortSignal) => Promise<T>): Promise<T> {
    const until = new AbortController()
    const wait = { ...asker, until, bytes: requestBytes + registerBytes * registers }
    const { later, stopped, onCount } = this.#options
    this.#makePlace(wait)
    this.#waits.add(wait)
    onCount?.(this.#waits.size)
    const cancel = later(waitMs, () => until.abort())
    if (waitMs === 0 || stopped.aborted) until.abort()
    try {
      return await work(until.signal)
    } finally {
      cancel()
      this.#waits.delete(wait)
      onCount?.(this.#waits.size)
    }
  }

  #makePlace(wait: Wait): void {
    const { totalBytes } = this.#options
    if (bytesOf(this.#ofMember(wait)) + wait.bytes > totalBytes * memberPart) throw noPlace()
    for (let all = bytesOf([...this.#waits]); all + wait.bytes > totalBytes; ) {
      const other = this.#leaving(wait)
      if (!other) throw noPlace()
      this.#waits.delete(other)
      other.until.abort()
      all -= other.bytes
    }
  }

  /** The newest of the tenant that has most, if `wait`'s would have less; else the same among the members of its own. */
  #leaving(wait: Wait): Wait | undefined {
    const tenants = groups(this.#waits, ({ tenant }) => tenant)
    const most = heaviest(tenants)
    const own = tenants.get(wait.tenant) ?? []
    if (most !== own && bytesOf(own) + wait.bytes < bytesOf(most)) return busiest(most).at(-1)
    const members = busiest(own)
    const mine = this.#ofMember(wait)
    return bytesOf(mine) + wait.bytes < bytesOf(members) ? members.at(-1) : undefined
  }

  #ofMember({ tenant, member }: Asker): Wait[] {
    return [...this.#waits].filter((other) => other.tenant === tenant && other.member === member)
  }
}

/** Those of the member that has most; of several, the one that came last. */
function busiest(waits: readonly Wait[]): readonly Wait[] {
  return heaviest(groups(waits, ({ member }) => member))
}

function heaviest(parts: ReadonlyMap<string, readonly Wait[]>): readonly Wait[] {
  return [...parts.values()].reduce<readonly Wait[]>((most, part) => (bytesOf(part) >= bytesOf(most) ? part : most), [])
}

function groups(waits: Iterable<Wait>, nameOf: (wait: Wait) => string): Map<string, Wait[]> {
  const parts = new Map<string, Wait[]>()
  for (const wait of waits) {
    const part = parts.get(nameOf(wait))
    if (part) part.push(wait)
    else parts.set(nameOf(wait), [wait])
  }
  return parts
}

function bytesOf(waits: readonly Wait[]): number {
  return waits.reduce((sum, { bytes }) => sum + bytes, 0)
}

function noPlace(): HoldfastError {
  const message = "The server has no place for another request that waits. Read now and then instead."
  return new HoldfastError("ERR_REMOTE", message, { status: 503 })
}
