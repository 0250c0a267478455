/** What is said of trees that are linked in one another without end. */
import { HoldfastError, toHex } from "@holdfast/core"
import type { JunctionEntry } from "@holdfast/tree"

/** A tree linked in itself, or too many in one another. */
export class CircularLink extends HoldfastError {
  constructor(label: string) {
    super("ERR_LIMIT", `${label} is linked in a circle, or too deep, and was not entered.`)
  }
}

/** Notes a tree that is entered so deep; false when it was at least as near the top before, from where as much of it is reached. */
export function enterOnce(entered: Map<string, number>, { readCap }: JunctionEntry, depth: number): boolean {
  const tree = toHex(readCap)
  if (depth >= (entered.get(tree) ?? Number.POSITIVE_INFINITY)) return false
  entered.set(tree, depth)
  return true
}
