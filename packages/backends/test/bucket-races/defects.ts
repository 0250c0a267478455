/**
 * Deliberate defects, each a rule of docs/formats/bucket.md left out or made weaker: put into a copy of the sources, where the
 * scenario named must then fail. They prove that the scenarios have teeth.
 */

/** One weaker rule. */
export interface BucketDefect {
  readonly name: string
  readonly file: string
  /** A text that occurs exactly once, and what comes in its place. */
  readonly find: string
  readonly replace: string
  /** Arguments of main.ts that find it. */
  readonly scenario: readonly [start: string, who: string, interruptions: string, runs: string]
}

/** All of them. */
export const bucketDefects: readonly BucketDefect[] = [
  {
    name: "O13: the writer does not look at its marks again",
    file: "vouch.ts",
    find: "if (name === undefined) continue",
    replace: "if (name !== undefined) continue",
    scenario: ["new", "wcs", "2", "20000"],
  },
  {
    name: "O13: the writer looks only whether its marks are there, not whether they are about to go",
    file: "vouch.ts",
    find: "const isGoing = going.some((names) => names?.has(name))",
    replace: "const isGoing = false",
    scenario: ["new", "wcs", "2", "20000"],
  },
  {
    name: "O14: the writer does not look for what is condemned",
    file: "vouch.ts",
    find: "if (condemned) return",
    replace: "if (condemned?.length === 0) return",
    scenario: ["condemned", "bs", "2", "2000"],
  },
  {
    name: "O14: what is condemned is stored again under the same key",
    file: "fence.ts",
    find: "above = Math.max(above, last.generation + 1)",
    replace: "above = Math.max(above, 0 * last.generation)",
    scenario: ["condemned", "bs", "2", "2000"],
  },
  {
    name: "O14: what was seen long ago is trusted",
    file: "vouch.ts",
    find: "return atMs - seenMs > this.#place.trustMs",
    replace: "return atMs - seenMs > 1e15",
    scenario: ["condemned", "ws", "2", "20000"],
  },
  {
    name: "O15: marks are dropped that were not said to go before the roots were read",
    file: "collect.ts",
    find: "isSettled && names.has(object.name) &&",
    replace: "isSettled &&",
    scenario: ["new", "wcz", "3", "20000"],
  },
  {
    name: "O15: new marks sort before those that they replace",
    file: "marks.ts",
    find: "const number = (this.#numbers.get(toHex(account)) ?? 0) + 1",
    replace: "const number = 100_000 - (this.#numbers.get(toHex(account)) ?? 0)",
    scenario: ["needed", "ds", "3", "20000"],
  },
  {
    name: "O15: old marks go before the new ones are there",
    file: "collect.ts",
    find: "    await put(rest)\n    // Whoever",
    replace:
      "    await mapPool(going, parallel, ({ key }) => this.#place.bucket.remove(key, { signal }))\n    await put(rest)\n    // Whoever",
    scenario: ["needed", "ds", "3", "20000"],
  },
  {
    name: "O16: marks are read once, not again a grace later",
    file: "sweep.ts",
    find: "const marked = await this.#markedAmong(list)",
    replace: "const marked = new Set<number>()",
    scenario: ["old", "wcs", "2", "20000"],
  },
  {
    name: "O16: a list of condemned goes with what it condemned",
    file: "sweep.ts",
    find: "await this.#place.bucket.put(sweptKey(name), nothing, { signal: this.#signal })",
    replace: "await this.#place.bucket.remove(condemnedKey(name), { signal: this.#signal })",
    scenario: ["condemned", "ws", "2", "20000"],
  },
]
