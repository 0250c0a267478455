/** The names of a directory in the order of trees, held once: a million of them take a third of what a set of them would. */
import { compareNames } from "@holdfast/tree"

/** Where UTF-16 and UTF-8, by which trees sort, do not order alike. */
const surrogate = /[\ud800-\udfff]/

/** Names, none twice, which it sorts where they are. */
export class SortedNames {
  readonly #names: readonly string[]

  constructor(names: string[]) {
    // The order of code units is what engines sort quickly by.
    this.#names = names.some((name) => surrogate.test(name)) ? names.sort(compareNames) : names.sort()
  }

  has(name: string): boolean {
    let [low, high] = [0, this.#names.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareNames(this.#names[middle]!, name) < 0) low = middle + 1
      else high = middle
    }
    return this.#names[low] === name
  }
}
