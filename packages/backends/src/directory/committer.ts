/**
 * Group commit: changes that arrive while others are being made durable go into the next transaction together, so that
 * many small writes share one synchronisation of the disk. A change that throws fails alone. Tenants take turns: who has many
 * changes waiting keeps nobody else's waiting behind them.
 */
import { HoldfastError } from "@holdfast/core"

interface Job {
  readonly work: () => unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** About the most rows that one change may touch: larger ones come in parts. */
export const rowsAtOnce = 512
/** After so long a transaction takes no more changes, so that none keeps the event loop for long; and after so many. */
const turnMs = 20
const jobsPerTransaction = 256

/** What a committer works with. */
export interface CommitterParts {
  readonly exec: (sql: string) => void
  /** Changes that come before it runs what it is given share a transaction. */
  readonly later: (work: () => void) => void
  readonly nowMs: () => number
}

/** Runs changes of one database in shared transactions. */
export class Committer {
  readonly #parts: CommitterParts
  /** Those of each tenant in the order in which they came; whose turn is first is first here. */
  readonly #queues = new Map<string, Job[]>()
  #scheduled = false
  #closed = false

  constructor(parts: CommitterParts) {
    this.#parts = parts
  }

  /**
   * Runs `work` inside a transaction, in the turn of whose it is; resolves with its result once that is durable. It may run twice:
   * change only rows.
   */
  run<T>(work: () => T, of = ""): Promise<T> {
    if (this.#closed) return Promise.reject(new HoldfastError("ERR_IO", "The storage directory is closed."))
    return new Promise<T>((resolve, reject) => {
      const queue = this.#queues.get(of) ?? []
      queue.push({ work, resolve: resolve as (result: unknown) => void, reject })
      this.#queues.set(of, queue)
      this.#schedule()
    })
  }

  /** Commits what waits; takes no more. */
  close(): void {
    this.#closed = true
    while (this.#queues.size > 0) this.#commit()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#parts.later(() => {
      this.#scheduled = false
      this.#commit()
      if (this.#queues.size > 0) this.#schedule()
    })
  }

  /** The next of whose turn it is. */
  #next(): Job | undefined {
    const first = this.#queues.entries().next().value
    if (!first) return undefined
    const [of, queue] = first
    const job = queue.shift()
    this.#queues.delete(of)
    if (queue.length > 0) this.#queues.set(of, queue)
    return job
  }

  #commit(): void {
    const first = this.#next()
    if (!first) return
    const jobs = [first]
    const startedMs = this.#parts.nowMs()
    const more = () => {
      const isOver = jobs.length >= jobsPerTransaction || Math.abs(this.#parts.nowMs() - startedMs) >= turnMs
      const job = isOver ? undefined : this.#next()
      if (job) jobs.push(job)
      return job
    }
    try {
      const results = this.#transaction(first, more)
      for (const [i, job] of jobs.entries()) job.resolve(results[i])
    } catch (error) {
      if (jobs.length === 1) jobs[0]!.reject(error)
      else for (const job of jobs) this.#commitAlone(job)
    }
  }

  #commitAlone(job: Job): void {
    try {
      job.resolve(this.#transaction(job)[0])
    } catch (error) {
      job.reject(error)
    }
  }

  #transaction(first: Job, more: () => Job | undefined = () => undefined): unknown[] {
    const { exec } = this.#parts
    exec("BEGIN IMMEDIATE")
    try {
      const results: unknown[] = []
      for (let job: Job | undefined = first; job; job = more()) results.push(job.work())
      exec("COMMIT")
      return results
    } catch (error) {
      try {
        exec("ROLLBACK")
      } catch {
        // SQLite has rolled back by itself, as it does when the disk is full.
      }
      throw error
    }
  }
}
