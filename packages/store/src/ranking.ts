/** The servers of one chunk in the order of placement, of which only so many are put in order as are looked at. */

/** So few servers are all asked. */
const leastAround = 16

/** Servers in order, the best place first. */
export class Ranking<T> {
  /** How many there are. */
  readonly length: number
  readonly #near: readonly T[]
  #far: readonly T[] | (() => readonly T[])

  /** `far` gives the others of `length` in their order; it is called once, and only when these are wanted. */
  constructor(near: readonly T[], length: number, far: () => readonly T[]) {
    this.#near = near
    this.length = length
    this.#far = far
  }

  /** The best `count` of them, or all where there are fewer. */
  first(count: number): readonly T[] {
    if (count < this.#near.length) return this.#near.slice(0, count)
    return Math.min(count, this.length) === this.#near.length
      ? this.#near
      : [...this.#near, ...this.#others().slice(0, count - this.#near.length)]
  }

  /** Where the shares of a chunk with `n` shares are sought first: nearly all lie there even when some servers took none. */
  around(n: number): readonly T[] {
    return this.first(Math.max(leastAround, 2 * n))
  }

  /** Servers enough for a chunk with `n` shares when many of them take none: a bounded number, however many there are. */
  nearby(n: number): readonly T[] {
    return this.first(Math.max(this.#near.length, leastAround, 2 * n))
  }

  /** All behind the first `count`. Costs work in proportion to how many there are. */
  behind(count: number): readonly T[] {
    if (count >= this.length) return []
    const far = this.#others()
    return count >= this.#near.length ? far.slice(count - this.#near.length) : [...this.#near.slice(count), ...far]
  }

  /**
   * All behind the first `count` in the order in which a reader does best: the near ones by turns with the others, of which the first
   * were the best of all for what was stored before there were candidates.
   */
  *seek(count: number): Generator<T, void, void> {
    let taken = 0
    for (const one of this.#near.slice(count)) {
      yield one
      const [other] = this.#near.length < this.length ? this.#others().slice(taken, ++taken) : []
      if (other !== undefined) yield other
    }
    yield* this.behind(Math.max(count, this.#near.length) + taken)
  }

  /** The same of what each stands for. */
  map<U>(of: (one: T) => U): Ranking<U> {
    return new Ranking(this.#near.map(of), this.length, () => this.#others().map(of))
  }

  #others(): readonly T[] {
    if (typeof this.#far === "function") this.#far = this.#far()
    return this.#far
  }
}
