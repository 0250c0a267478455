/** The chunk pipeline in worker threads: as many as asked for, a bounded queue in front of each. */
import { availableParallelism } from "node:os"
import type { Worker } from "node:worker_threads"
import { BufferPool, type ErrorCode, HoldfastError, Semaphore } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { mappedMemory, nodeCrypto } from "@holdfast/core/node"
import { decodeShare, markSealedHere } from "@holdfast/protocol"
import { type ChunkPipeline, createLocalPipeline, type OpenResult, settleOpened, targetOf } from "../pipeline.ts"
import { rebuiltBytes } from "../rebuild.ts"
import { type SealedChunk, sealedBytes } from "../seal.ts"
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.ts"

/** How the pool is made. */
export interface WorkerPoolOptions {
  /** Where the worker's code lies; beside this file when absent. */
  readonly workerUrl?: URL
  /** Threads; one a core (at most 8) when absent. */
  readonly threads?: number
  /** Bytes that are worked on in the calling thread before any thread starts; 4 MiB when absent. */
  readonly beforeThreadsBytes?: number
}

/** Work on this much is done sooner than a thread has started, which takes the processor 30 to 100 ms. */
const usualBeforeThreadsBytes = 4 * 1024 * 1024
/** A larger piece would hold up the calling thread for more than some 10 ms. */
const smallBytes = 2 * 1024 * 1024
/** To check so little takes less time than to have another thread do it. */
const tinyBytes = 32 * 1024

/** Memory kept for the next chunks: that of four of the largest at 3 of 5, with what they are made of. */
const maxIdleBytes = 48 * 1024 * 1024

/** A thread makes little but hashes that are forgotten at once; left to itself V8 would let these pile up to 16 MiB in each. */
const nurseryMib = 4

type Job = WorkerRequest extends infer R ? (R extends WorkerRequest ? Omit<R, "ticket"> : never) : never

/**
 * A pool of threads; they start when there is enough to do, and never keep the process alive when idle. Until then small chunks are
 * worked on in the calling thread.
 */
export function createWorkerPool(options: WorkerPoolOptions = {}): ChunkPipeline {
  const threads = options.threads ?? Math.min(8, availableParallelism())
  const beforeThreadsBytes = options.beforeThreadsBytes ?? usualBeforeThreadsBytes
  const url = options.workerUrl ?? new URL("./chunk-worker.ts", import.meta.url)
  const places = new Semaphore(2 * threads) // one at work and one waiting for each thread: memory stays bounded
  const all: PoolThread[] = []

  const run = (job: Job, arrays: readonly Uint8Array[]): Promise<WorkerAnswer> =>
    places.run(() =>
      pick().run(
        job,
        arrays.map(({ buffer }) => buffer as ArrayBuffer),
      ),
    )
  const pick = (): PoolThread => {
    // Who hands over less than one thread can do, as many small files, needs no second one: to start it costs more than it would do.
    const free = all.find((thread) => thread.load < (all.length < threads ? 2 : 1))
    if (free) return free
    if (all.length < threads) {
      const thread = new PoolThread(url, () => void all.splice(all.indexOf(thread), 1))
      all.push(thread)
      return thread
    }
    return all.reduce((least, thread) => (thread.load < least.load ? thread : least))
  }
  const buffers = new BufferPool({ maxIdleBytes, allocate: mappedMemory })
  let hereBytes = 0
  let made: Promise<ChunkPipeline> | undefined
  const localPipeline = () => {
    made ??= createErasure().then((erasure) => createLocalPipeline({ crypto: nodeCrypto, erasure, buffers }))
    return made
  }
  /** The calling thread's pipeline for a piece that is small while there are no threads; undefined when it is work for those. */
  const here = (bytes: number): Promise<ChunkPipeline> | undefined => {
    if (all.length > 0 || bytes > smallBytes || hereBytes + bytes > beforeThreadsBytes) return undefined
    hereBytes += bytes
    return localPipeline()
  }
  /** The array itself when nobody else has a part of its memory, else a copy: only whole memory can be moved. */
  const movable = (bytes: Uint8Array): Uint8Array =>
    buffers.isWhole(bytes) || bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice()
  return {
    buffers,
    async seal(plaintext, coding, key) {
      const local = here(plaintext.length)
      if (local) return (await local).seal(plaintext, coding, key)
      const isLent = buffers.isWhole(plaintext)
      const piece = movable(plaintext)
      const target = buffers.take(sealedBytes(plaintext.length, coding))
      const job: Job = { kind: "seal", plaintext: piece, coding, key, target }
      const { result, returned } = await run(job, [piece, target])
      if (isLent) buffers.give(buffers.adopt(returned![0]!))
      const sealed = result as SealedChunk
      markSealedHere(sealed.shares)
      return { ...sealed, memory: buffers.adopt(returned![1]!) }
    },
    async open(id, key, encoded) {
      const local = here(encoded.reduce((sum, { length }) => sum + length, 0))
      if (local) return (await local).open(id, key, encoded)
      const isLent = encoded.map((bytes) => buffers.isWhole(bytes))
      const shares = encoded.map(movable)
      const target = targetOf(buffers, shares)
      const job: Job = { kind: "open", id, key, encoded: shares, ...(target && { target }) }
      const { result, returned } = await run(job, target ? [...shares, target] : shares)
      const back = returned!.slice(0, shares.length).map((bytes, i) => (isLent[i] ? buffers.adopt(bytes) : bytes))
      const space = target && buffers.adopt(returned!.at(-1)!)
      const opened = result as OpenResult
      return settleOpened(buffers, "damaged" in opened ? { ...opened, shares: back } : opened, back, space)
    },
    async check(id, share) {
      const local = share.length <= tinyBytes ? localPipeline() : here(share.length)
      if (local) return (await local).check(id, share)
      const isLent = buffers.isWhole(share)
      const moved = movable(share)
      const { result, returned } = await run({ kind: "check", id, share: moved }, [moved])
      const [bytes] = returned as [Uint8Array]
      return { bytes: isLent ? buffers.adopt(bytes) : bytes, isGood: result as boolean }
    },
    async rebuild(given, wanted) {
      const madeBytes = rebuiltBytes(decodeShare(given[0]!), wanted)
      const bytes = given.reduce((sum, { length }) => sum + length, madeBytes)
      const local = bytes <= tinyBytes ? localPipeline() : here(bytes)
      if (local) return (await local).rebuild(given, wanted)
      const isLent = given.map((share) => buffers.isWhole(share))
      const target = buffers.take(madeBytes)
      const shares = given.map(movable)
      const { result, returned } = await run({ kind: "rebuild", shares, wanted, target }, [...shares, target])
      return {
        shares: returned!.slice(0, shares.length).map((share, i) => (isLent[i] ? buffers.adopt(share) : share)),
        made: result as readonly Uint8Array[] | undefined,
        memory: buffers.adopt(returned!.at(-1)!),
      }
    },
    async close() {
      await Promise.all([...all].map((thread) => thread.close()))
    },
  }
}

class PoolThread {
  readonly #worker: Worker
  readonly #jobs = new Map<number, { resolve: (answer: WorkerAnswer) => void; reject: (error: unknown) => void }>()
  #nextTicket = 1

  constructor(url: URL, onExit: () => void) {
    const { Worker } = process.getBuiltinModule("node:worker_threads") // a command that starts none does not load it
    this.#worker = new Worker(url, { resourceLimits: { maxYoungGenerationSizeMb: nurseryMib } })
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

  run(job: Job, transfer: ArrayBuffer[]): Promise<WorkerAnswer> {
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
    if (!answer.error) job.resolve(answer)
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
