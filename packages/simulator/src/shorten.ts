/**
 * Makes a run that fails shorter: fewer steps, then fewer kinds of faults, then steps left out, as long as the same claim
 * fails. What is left out does not change the chance of the rest, so most of the run stays as it was.
 */
import type { RunOptions, RunResult } from "./run.ts"
import { simulate } from "./simulate.ts"

/** The shortest run found that fails as `result` does, until `isLate`. */
export async function shorten(result: RunResult, isLate: () => boolean): Promise<RunResult> {
  const shortener = new Shortener(result, isLate)
  await shortener.fewerSteps()
  await shortener.fewerFaults()
  await shortener.leaveOut()
  await shortener.fewerFaults()
  return shortener.best
}

class Shortener {
  best: RunResult
  readonly #claim: string
  readonly #isLate: () => boolean

  constructor(result: RunResult, isLate: () => boolean) {
    this.best = result
    this.#claim = result.failure?.claim ?? ""
    this.#isLate = isLate
  }

  async fewerSteps(): Promise<void> {
    const { failure } = this.best
    if (!failure) return
    if (failure.step < this.best.options.steps) await this.#try({ steps: failure.step })
    for (let cut = Math.floor(this.best.options.steps / 2); cut >= 1; cut = Math.floor(cut / 2))
      while (cut < this.best.options.steps && (await this.#try({ steps: this.best.options.steps - cut })));
  }

  async fewerFaults(): Promise<void> {
    for (const kind of this.best.faults) {
      const { without = [] } = this.best.options
      if (!without.includes(kind)) await this.#try({ without: [...without, kind] })
    }
  }

  /** Leaves out runs of steps, long ones first. */
  async leaveOut(): Promise<void> {
    const { steps } = this.best.options
    for (let length = Math.floor(steps / 4); length >= 1; length = Math.floor(length / 2))
      for (let first = 1; first <= steps; first += length) {
        const { skip = [] } = this.best.options
        const more = Array.from({ length }, (_, i) => first + i).filter((step) => step <= steps && !skip.includes(step))
        if (more.length > 0) await this.#try({ skip: [...skip, ...more] })
      }
  }

  /** True when the run with these changes fails in the same way; then it is the best. */
  async #try(changes: Partial<RunOptions>): Promise<boolean> {
    if (this.#isLate()) return false
    const result = await simulate({ ...this.best.options, verbose: false, ...changes })
    if (result.failure?.claim !== this.#claim) return false
    this.best = result
    return true
  }
}
