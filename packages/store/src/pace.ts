/**
 * How fast servers answer, so that reads turn to the quick ones: a moving average of each server's answer times, and an
 * order of asking in which those that are clearly slower than the rest, or fail, come last. A slow one is asked once in
 * a while beside the others, which costs the reader nothing, so that it comes back when it has recovered.
 */
import type { Clock } from "@holdfast/core"

/** What is known of one server's speed. */
export interface Pace {
  /** Runs a call and takes its time. A failed call counts as a very slow one, unless it was stopped by its own signal. */
  time<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** How long an answer usually takes; undefined before the first. */
  usualMs(): number | undefined
  /** The same, or how long the oldest call under way has waited where that is longer. */
  expectedMs(): number | undefined
  /** True when nothing was asked for a while, so that the figures may be out of date. */
  isStale(): boolean
}

/** Weight of the newest answer in the average; more when the last one is old, and all after `staleMs`. */
const newestWeight = 0.3
const staleMs = 5000
const failureMs = 1000
/** An answer within so long is quick, whatever others do. */
const noticeableMs = 20

/** A pace with nothing measured yet. */
export function createPace(clock: Clock): Pace {
  const underWay = new Set<{ readonly startMs: number }>()
  let [usualMs, lastMs]: (number | undefined)[] = []
  const note = (elapsedMs: number) => {
    const nowMs = clock.nowMs()
    const weight = lastMs === undefined ? 1 : Math.min(1, Math.max(newestWeight, (nowMs - lastMs) / staleMs))
    usualMs = (usualMs ?? 0) * (1 - weight) + elapsedMs * weight
    lastMs = nowMs
  }
  return {
    async time(call, signal) {
      const started = { startMs: clock.nowMs() }
      underWay.add(started)
      const elapsedMs = () => Math.max(0, clock.nowMs() - started.startMs)
      try {
        const result = await call()
        note(elapsedMs())
        return result
      } catch (error) {
        if (!signal?.aborted) note(Math.max(failureMs, elapsedMs())) // who stopped waiting learnt nothing
        throw error
      } finally {
        underWay.delete(started)
      }
    },
    usualMs: () => usualMs,
    expectedMs() {
      const [oldest] = underWay
      const waitedMs = oldest && clock.nowMs() - oldest.startMs
      return waitedMs !== undefined && (usualMs === undefined || waitedMs > usualMs) ? waitedMs : usualMs
    },
    isStale: () => underWay.size === 0 && lastMs !== undefined && clock.nowMs() - lastMs >= staleMs,
  }
}

/** Servers in the order of asking. */
export interface Order<T> {
  readonly order: readonly T[]
  /** Slow ones that are due to be asked again beside the others. They are in `order` as well. */
  readonly probes: readonly T[]
}

type Paced = { readonly pace: Pace }

/** The given order, but those last that take more than twice the median and a noticeable time longer. */
export function slowLast<T extends Paced>(servers: readonly T[]): Order<T> {
  const expected = servers.map(({ pace }) => pace.expectedMs())
  const boundMs = 2 * (median(expected) ?? 0) + noticeableMs
  const isSlow = (_: T, i: number) => (expected[i] ?? 0) > boundMs
  const slow = servers.filter(isSlow)
  return {
    order: [...servers.filter((server, i) => !isSlow(server, i)), ...slow],
    probes: slow.filter(({ pace }) => pace.isStale()),
  }
}

/**
 * How long to wait for answers of `asked`, which are among `servers`, before another is asked too: rarely longer than
 * they usually take, as far as that is known of them or of others.
 */
export function hedgeAfterMs(asked: readonly Paced[], servers: readonly Paced[], longestMs: number): number {
  const others = median(servers.map(({ pace }) => pace.usualMs()))
  const usualMs = Math.max(...asked.map(({ pace }) => pace.usualMs() ?? others ?? longestMs))
  return Math.min(longestMs, Math.max(noticeableMs, 3 * usualMs))
}

/** The lower median of what is known. */
function median(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b)
  return known[(known.length - 1) >> 1]
}
