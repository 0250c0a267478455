/**
 * Keeps walks that tell every path from never ending: copies share directories, and sixty directories that each hold the next
 * one twice have more paths than can be told.
 */
import { HoldfastError } from "@holdfast/core"

/** Repeated entries that are always told, and how often each may come on average beyond that. */
const mostRepeated = 20_000
const mostCopies = 100
/** One directory that comes so often is no copy any more, unless most of what is told beside it is new. */
const mostVisits = 1000
const mostCopiesThen = 20

/** Counts what a walk tells, and ends it when nearly all of that was told before. */
export class RepeatGuard {
  readonly #visits = new Map<string, number>()
  #distinct = 0
  #repeated = 0

  /**
   * Begins a directory, known by its name here; gives what is to be called with the number of its entries as they are told, and
   * throws ERR_LIMIT when nearly all that is told was told before.
   */
  enter(directory: string): (entries: number) => void {
    const visits = (this.#visits.get(directory) ?? 0) + 1
    this.#visits.set(directory, visits)
    return (entries) => {
      if (visits > 1) this.#repeated += entries
      else this.#distinct += entries
      const isEndless = visits > mostVisits && this.#repeated > mostCopiesThen * this.#distinct
      if (isEndless || this.#repeated > Math.max(mostRepeated, mostCopies * this.#distinct)) throw this.#endless()
    }
  }

  #endless(): HoldfastError {
    return new HoldfastError(
      "ERR_LIMIT",
      `The same ${this.#distinct} entries are linked in so many places of this tree that ${this.#repeated} were told again, and there is no end to it. Name a place further down.`,
      { distinct: this.#distinct, repeated: this.#repeated },
    )
  }
}
