/**
 * Simulated time: events in a queue, which happen one after another and take no time. Between two events everything that can
 * run runs to its end: no input or output of the real machine is ever under way, so the order depends on the seed alone.
 */
import { createHash } from "node:crypto"

interface Event {
  readonly atMs: number
  readonly order: number
  readonly work: () => void
}

/** Lines kept of the trace for who must look for the cause of a failure. */
const recentLines = 400

/** Lines of a history that are kept. */
const mostTold = 20_000

/** When the world begins, so that dates look like dates. */
const epochMs = Date.UTC(2030, 0, 1)

/** The clock and the event queue of one world, and the trace of what happened. */
export class SimulatedTime {
  #nowMs = epochMs
  #order = 0
  readonly #queue: Event[] = []
  readonly #hash = createHash("sha256")
  readonly #recent: string[] = []
  readonly #told: string[] = []
  /** Prints the trace as it grows. */
  verbose = false

  get nowMs(): number {
    return this.#nowMs
  }

  /** Milliseconds since the world began. */
  get elapsedMs(): number {
    return this.#nowMs - epochMs
  }

  /** Runs `work` in `delayMs` from now. */
  after(delayMs: number, work: () => void): void {
    const event = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, work }
    const queue = this.#queue
    let at = queue.push(event) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(event, queue[above]!)) break
      queue[at] = queue[above]!
      at = above
    }
    queue[at] = event
  }

  /** Resolves in `delayMs`. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve))
  }

  /** Lets events happen until `isDone`, or until none is left or `untilMs` (elapsed) is reached. */
  async run(isDone: () => boolean, untilMs = Number.POSITIVE_INFINITY): Promise<void> {
    await settled()
    while (!isDone()) {
      const next = this.#queue[0]
      if (!next || next.atMs - epochMs > untilMs) {
        if (untilMs !== Number.POSITIVE_INFINITY) this.#nowMs = epochMs + untilMs
        return
      }
      this.#take()
      this.#nowMs = next.atMs
      next.work()
      await settled()
    }
  }

  /** Events that wait. */
  get pending(): number {
    return this.#queue.length
  }

  /** Adds a line to the trace, which is hashed: two runs are the same when their traces are. */
  trace(line: string): void {
    const text = `${(this.elapsedMs / 1000).toFixed(3)} ${line}`
    this.#hash.update(text).update("\n")
    this.#recent.push(text)
    if (this.#recent.length > 2 * recentLines) this.#recent.splice(0, recentLines)
    if (this.verbose) console.log(text)
  }

  /** Adds a line to the trace that tells a reader what happened, where most lines are messages that came and went. */
  tell(line: string): void {
    this.trace(line)
    if (this.#told.length < mostTold) this.#told.push(this.#recent.at(-1)!)
  }

  /** The lines that were told. */
  history(): readonly string[] {
    return this.#told
  }

  /** The hash of all that happened. */
  traceHash(): string {
    return this.#hash.copy().digest("hex").slice(0, 32)
  }

  /** The last lines of the trace. */
  recent(): readonly string[] {
    return this.#recent.slice(-recentLines)
  }

  #take(): void {
    const queue = this.#queue
    const last = queue.pop()!
    if (queue.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= queue.length) break
      if (below + 1 < queue.length && isBefore(queue[below + 1]!, queue[below]!)) below++
      if (!isBefore(queue[below]!, last)) break
      queue[at] = queue[below]!
      at = below
    }
    queue[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}

/** Resolves when all that can run without an event has run: promises come before the next turn of Node's loop. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
