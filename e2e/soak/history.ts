/** What was done in a run, in order: for the report, and to understand a loss by. */
import { appendFileSync } from "node:fs"

/** How a command ended. */
export interface Outcome {
  readonly isDone: boolean
  /** It failed, and the device was revoked meanwhile. */
  readonly isShutOut: boolean
  /** Exit code; null when it was killed. */
  readonly code: number | null
  /** The error's code, such as ERR_NO_QUORUM. */
  readonly error?: string
  readonly message?: string
  /** What it printed, as JSON. */
  readonly value: unknown
  readonly stderr: string
}

/** A failure of the run: a loss, or a command that failed for no reason that the run knows. */
export interface Failure {
  readonly atMs: number
  readonly what: string
}

/** The history of a run. */
export class History {
  readonly startedMs = performance.now()
  readonly counts = new Map<string, { done: number; failed: number; killed: number }>()
  readonly errors = new Map<string, number>()
  readonly failures: Failure[] = []
  readonly figures = new Map<string, number>()
  readonly #file: string
  readonly #say: (line: string) => void

  constructor(file: string, say: (line: string) => void) {
    this.#file = file
    this.#say = say
  }

  get elapsedMs(): number {
    return Math.round(performance.now() - this.startedMs)
  }

  /** Writes down that a command ended. No capability is ever on a command line here. */
  command(who: string, kind: string, args: readonly string[], outcome: Outcome, tookMs: number): void {
    const count = this.counts.get(kind) ?? { done: 0, failed: 0, killed: 0 }
    this.counts.set(kind, count)
    if (outcome.isDone) count.done++
    else if (outcome.code === null) count.killed++
    else count.failed++
    if (outcome.error) this.errors.set(outcome.error, (this.errors.get(outcome.error) ?? 0) + 1)
    const { code, error, message, stderr } = outcome
    this.#write({ who, args: args.join(" "), code, error, message, stderr: stderr.slice(0, 2000) || undefined, tookMs })
  }

  /** Writes down anything else. */
  note(what: string): void {
    this.#write({ note: what })
  }

  /** Adds to a figure of the report. */
  add(figure: string, amount: number): void {
    this.figures.set(figure, (this.figures.get(figure) ?? 0) + amount)
  }

  /** Writes down a failure: the run has failed, and goes on. */
  fail(what: string): void {
    this.failures.push({ atMs: this.elapsedMs, what })
    this.#write({ FAILURE: what })
    this.#say(`${seconds(this.elapsedMs)} FAILURE ${what}`)
  }

  /** Tells people how far it is. */
  say(what: string): void {
    this.note(what)
    this.#say(`${seconds(this.elapsedMs)} ${what}`)
  }

  #write(line: object): void {
    appendFileSync(this.#file, `${JSON.stringify({ ms: this.elapsedMs, ...line })}\n`)
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(7)} s`
}
