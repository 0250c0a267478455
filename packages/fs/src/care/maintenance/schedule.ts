/** When maintenance does what: plain sums over times. */
import type { Pass } from "./memory.ts"

const dayMs = 86_400_000

/** How often what is done, and how long servers are waited for. */
export interface Schedule {
  /** Every share of every chunk is read and verified within so long, a part in each round. */
  readonly everyMs: number
  /** Blocks that are asked for by chance in each round. */
  readonly sampleBlocks: number
  /** A server that does not answer is waited for so long before its shares are made anew elsewhere. */
  readonly waitMs: number
  /** Between collections. */
  readonly collectEveryMs: number
  /** Between two looks at what servers say they hold, while something is missing that cannot be mended. */
  readonly sweepEveryMs: number
  /** Other labels of places count once they have stood still for so long. */
  readonly labelsMs: number
  /** Between rounds. */
  readonly roundMs: number
}

/** What is done unless told otherwise. */
export const usualSchedule: Schedule = {
  everyMs: 30 * dayMs,
  sampleBlocks: 60,
  waitMs: dayMs,
  collectEveryMs: 7 * dayMs,
  sweepEveryMs: dayMs,
  labelsMs: dayMs,
  roundMs: 3_600_000,
}

/** Above all ids. */
export const endOfIds = "g"
const boundBits = 48

/**
 * Up to which id, exclusive, a pass is to have come by now to be through after `everyMs`. Ids are hashes, so a part of them is a part of
 * the chunks.
 */
export function boundOf({ startedMs }: Pick<Pass, "startedMs">, nowMs: number, everyMs: number): string {
  const part = everyMs <= 0 ? 1 : Math.max(0, nowMs - startedMs) / everyMs
  if (part >= 1) return endOfIds
  return Math.floor(part * 2 ** boundBits)
    .toString(16)
    .padStart(boundBits / 4, "0")
}

/** The part of all ids that a pass has behind it, 0 to 1. */
export function partDone({ position }: Pick<Pass, "position">): number {
  return position === "" ? 0 : Number.parseInt(position.slice(0, boundBits / 4), 16) / 2 ** boundBits
}

/** Hours of the day in which something may be done. */
export interface Hours {
  /** Minutes after midnight; the second may be the smaller one: over midnight. */
  readonly from: number
  readonly to: number
}

const dayMinutes = 1440

/** How long it is until the hours begin: 0 within them. `minuteOfDay` is a time's minute by the clock on the wall. */
export function untilHoursMs(hours: Hours | undefined, nowMs: number, minuteOfDay: (timeMs: number) => number): number {
  if (!hours || hours.from === hours.to) return 0
  const minute = minuteOfDay(nowMs)
  const { from, to } = hours
  const isWithin = from < to ? minute >= from && minute < to : minute >= from || minute < to
  if (isWithin) return 0
  const intoMinuteMs = nowMs % 60_000
  return ((from - minute + dayMinutes) % dayMinutes) * 60_000 - intoMinuteMs
}
