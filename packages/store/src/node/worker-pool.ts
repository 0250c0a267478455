/** The chunk pipeline in worker threads: as many as asked for, a bounded queue in front of each. */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { BufferPool, type ErrorCode, HoldfastError, Semaphore } from "@holdfast/core"
import type { ChunkPipeline, OpenResult } from "../pipeline.ts"
import { type SealedChunk, sealedBytes } from "../seal.ts"
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.ts"

/** How the pool is made. */
export interface WorkerPoolOptions {
  /** Where the worker's code lies; beside this file when absent. */
  readonly workerUrl?: URL
  /** Threads; one a core (at most 8) when absent. */
  readonly threads?: number
}

/** Memory kept for the next chunks. */
const maxIdleBytes = 64 * 1024 * 1024

type Job = WorkerRequest extends infer R ? (R extends WorkerRequest ? Omit<R, "ticket"> : never) : never

/** A pool of threads; they start with the first chunk, and never keep the process alive when idle. */
export function createWorkerPool(options: WorkerPoolOptions = {}): ChunkPipeline {
  const threads = options.threads ?? Math.min(8, availableParallelism())
  const url = options.workerUrl ?? new URL("./chunk-worker.ts", import.meta.url)
  const places = new Semaphore(2 * threads) // one at work and one waiting for each thread: memory stays bounded
  const all: PoolThread[] = []

  const run = <T>(job: Job, transfer: ArrayBuffer[]): Promise<T> =>
    places.run(async () => {
      const thread = pick()
      return (await thread.run(job, transfer)) as T
    })
  const pick = (): PoolThread => {
    const free = all.find((thread) => thread.load === 0)
    if (free) return free
    if (all.length < threads) {
      const thread = new PoolThread(url, () => void all.splice(all.indexOf(thread), 1))
      all.push(thread)
      return thread
    }
    return all.reduce((least, thread) => (thread.load < least.load ? thread : least))
  }
  const buffers = new BufferPool({ maxIdleBytes, allocate: (sizeBytes) => new SharedArrayBuffer(sizeBytes) })
  return {
    buffers,
    async seal(plaintext, coding, convergenceSecret) {
      const target = buffers.take(sealedBytes(plaintext.length, coding))
      const job: Job = { kind: "seal", plaintext, coding, convergenceSecret, target }
      return { ...(await run<SealedChunk>(job, ownMemory([plaintext]))), memory: target }
    },
    open: (id, key, shares) => run<OpenResult>({ kind: "open", id, key, shares }, ownMemory(shares)),
    async close() {
      await Promise.all([...all].map((thread) => thread.close()))
    },
  }
}

/** Memory that can be moved rather than copied: whole buffers of some size that no other thread sees. */
function ownMemory(arrays: readonly Uint8Array[]): ArrayBuffer[] {
  return arrays
    .filter((array) => array.byteLength === array.buffer.byteLength && array.byteLength > 16_384)
    .map((array) => array.buffer)
    .filter((memory) => memory instanceof ArrayBuffer)
}

class PoolThread {
  readonly #worker: Worker
  readonly #jobs = new Map<number, { resolve: (result: unknown) => void; reject: (error: unknown) => void }>()
  #nextTicket = 1

  constructor(url: URL, onExit: () => void) {
    this.#worker = new Worker(url)
    this.#worker.unref()
    this.#worker.on("message", (answer: WorkerAnswer) => this.#settle(answer))
    this.#worker.on("error", (error) => this.#failAll(error))
    this.#worker.on("exit", () => {
      this.#failAll(new Error("a chunk worker ended before its work was done"))
      onExit()
    })
  }

  get load(): number {
    return this.#jobs.size
  }

  run(job: Job, transfer: ArrayBuffer[]): Promise<unknown> {
    const ticket = this.#nextTicket++
    this.#worker.ref()
    return new Promise((resolve, reject) => {
      this.#jobs.set(ticket, { resolve, reject })
      this.#worker.postMessage({ ...job, ticket } as WorkerRequest, transfer)
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }

  #settle(answer: WorkerAnswer): void {
    const job = this.#jobs.get(answer.ticket)
    if (!job) return
    this.#jobs.delete(answer.ticket)
    if (this.#jobs.size === 0) this.#worker.unref()
    if (!answer.error) job.resolve(answer.result)
    else if (answer.error.code)
      job.reject(
        new HoldfastError(
          answer.error.code as ErrorCode,
          answer.error.message,
          answer.error.details as Record<string, unknown>,
        ),
      )
    else job.reject(new Error(answer.error.message))
  }

  #failAll(error: unknown): void {
    for (const job of this.#jobs.values()) job.reject(error)
    this.#jobs.clear()
  }
}
