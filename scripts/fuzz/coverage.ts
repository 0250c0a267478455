/** What code an input reaches, as V8 counts it: blocks of our sources that no input before has run. */
import { Session } from "node:inspector"

/** Tells of new code after each input. */
export class Coverage {
  readonly #session = new Session()
  readonly #seen = new Set<string>()

  constructor() {
    this.#session.connect()
    this.#post("Profiler.enable", {})
    this.#post("Profiler.startPreciseCoverage", { callCount: false, detailed: true })
  }

  /** Blocks of the packages that ran for the first time since the last call. */
  newBlocks(): number {
    const { result } = this.#post("Profiler.takePreciseCoverage", {}) as { result: Script[] }
    const before = this.#seen.size
    for (const { scriptId, url, functions } of result)
      if (url.includes("/packages/"))
        for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges))
          if (count > 0) this.#seen.add(`${scriptId} ${startOffset} ${endOffset}`)
    return this.#seen.size - before
  }

  close(): void {
    this.#session.disconnect()
  }

  /** The inspector of the own thread answers before `post` returns. */
  #post(method: string, params: object): unknown {
    let answer: unknown
    this.#session.post(method, params, (error, result) => {
      if (error) throw error
      answer = result
    })
    return answer
  }
}

interface Script {
  readonly scriptId: string
  readonly url: string
  readonly functions: readonly { readonly ranges: readonly Range[] }[]
}

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  /** 0 or 1: blocks that did not run since the last question have 0. */
  readonly count: number
}
