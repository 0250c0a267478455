/** Commits of one open tree wait for each other: those of one process would only race, and merge what the other has just read. */
import { Semaphore, untilAborted } from "@holdfast/core"

/** One commit at a time, for all that use an open tree. */
export class Turns {
  readonly #commits: Semaphore
  readonly #signal: AbortSignal | undefined

  constructor(commits = new Semaphore(1), signal?: AbortSignal) {
    this.#commits = commits
    this.#signal = signal
  }

  /** The same turns for one user: waiting for them throws the signal's reason as soon as it aborts. */
  stoppedBy(signal: AbortSignal): Turns {
    return new Turns(this.#commits, signal)
  }

  /** Runs `commit` when those before it have ended. */
  run<T>(commit: () => Promise<T>): Promise<T> {
    return untilAborted(this.#commits.run(commit), this.#signal)
  }
}
