/** Numbers from a seed, so that a run of a test can be made again. */

/** Gives whole numbers from 0 up to, but not with, `limit`. */
export type Random = (limit: number) => number

/** The generator mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

/** One of the values, which are not none. */
export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random(values.length)]!
}
