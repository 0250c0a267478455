/**
 * A bucket of the simulated world: atomic, durable operations on objects, as the large services promise, over which the real
 * S3 backend runs in the client. It can be out of reach, full and slow; objects can rot or be lost.
 */

import {
  type Bucket,
  chunkPrefix,
  createObjectBackend,
  type ObjectInfo,
  registerPrefix,
} from "@holdfast/backends/s3/objects"
import { type Clock, type Env, HoldfastError, isHoldfastError } from "@holdfast/core"
import type { Backend, ChunkId, RegisterId } from "@holdfast/protocol"
import type { Caller } from "./network.ts"
import type { Storage, StorageParts } from "./storage.ts"
import { skewedClock } from "./time.ts"

/** The requests that a bucket serves. */
export interface BucketRequests {
  put(key: string, bytes: Uint8Array, ifAbsent: boolean): Promise<"stored" | "exists">
  get(key: string): Promise<Uint8Array | undefined>
  list(prefix: string, after: string | undefined, limit: number): Promise<ObjectInfo[]>
  touch(key: string): Promise<boolean>
  remove(key: string): Promise<void>
}

interface StoredObject {
  bytes: Uint8Array
  modifiedMs: number
}

/** Tries of each request, as the S3 client makes them. */
const attempts = 3

/** One bucket. */
export class SimulatedBucket implements Storage {
  readonly id: string
  readonly #parts: StorageParts
  readonly #clock: Clock
  readonly #objects = new Map<string, StoredObject>()
  readonly #requests: BucketRequests
  isRunning = false
  isFull = false
  operationMs = 0.2
  crashes = 0
  #stepsLeft = Number.POSITIVE_INFINITY

  constructor(parts: StorageParts) {
    this.id = parts.id
    this.#parts = parts
    this.#clock = skewedClock(parts.time, { ...parts, isAlive: () => true })
    const requests = this.#serve()
    this.#requests = parts.liar?.wrapBucket(requests) ?? requests
  }

  get isReady(): boolean {
    return this.isRunning
  }

  connect(caller: Caller, { crypto, clock }: Env): Backend {
    const call = async <T>(name: string, serve: (requests: BucketRequests) => Promise<T>): Promise<T> => {
      for (let attempt = 1; ; attempt++)
        try {
          const request = () => (this.isRunning ? serve(this.#requests) : undefined)
          return await this.#parts.network.call({ caller, server: this.id, name, serve: request })
        } catch (error) {
          if (attempt === attempts || !isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) throw error
          await this.#parts.time.sleep(this.#parts.random.delayMs(100))
        }
    }
    const bucket: Bucket = {
      name: this.id,
      put: (key, bytes, { ifAbsent = false } = {}) => {
        const copy = bytes.slice()
        return call("put", (requests) => requests.put(key, copy, ifAbsent))
      },
      get: async (key, maxBytes) => {
        const bytes = await call("get", (requests) => requests.get(key))
        if (bytes && bytes.length > maxBytes) throw new HoldfastError("ERR_LIMIT", `${key} is too large.`)
        return bytes?.slice()
      },
      getPart: async (key, offset, length) => {
        const bytes = await call("get", (requests) => requests.get(key))
        return bytes && offset < bytes.length ? bytes.slice(offset, offset + length) : undefined
      },
      list: (prefix, { after, limit }) => call("list", (requests) => requests.list(prefix, after, limit)),
      touch: (key) => call("touch", (requests) => requests.touch(key)),
      remove: (key) => call("remove", (requests) => requests.remove(key)),
      close: () => undefined,
    }
    return createObjectBackend(bucket, { id: this.id, crypto, clock, conditionalWrites: true })
  }

  start(): void {
    if (this.isRunning) return
    this.isRunning = true
    this.#stepsLeft = Number.POSITIVE_INFINITY
    this.#parts.time.tell(`${this.id} serves`)
  }

  crash(): void {
    if (!this.isRunning) return
    this.isRunning = false
    this.crashes++
    this.#parts.time.tell(`${this.id} is gone`)
    this.#parts.network.reset(this.id)
  }

  crashAfter(steps: number): void {
    this.#stepsLeft = steps
  }

  /** Buckets do not look through what they store. */
  async scrub(): Promise<void> {}

  rot(registers: boolean): void {
    const { random } = this.#parts
    const keys = [...this.#objects.keys()].filter((key) => registers || key.startsWith("shares/")).sort()
    if (keys.length === 0) return
    const object = this.#objects.get(random.pick(keys))!
    object.bytes = object.bytes.slice()
    object.bytes[random.between(0, object.bytes.length - 1)]! ^= 1 << random.between(0, 7)
  }

  lose(): void {
    this.#objects.clear()
  }

  /** Objects are durable by themselves. */
  async brokenPromise(): Promise<undefined> {}

  storedShares(id: ChunkId): Uint8Array[] {
    return this.#below(chunkPrefix(id)).map((key) => this.#objects.get(key)!.bytes)
  }

  storedRegister(id: RegisterId): Uint8Array | undefined {
    const [newest] = this.#below(registerPrefix(id))
    return newest === undefined ? undefined : this.#objects.get(newest)!.bytes
  }

  #below(prefix: string): string[] {
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort()
  }

  #serve(): BucketRequests {
    const objects = this.#objects
    return {
      put: (key, bytes, ifAbsent) =>
        this.#operation(() => {
          if (ifAbsent && objects.has(key)) return "exists"
          if (this.isFull) throw new HoldfastError("ERR_SERVER_FULL", `${this.id} is full.`)
          objects.set(key, { bytes: bytes.slice(), modifiedMs: this.#clock.nowMs() })
          return "stored"
        }),
      get: (key) => this.#operation(() => objects.get(key)?.bytes.slice()),
      list: (prefix, after, limit) =>
        this.#operation(() =>
          this.#below(prefix)
            .filter((key) => after === undefined || key > after)
            .slice(0, limit)
            .map((key) => {
              const { bytes, modifiedMs } = objects.get(key)!
              return { key, sizeBytes: bytes.length, modifiedMs }
            }),
        ),
      touch: (key) =>
        this.#operation(() => {
          const object = objects.get(key)
          if (object) object.modifiedMs = this.#clock.nowMs()
          return object !== undefined
        }),
      remove: (key) => this.#operation(() => void objects.delete(key)),
    }
  }

  async #operation<T>(work: () => T): Promise<T> {
    await this.#parts.time.sleep(this.#parts.random.delayMs(this.operationMs))
    this.#step()
    if (!this.isRunning) return never()
    const result = work()
    this.#step()
    return this.isRunning ? result : never()
  }

  #step(): void {
    if (--this.#stepsLeft < 0) this.crash()
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}
