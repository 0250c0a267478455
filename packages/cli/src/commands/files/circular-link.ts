/** What is said of trees that are linked in one another without end. */
import { HoldfastError } from "@holdfast/core"

/** A tree linked in itself, or too many in one another. */
export class CircularLink extends HoldfastError {
  constructor(label: string) {
    super("ERR_LIMIT", `${label} is linked in a circle, or too deep, and was not entered.`)
  }
}
