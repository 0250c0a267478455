/**
 * Group commit: changes that arrive while others are being made durable go into the next transaction together, so that
 * many small writes share one synchronisation of the disk. A change that throws fails alone.
 */
import { HoldfastError } from "@holdfast/core"

interface Job {
  readonly work: () => unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Most changes in a transaction, so that none keeps the event loop for long. */
const jobsPerTransaction = 256

/** Runs changes of one database in shared transactions. */
export class Committer {
  readonly #exec: (sql: string) => void
  readonly #later: (work: () => void) => void
  #queue: Job[] = []
  #scheduled = false
  #closed = false

  /** Changes that come before `later` runs what it is given share a transaction. */
  constructor(exec: (sql: string) => void, later: (work: () => void) => void) {
    this.#exec = exec
    this.#later = later
  }

  /** Runs `work` inside a transaction; resolves with its result once that is durable. It may run twice: change only rows. */
  run<T>(work: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(new HoldfastError("ERR_IO", "The storage directory is closed."))
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ work, resolve: resolve as (result: unknown) => void, reject })
      this.#schedule()
    })
  }

  /** Commits what waits; takes no more. */
  close(): void {
    this.#closed = true
    while (this.#queue.length > 0) this.#commit()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#later(() => {
      this.#scheduled = false
      this.#commit()
      if (this.#queue.length > 0) this.#schedule()
    })
  }

  #commit(): void {
    const jobs = this.#queue.splice(0, jobsPerTransaction)
    if (jobs.length === 0) return
    try {
      const results = this.#transaction(jobs)
      for (const [i, job] of jobs.entries()) job.resolve(results[i])
    } catch (error) {
      if (jobs.length === 1) jobs[0]!.reject(error)
      else for (const job of jobs) this.#commitAlone(job)
    }
  }

  #commitAlone(job: Job): void {
    try {
      job.resolve(this.#transaction([job])[0])
    } catch (error) {
      job.reject(error)
    }
  }

  #transaction(jobs: readonly Job[]): unknown[] {
    this.#exec("BEGIN IMMEDIATE")
    try {
      const results = jobs.map((job) => job.work())
      this.#exec("COMMIT")
      return results
    } catch (error) {
      try {
        this.#exec("ROLLBACK")
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
      throw error
    }
  }
}
