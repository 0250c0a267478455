/**
 * A bucket of the simulated world: atomic, durable operations on objects, as the large services promise, over which the real
 * S3 backend runs in the client. It can be out of reach, full and slow; objects can rot or be lost.
 */
import {
  type Bucket,
  chunkPrefix,
  createObjectBackend,
  encodeMarker,
  type Listing,
  markerKey,
  newMarker,
  parseShareKey,
  registerPrefix,
} from "@holdfast/backends/s3/objects"
import { HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import type { Backend, ChunkId, RegisterId } from "@holdfast/protocol"
import type { BucketRequests } from "./bucket-requests.ts"
import { WrongClock } from "./clocks.ts"
import { changeObjects } from "./intrusions.ts"
import { LaggingLists } from "./lagging.ts"
import type { Random } from "./random.ts"
import { addHolding, type Holding, type Storage, type StorageParts, type Visitor } from "./storage.ts"

interface StoredObject {
  bytes: Uint8Array
  modifiedMs: number
}

/** Of lists of condemned: docs/formats/bucket.md. */
const [listHeadBytes, condemnedBytes, hashBytes] = [8, 41, 32]

/** Tries of each request, as the S3 client makes them. */
const attempts = 3

/** One bucket. */
export class SimulatedBucket implements Storage {
  readonly id: string
  readonly #parts: StorageParts
  readonly kind = "bucket"
  readonly #clock: WrongClock
  #objects = new Map<string, StoredObject>()
  readonly #lists: LaggingLists<StoredObject>
  readonly #requests: BucketRequests
  isRunning = false
  isFull = false
  operationMs = 0.2
  crashes = 0
  #stepsLeft = Number.POSITIVE_INFINITY
  #copy: ReadonlyMap<string, StoredObject> = new Map()
  /** As long as no object changes. */
  #held: ReadonlyMap<string, Holding> | undefined

  constructor(parts: StorageParts) {
    this.id = parts.id
    this.#parts = parts
    this.#clock = new WrongClock(parts.time, parts)
    const { mostMs = 0, registers = false } = parts.lag ?? {}
    const lags = (key: string) => registers || !key.startsWith("registers/")
    this.#lists = new LaggingLists(parts.random.fork("lag"), { mostMs, lags })
    this.#found()
    const requests = this.#serve()
    this.#requests = parts.liar?.wrapBucket(requests) ?? requests
  }

  get isReady(): boolean {
    return this.isRunning
  }

  connect({ caller, access, epoch = 1 }: Visitor): Backend {
    const { crypto, graceMs } = this.#parts
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
        const answer = await call("get", (requests) => requests.get(key))
        if (answer && answer.bytes.length > maxBytes) throw new HoldfastError("ERR_LIMIT", `${key} is too large.`)
        return answer && { ...answer, bytes: answer.bytes.slice() }
      },
      getPart: async (key, offset, length) => {
        const answer = await call("get", (requests) => requests.get(key))
        const part = answer?.bytes.slice(offset, offset + length) ?? new Uint8Array()
        return answer && part.length > 0 ? { ...answer, bytes: part } : undefined
      },
      list: (prefix, { after, limit }) => call("list", (requests) => requests.list(prefix, after, limit)),
      remove: (key) => call("remove", (requests) => requests.remove(key)),
      close: () => undefined,
    }
    const listing = this.#parts.lag ? "delayed" : "strong"
    const options = { id: this.id, crypto, access, graceMs, epoch, listing, conditionalWrites: true } as const
    return createObjectBackend(bucket, options)
  }

  /** The volume has another description from now on. */
  seal(epoch: number): void {
    const key = `fence/epoch-${String(epoch).padStart(6, "0")}`
    this.#objects.set(key, { bytes: new Uint8Array(1), modifiedMs: this.#clock.nowMs() })
  }

  catchUp(): void {
    this.#lists.catchUp()
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
    const prefixes = ["shares/", ...(registers ? ["registers/"] : [])]
    const keys = [...this.#objects.keys()].filter((key) => prefixes.some((prefix) => key.startsWith(prefix))).sort()
    if (keys.length === 0) return
    const object = this.#objects.get(random.pick(keys))!
    object.bytes = object.bytes.slice()
    object.bytes[random.between(0, object.bytes.length - 1)]! ^= 1 << random.between(0, 7)
  }

  intrude(random: Random): string {
    this.#held = undefined
    return changeObjects(this.#objects, random)
  }

  lose(): void {
    this.#copy = new Map()
    this.restore()
  }

  jump(ms: number): void {
    this.#clock.jump(ms)
  }

  get behindMs(): number {
    return this.#clock.behindMs
  }

  backUp(): void {
    this.#copy = new Map([...this.#objects].map(([key, object]) => [key, { ...object }]))
  }

  restore(): void {
    this.#objects = new Map([...this.#copy].map(([key, object]) => [key, { ...object }]))
    this.#found()
  }

  /** Objects are durable by themselves. */
  async brokenPromise(): Promise<undefined> {}

  storedShares(id: ChunkId): Uint8Array[] {
    return this.#below(chunkPrefix(id)).map((key) => this.#objects.get(key)!.bytes)
  }

  lastingShares(id: ChunkId): Uint8Array[] {
    const condemned = this.#condemned()
    const isCondemned = (key: string) => {
      const share = parseShareKey(key)
      return share !== undefined && condemned.has(`${toHex(share.id)} ${share.index} ${share.generation}`)
    }
    const keys = this.#below(chunkPrefix(id)).filter((key) => !isCondemned(key))
    return keys.map((key) => this.#objects.get(key)!.bytes)
  }

  storedRegister(id: RegisterId): Uint8Array | undefined {
    const [newest] = this.#below(registerPrefix(id))
    return newest === undefined ? undefined : this.#objects.get(newest)!.bytes
  }

  holdings(): ReadonlyMap<string, Holding> {
    if (this.#held) return this.#held
    const marks = this.#marks()
    const holdings = new Map<string, Holding>()
    for (const key of this.#below("shares/")) {
      const share = parseShareKey(key)
      if (!share) continue
      const [name, { index }] = [toHex(share.id), share]
      addHolding(holdings, name, { index, account: null })
      for (const [account, ids] of marks) if (ids.has(name)) addHolding(holdings, name, { index, account })
    }
    this.#held = holdings
    return holdings
  }

  /** What lists of condemned name: docs/formats/bucket.md. */
  #condemned(): Set<string> {
    const names = new Set<string>()
    for (const key of this.#below("fence/condemned-")) {
      const { bytes } = this.#objects.get(key)!
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      for (let at = listHeadBytes; at + condemnedBytes <= bytes.length - hashBytes; at += condemnedBytes)
        if (bytes[at] === 0)
          names.add(`${toHex(bytes.subarray(at + 1, at + 33))} ${view.getUint32(at + 33)} ${view.getUint32(at + 37)}`)
    }
    return names
  }

  /** What mark objects name: docs/formats/bucket.md. */
  #marks(): Map<string, Set<string>> {
    const marked = new Map<string, Set<string>>()
    for (const key of this.#below("marks/")) {
      const [, account, name] = key.split("/")
      if (name!.startsWith("!")) continue
      const { bytes } = this.#objects.get(key)!
      const ids = marked.get(account!) ?? new Set()
      marked.set(account!, ids)
      const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(12)
      for (let i = 0; i < count; i++) ids.add(toHex(bytes.subarray(20 + 32 * i, 52 + 32 * i)))
    }
    return marked
  }

  /** A bucket is somebody's volume from the start, and again when it was emptied. */
  #found(): void {
    const { graceMs } = this.#parts
    this.#held = undefined
    if (this.#objects.has(markerKey)) return
    const bytes = encodeMarker({ ...newMarker("0".repeat(32)), graceMs })
    this.#objects.set(markerKey, { bytes, modifiedMs: this.#clock.nowMs() })
  }

  #below(prefix: string): string[] {
    return below(this.#objects, prefix)
  }

  #serve(): BucketRequests {
    const atMs = () => this.#clock.nowMs()
    return {
      put: (key, bytes, ifAbsent) =>
        this.#operation(() => {
          if (ifAbsent && this.#objects.has(key)) return { stored: false, atMs: 0 }
          if (this.isFull) throw new HoldfastError("ERR_SERVER_FULL", `${this.id} is full.`)
          this.#lists.note(key, this.#objects.get(key), this.#parts.time.nowMs)
          this.#objects.set(key, { bytes: bytes.slice(), modifiedMs: atMs() })
          this.#held = undefined
          return { stored: true, atMs: atMs() }
        }),
      get: (key) =>
        this.#operation(() => {
          const object = this.#objects.get(key)
          return object && { bytes: object.bytes.slice(), atMs: atMs() }
        }),
      list: (prefix, after, limit) =>
        this.#operation(() => {
          const shown = this.#lists.shown(this.#objects, this.#parts.time.nowMs)
          const keys = below(shown, prefix).filter((key) => after === undefined || key > after)
          const infos = keys.slice(0, limit).map((key) => {
            const { bytes, modifiedMs } = shown.get(key)!
            return { key, sizeBytes: bytes.length, modifiedMs }
          })
          return { infos, atMs: atMs() }
        }),
      remove: (key) =>
        this.#operation(() => {
          this.#lists.note(key, this.#objects.get(key), this.#parts.time.nowMs)
          this.#objects.delete(key)
          this.#held = undefined
        }),
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

function below(objects: ReadonlyMap<string, unknown>, prefix: string): string[] {
  return [...objects.keys()].filter((key) => key.startsWith(prefix)).sort()
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}
