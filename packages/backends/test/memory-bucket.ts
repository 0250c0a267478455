/** A bucket in memory as the large services promise it: atomic operations on objects, lists in order, and a clock of its own. */
import { HoldfastError } from "@holdfast/core"
import type { Bucket, ObjectInfo } from "../src/s3/objects.ts"

interface Stored {
  readonly bytes: Uint8Array
  readonly modifiedMs: number
}

/** What was asked, for tests that count. */
export interface Request {
  readonly kind: "put" | "get" | "list" | "remove"
  readonly key: string
}

/** How it differs from a perfect one. */
export interface MemoryBucketOptions {
  /** Lists show what was written or removed only after so long. */
  readonly listDelayMs?: number
  /** Keys that may not delete. */
  readonly refusesDelete?: boolean
  /** Runs before each step of a request; a list takes two for each key that it comes to, if `stepwise`. */
  readonly before?: (client: string, request: Request) => Promise<void>
  /** Told what a client is answered. */
  readonly after?: (client: string, answer: unknown) => void
  readonly stepwise?: (prefix: string) => boolean
}

/** A bucket in memory. */
export class MemoryBucket {
  readonly objects = new Map<string, Stored>()
  readonly requests: Request[] = []
  nowMs = 1_790_000_000_000
  readonly #options: MemoryBucketOptions
  /** What lists still show, or do not show yet: key, time of the change, what was before it. */
  readonly #changes: { readonly key: string; readonly atMs: number; readonly before: Stored | undefined }[] = []

  constructor(options: MemoryBucketOptions = {}) {
    this.#options = options
  }

  /** The bucket as one client asks it. */
  connect(client = "client"): Bucket {
    const { refusesDelete = false } = this.#options
    return {
      name: "memory",
      put: (key, bytes, { ifAbsent = false } = {}) =>
        this.#request(client, { kind: "put", key }, () => {
          if (ifAbsent && this.objects.has(key)) return { stored: false, atMs: 0 }
          this.#set(key, { bytes: bytes.slice(), modifiedMs: this.nowMs })
          return { stored: true, atMs: this.nowMs }
        }),
      get: (key, maxBytes) =>
        this.#request(client, { kind: "get", key }, () => {
          const stored = this.objects.get(key)
          if (stored && stored.bytes.length > maxBytes) throw new HoldfastError("ERR_LIMIT", `${key} is too large.`)
          return stored && { bytes: stored.bytes.slice(), atMs: this.nowMs }
        }),
      getPart: (key, offset, length) =>
        this.#request(client, { kind: "get", key }, () => {
          if (length < 1) throw new HoldfastError("ERR_REMOTE", "A bucket has no empty ranges.")
          const stored = this.objects.get(key)
          if (!stored || offset >= stored.bytes.length) return undefined
          return { bytes: stored.bytes.slice(offset, offset + length), atMs: this.nowMs }
        }),
      list: (prefix, options) => this.#list(client, prefix, options),
      remove: (key) =>
        this.#request(client, { kind: "remove", key }, () => {
          if (refusesDelete) throw new HoldfastError("ERR_REFUSED", "It refused our keys (AccessDenied).")
          this.#set(key, undefined)
        }),
      close: () => undefined,
    }
  }

  /** Keys in order. */
  keys(prefix = ""): string[] {
    return [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort()
  }

  async #list(client: string, prefix: string, { after, limit }: { after?: string | undefined; limit: number }) {
    const request = { kind: "list", key: prefix } as const
    const infos: ObjectInfo[] = []
    let atMs = 0
    const step = (from: string | undefined, most: number) =>
      this.#request(client, request, () => {
        atMs ||= this.nowMs
        return this.#listed(prefix, from).slice(0, most)
      })
    if (!this.#options.stepwise?.(prefix)) return { infos: await step(after, limit), atMs }
    // No snapshot: it comes to just before a key, and later shows what is there then from that place on.
    for (let last = after; infos.length < limit; last = infos.at(-1)!.key) {
      const [next] = await step(last, 1)
      if (!next) break
      const [shown] = await step(
        `${next.key.slice(0, -1)}${String.fromCharCode(next.key.charCodeAt(next.key.length - 1) - 1)}~`,
        1,
      )
      if (!shown) break
      infos.push(shown)
    }
    return { infos, atMs }
  }

  #listed(prefix: string, after: string | undefined): ObjectInfo[] {
    const seen = new Map(this.objects)
    const { listDelayMs = 0 } = this.#options
    for (const { key, atMs, before } of this.#changes.toReversed())
      if (this.nowMs - atMs < listDelayMs) {
        if (before) seen.set(key, before)
        else seen.delete(key)
      }
    return [...seen]
      .filter(([key]) => key.startsWith(prefix) && (after === undefined || key > after))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { bytes, modifiedMs }]) => ({ key, sizeBytes: bytes.length, modifiedMs }))
  }

  #set(key: string, stored: Stored | undefined): void {
    if (this.#options.listDelayMs) this.#changes.push({ key, atMs: this.nowMs, before: this.objects.get(key) })
    if (stored) this.objects.set(key, stored)
    else this.objects.delete(key)
  }

  async #request<T>(client: string, request: Request, work: () => T): Promise<T> {
    await this.#options.before?.(client, request)
    this.requests.push(request)
    const answer = work()
    this.#options.after?.(client, answer)
    return answer
  }
}
