/**
 * Group commit: changes that arrive while others are being made durable go into the next transaction together, so that
 * many small writes share one synchronisation of the disk. A change that throws fails alone. Tenants take turns: who has many
 * changes waiting keeps nobody else's waiting behind them. Where another process is making changes, these wait for it.
 */
import { HoldfastError } from "@holdfast/core"
import { isDiskFull } from "./database.ts"

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
/** Before it looks again whether another process is done it waits up to so long, by chance. */
const busyStepMs = 8
/** The changes of others take milliseconds. Who holds the database for so long is stuck. */
const mostBusyMs = 60_000

/** What a committer works with. */
export interface CommitterParts {
  readonly exec: (sql: string) => void
  /** Begins a transaction that writes; false when another process is in one. */
  readonly begin: () => boolean
  /** Changes that come before it runs what it is given share a transaction. */
  readonly later: (work: () => void) => void
  /** Runs `work` after up to `mostMs`, by chance. */
  readonly sometime: (mostMs: number, work: () => void) => void
  readonly nowMs: () => number
}

/** Runs changes of one database in shared transactions. */
export class Committer {
  readonly #parts: CommitterParts
  /** Those of each tenant in the order in which they came; whose turn is first is first here. */
  readonly #queues = new Map<string, Job[]>()
  /** Those whose transaction failed, perhaps because of another: each comes in one of its own, before all others. */
  readonly #failed: Job[] = []
  #scheduled = false
  #closed = false
  /** Since when another process is in a transaction. */
  #busySinceMs: number | undefined
  /** Hears that nothing waits any more. */
  #onIdle: (() => void) | undefined
  /** What is to be done in the next transaction that succeeds, before all else. */
  #before: (() => void) | undefined

  constructor(parts: CommitterParts) {
    this.#parts = parts
  }

  /**
   * Runs `work` inside a transaction, in the turn of whose it is; resolves with its result once that is durable. It may run twice:
   * change only rows. Throws ERR_SERVER_FULL.
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

  /** Has `work` done in the next transaction that succeeds, before what it is for. */
  before(work: () => void): void {
    this.#before = work
  }

  /** Commits what waits; takes no more. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#hasJobs && this.#begin()) this.#commit()
    if (!this.#hasJobs) return
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
      this.#schedule()
    })
  }

  get #hasJobs(): boolean {
    return this.#failed.length > 0 || this.#queues.size > 0
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const turn = () => {
      this.#scheduled = false
      if (this.#hasJobs && this.#begin()) this.#commit()
      if (this.#hasJobs) this.#schedule()
      else this.#onIdle?.()
    }
    if (this.#busySinceMs === undefined) this.#parts.later(turn)
    else this.#parts.sometime(busyStepMs, turn)
  }

  /** True inside a new transaction; false when that has to be tried again. */
  #begin(): boolean {
    const { begin, nowMs } = this.#parts
    try {
      if (begin()) {
        this.#busySinceMs = undefined
        return true
      }
      this.#busySinceMs ??= nowMs()
      if (Math.abs(nowMs() - this.#busySinceMs) < mostBusyMs) return false
      this.#busySinceMs = undefined
      throw stuckError()
    } catch (error) {
      const job = this.#failed.shift() ?? this.#next()
      job?.reject(failure(error))
      return false
    }
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

  /** Inside a transaction, which it ends. */
  #commit(): void {
    const failed = this.#failed.shift()
    const first = failed ?? this.#next()!
    const jobs = [first]
    const startedMs = this.#parts.nowMs()
    const more = () => {
      const isOver = failed || jobs.length >= jobsPerTransaction || Math.abs(this.#parts.nowMs() - startedMs) >= turnMs
      const job = isOver ? undefined : this.#next()
      if (job) jobs.push(job)
      return job
    }
    try {
      const results = this.#finish(first, more)
      for (const [i, job] of jobs.entries()) job.resolve(results[i])
    } catch (error) {
      if (jobs.length === 1) first.reject(failure(error))
      else this.#failed.push(...jobs)
      while (this.#failed.length > 0 && this.#begin()) this.#commit()
    }
  }

  #finish(first: Job, more: () => Job | undefined): unknown[] {
    const { exec } = this.#parts
    try {
      const results: unknown[] = []
      this.#before?.()
      for (let job: Job | undefined = first; job; job = more()) results.push(job.work())
      exec("COMMIT")
      this.#before = undefined
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

function stuckError(): HoldfastError {
  return new HoldfastError(
    "ERR_IO",
    `Another process has been changing this storage directory for ${mostBusyMs / 1000} seconds: it hangs. Find the Holdfast that is stopped or stuck, and end it.`,
  )
}

/** Of a full disk, in words for who asked. */
function failure(error: unknown): unknown {
  if (!isDiskFull(error)) return error
  const message = "The server's disk is full: nothing was changed. Its operator frees space, or adds some."
  return new HoldfastError("ERR_SERVER_FULL", message, {}, { cause: error })
}
