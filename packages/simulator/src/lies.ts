/**
 * A byzantine server or bucket: an honest one whose answers are now and then replaced by lies. It has what honest servers were told,
 * so its lies are as good as they get without the keys: old values, right shares of wrong chunks, silence about removals.
 */
import type { TenantBackend } from "@holdfast/backends/directory"
import { type CryptoProvider, toHex } from "@holdfast/core"
import { type ChunkId, decodeRegisterValue, type ProposeOutcome, registerIdOf } from "@holdfast/protocol"
import type { BucketRequests } from "./bucket-requests.ts"
import type { Random } from "./random.ts"

/** What a liar says that it holds of a chunk. */
const someIndices = [0, 1, 2, 3, 4, 5, 6]

/** What a liar keeps of what it heard. */
export class Liar {
  readonly #random: Random
  readonly #crypto: CryptoProvider
  /** Every value of each register, the oldest first. */
  readonly #values = new Map<string, Uint8Array[]>()
  readonly #shares: Uint8Array[] = []
  /** How often it lies. */
  rate: number
  /** Chunks, by their ids in hexadecimal, that it says it holds whatever it has: those of a writer who has it on his side. */
  readonly #favoured = new Set<string>()
  /** Its answers are as long as they may be, now and then. */
  isBulky = false

  constructor(random: Random, crypto: CryptoProvider, rate: number) {
    this.#random = random
    this.#crypto = crypto
    this.rate = rate
  }

  /** From now on it says that it holds a chunk. */
  favour(id: ChunkId): void {
    this.#favoured.add(toHex(id))
  }

  /** From now on it tells the truth. */
  stop(): void {
    this.rate = 0
    this.#favoured.clear()
  }

  /** `honest` as this liar presents it. */
  wrap(honest: TenantBackend): TenantBackend {
    return {
      ...honest,
      putShares: async (shares, options) => {
        for (const share of shares) this.#remember(share)
        if (this.#lies()) return shares.map(() => ({ ok: true, existed: this.#random.chance(0.5) }))
        return honest.putShares(shares, options)
      },
      markShares: async (ids, options) => {
        if (this.#lies()) return ids.map(() => ({ ok: true, held: this.#random.pick([[], [0], [0, 1, 2], [255]]) }))
        const outcomes = await honest.markShares(ids, options)
        return outcomes.map((outcome, i) => (this.#favours(ids[i]!) ? { ok: true, held: [...someIndices] } : outcome))
      },
      getSharesWithin: async (queries, maxBytes) => {
        const answers = await honest.getSharesWithin(queries, maxBytes)
        return answers.map((bytes) => (this.#lies() ? this.#wrongShare(bytes) : bytes))
      },
      hasShares: async (ids, options) => {
        const answers = await honest.hasShares(ids, options)
        return answers.map((indices, i) => {
          if (this.#favours(ids[i]!)) return [...someIndices]
          return this.#lies() ? this.#random.pick([[], [0, 1, 2], [3, 4], [255]]) : indices
        })
      },
      listMarks: async (options) => {
        const page = await honest.listMarks(options)
        return this.#lies() ? this.#random.pick([[], page.slice(0, 1)]) : page
      },
      listRegisters: async (options) => (this.#lies() ? [] : honest.listRegisters(options)),
      collectToken: async () => (this.#lies() ? this.#random.bytes(24) : honest.collectToken()),
      unmark: async (order) => {
        if (!this.#lies()) return honest.unmark(order)
        return { marks: order.chunks.length, shares: order.chunks.length, bytes: 0, young: 0 }
      },
      watchRegisters: async (watched, options) => {
        if (!this.#lies()) return honest.watchRegisters(watched, options)
        return watched.map(() => this.#random.pick([undefined, this.#random.bytes(32)]))
      },
      keptValues: async (id, options) => {
        const values = await honest.keptValues(id, options)
        if (!this.#lies()) return values
        return this.#random.pick([[], values.slice(1), values.map((value) => ({ ...value, receivedMs: 0 }))])
      },
      readRegisters: async (ids) => {
        const answers = await honest.readRegisters(ids)
        return answers.map((bytes, i) => (this.#lies() ? this.#wrongValue(toHex(ids[i]!), bytes) : bytes))
      },
      confirmMarks: async (registers, options) => {
        const state = await honest.confirmMarks(registers, options)
        return this.#lies() ? this.#random.pick(["held", "gone", "unknown"] as const) : state
      },
      proposeRegisters: async (values, options) => {
        for (const value of values) await this.#rememberValue(value)
        if (!this.#lies()) return honest.proposeRegisters(values, options)
        return Promise.all(values.map((value) => this.#wrongOutcome(value)))
      },
    }
  }

  /** The bytes of an answer, sometimes not what the protocol says; its caller takes no more than `maxBytes`. */
  distort(body: Uint8Array, maxBytes: number): Uint8Array {
    if (this.isBulky && this.rate > 0 && this.#random.chance(0.05)) return this.#bulk(maxBytes)
    if (!this.#lies() || this.#random.chance(0.8)) return body
    const kind = this.#random.pick(["cut", "noise", "longer"] as const)
    if (kind === "noise") return this.#random.bytes(this.#random.between(0, 200))
    if (kind === "cut") return body.slice(0, this.#random.between(0, body.length))
    const longer = new Uint8Array(body.length + 40)
    longer.set(body)
    return longer
  }

  /** The requests of `honest` as this liar serves them. */
  wrapBucket(honest: BucketRequests): BucketRequests {
    const isShare = (key: string) => key.startsWith("shares/")
    const isValue = (key: string) => key.startsWith("registers/")
    return {
      put: async (key, bytes, ifAbsent) => {
        if (isShare(key)) this.#remember(bytes)
        else if (isValue(key)) await this.#rememberValue(bytes)
        return this.#lies() ? { stored: this.#random.chance(0.5), atMs: 0 } : honest.put(key, bytes, ifAbsent)
      },
      get: async (key) => {
        const answer = await honest.get(key)
        if (!this.#lies()) return answer
        const [atMs, bytes] = [answer?.atMs ?? 0, answer?.bytes]
        const lie = isValue(key) ? this.#wrongValue(key.split("/")[1]!, bytes) : this.#wrongShare(bytes)
        return lie && { bytes: lie, atMs }
      },
      list: async (prefix, after, limit) => {
        const page = await honest.list(prefix, after, limit)
        if (!this.#lies()) return page
        const { infos, atMs } = page
        return this.#random.pick([
          { infos: [], atMs },
          { infos: infos.slice(0, 1), atMs },
          { infos: infos.slice(1), atMs },
          { infos: infos.map((info) => ({ ...info, modifiedMs: 0 })), atMs: 0 },
        ])
      },
      remove: async (key) => (this.#lies() ? undefined : honest.remove(key)),
    }
  }

  /** As many items as fit: a list that never ends, of lists or of nothing. */
  #bulk(maxBytes: number): Uint8Array {
    const bulk = new Uint8Array(maxBytes).fill(this.#random.pick([0x80, 0x81, 0x00, 0xf6]))
    bulk.set([0x9a, maxBytes >>> 24, maxBytes >>> 16, maxBytes >>> 8, maxBytes].slice(0, maxBytes))
    return bulk
  }

  #favours(id: ChunkId): boolean {
    return this.#favoured.has(toHex(id))
  }

  #lies(): boolean {
    return this.#random.chance(this.rate)
  }

  #remember(share: Uint8Array): void {
    if (this.#shares.length < 32) this.#shares.push(share.slice())
  }

  async #rememberValue(value: Uint8Array): Promise<void> {
    const id = await this.#registerOf(value)
    if (id === undefined) return
    const known = this.#values.get(id) ?? []
    if (known.length < 200) known.push(value.slice())
    this.#values.set(id, known)
  }

  async #registerOf(value: Uint8Array): Promise<string | undefined> {
    try {
      return toHex(registerIdOf((await decodeRegisterValue(this.#crypto, value)).publicKey))
    } catch {
      return undefined
    }
  }

  #wrongShare(bytes: Uint8Array | undefined): Uint8Array | undefined {
    const lie = this.#random.pick(["none", "other", "damaged", "short", "index"] as const)
    if (lie === "none") return undefined
    if (lie === "other" || !bytes) return this.#shares.length > 0 ? this.#random.pick(this.#shares) : undefined
    if (lie === "short") return bytes.slice(0, this.#random.between(0, bytes.length - 1))
    const wrong = bytes.slice()
    if (lie === "index") wrong[4] = (wrong[4]! + 1) % 8
    else wrong[wrong.length - 1 - this.#random.between(0, 15)]! ^= 1
    return wrong
  }

  #wrongValue(register: string, bytes: Uint8Array | undefined): Uint8Array | undefined {
    const lie = this.#random.pick(["none", "old", "damaged"] as const)
    if (lie === "none" || !bytes) return undefined
    if (lie === "old") return this.#oldValue(register)
    const wrong = bytes.slice()
    wrong[this.#random.between(0, wrong.length - 1)]! ^= 1
    return wrong
  }

  #oldValue(register: string): Uint8Array | undefined {
    const known = this.#values.get(register) ?? []
    return known.length > 0 ? this.#random.pick(known) : undefined
  }

  async #wrongOutcome(value: Uint8Array): Promise<ProposeOutcome> {
    if (this.#random.chance(0.5)) return { accepted: true, vouches: this.#random.chance(0.7) }
    if (this.#random.chance(0.2)) return { accepted: false, marksGone: true, message: "gone" }
    const current = this.#oldValue((await this.#registerOf(value)) ?? "")
    return { accepted: false, message: "no", ...(current && { current }) }
  }
}
