/**
 * Getting a chunk: ask the k best-ranked servers that are not slow, hedge those that turn slow, replace the damaged, take
 * any k shares that verify.
 */
import { assert, type Clock, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { type ChunkId, decodeShare } from "@holdfast/protocol"
import { type Answer, answerOf, refusedByServers, tellAnswers } from "./answers.ts"
import { hedgeAfterMs, slowLast } from "./pace.ts"
import type { ChunkPipeline } from "./pipeline.ts"
import type { Ranking } from "./ranking.ts"
import type { Server } from "./server.ts"
import type { ChunkRef } from "./types.ts"

/** How reads behave. */
export interface ReadOptions {
  readonly pipeline: ChunkPipeline
  readonly clock: Clock
  /** What chunks of this grid usually have; the descriptor found decides. */
  readonly usual: { readonly k: number; readonly n: number }
  /** After so long at most without an answer another server is asked too. */
  readonly hedgeMs: number
  /** Hears of shares that servers should have and do not give whole. */
  readonly onDamage?: DamageListener | undefined
  /** Ends the read with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** What a read met, and went around. */
export interface ShareDamage {
  readonly chunk: ChunkId
  /** `Backend.id` of the server that should have a good share. */
  readonly server: string
  readonly state: "damaged" | "missing"
}

/** Hears of damage. */
export type DamageListener = (damage: ShareDamage) => void

interface Found {
  readonly server: string
  bytes: Uint8Array
}

/**
 * The plaintext of `ref`. Throws ERR_NOT_ENOUGH_SHARES, ERR_CORRUPT, and ERR_INCONSISTENT, after which no other shares are tried; the
 * signal's reason.
 */
export async function readChunk(ref: ChunkRef, ranked: Ranking<Server>, options: ReadOptions): Promise<Uint8Array> {
  const gathering = new Gathering(ref.id, ranked, options)
  for (;;) {
    const { k, shares } = await gathering.gather()
    const result = await options.pipeline.open(
      ref.id,
      ref.key,
      shares.map((share) => share.bytes),
    )
    if ("plaintext" in result) return result.plaintext
    for (const [position, share] of shares.entries()) share.bytes = result.shares[position]!
    if (result.damaged.length === 0) throw new Error(`no share damaged, but ${k} do not open`)
    gathering.drop(result.damaged.map((position) => shares[position]!))
  }
}

/** A server that claims more shares of one chunk than this is asked for the rest in a later round. */
const maxOthers = 4

class Gathering {
  readonly #id: ChunkId
  readonly #options: ReadOptions
  /** How many servers there are. */
  readonly #servers: number
  /** The best n, where shares lie in their order. */
  readonly #best: readonly Server[]
  readonly #waiting: Server[]
  /** Those behind the best, and how many of them were not asked yet. */
  readonly #others: Iterator<Server, void, void>
  #othersLeft: number
  /** By which it is told what is slow. */
  readonly #around: readonly Server[]
  readonly #underWay = new Set<Server>()
  readonly #probes: ReadonlySet<Server>
  /** By index; several of one index when servers hold the same, or one of them lies. */
  readonly #good = new Map<number, Found[]>()
  readonly #problems: Answer[] = []
  /** Servers that gave no answer, or one of a later version, so that they may hold shares. */
  #unanswered = 0
  /** Servers that gave a share. */
  readonly #holders = new Set<Server>()
  /** Shares that were asked for by their index: server and index. */
  readonly #named = new Set<string>()
  #k: number
  #wake: () => void = () => undefined

  constructor(id: ChunkId, ranked: Ranking<Server>, options: ReadOptions) {
    this.#id = id
    this.#options = options
    this.#k = options.usual.k
    this.#servers = ranked.length
    this.#best = ranked.first(options.usual.n)
    this.#others = ranked.seek(this.#best.length)
    this.#othersLeft = ranked.length - this.#best.length
    this.#around = ranked.around(options.usual.n)
    const { order, probes } = slowLast(this.#best)
    this.#probes = new Set(probes)
    this.#waiting = order.filter((server) => !this.#probes.has(server))
    for (const probe of probes) this.#ask(probe)
  }

  /** Waits until k shares with different indices are here. */
  async gather(): Promise<{ k: number; shares: Found[] }> {
    while (this.#good.size < this.#k) {
      this.#options.signal?.throwIfAborted()
      while (this.#good.size + this.#awaited().length < this.#k && this.#hasNext()) this.#askNext()
      if (this.#underWay.size > 0) await this.#answerOrHedge()
      else if (!(await this.#askForOthers())) throw this.#tooFew()
    }
    const shares = [...this.#good.entries()].sort(([a], [b]) => a - b).slice(0, this.#k)
    return { k: this.#k, shares: shares.map(([, [first]]) => first!) }
  }

  drop(damaged: readonly Found[]): void {
    for (const found of damaged) {
      for (const [index, held] of this.#good) {
        const left = held.filter((other) => other !== found)
        if (left.length > 0) this.#good.set(index, left)
        else this.#good.delete(index)
      }
      this.#problems.push({ server: found.server, why: "its share is damaged" })
      this.#tell(found.server, "damaged")
    }
  }

  #tell(server: string, state: ShareDamage["state"]): void {
    this.#options.onDamage?.({ chunk: this.#id, server, state })
  }

  /** Those under way that are expected to answer soon. */
  #awaited(): Server[] {
    return [...this.#underWay].filter((server) => !this.#probes.has(server))
  }

  #hasNext(): boolean {
    return this.#waiting.length + this.#othersLeft > 0
  }

  #askNext(): void {
    let next = this.#waiting.shift()
    if (!next) {
      this.#othersLeft--
      next = this.#others.next().value ?? undefined
    }
    assert(next !== undefined, "a server is left")
    this.#ask(next)
  }

  #ask(server: Server): void {
    this.#underWay.add(server)
    const rank = this.#best.indexOf(server)
    // Shares lie in the order of the ranking, unless a server refused one.
    void server
      .get({ id: this.#id, ...(rank >= 0 && { likely: rank }) }, this.#options.signal)
      .then(
        (bytes) => {
          if (bytes) this.#holders.add(server)
          this.#take(server.backend.id, bytes)
        },
        (error) => {
          this.#unanswered++
          this.#problems.push(answerOf(server.backend.id, error))
        },
      )
      .finally(() => {
        this.#underWay.delete(server)
        this.#wake()
      })
  }

  /**
   * A server that held a share of another's when that one was away may hold two, and gave the one that others gave as well.
   * True when asking for the rest by index brought a new one.
   */
  async #askForOthers(): Promise<boolean> {
    const before = this.#good.size
    const { signal } = this.#options
    const ask = async (server: Server): Promise<void> => {
      const indices = await server.has(this.#id, signal).catch(() => [])
      const others = indices.filter((index) => !this.#named.has(`${server.backend.id} ${index}`))
      for (const index of others.slice(0, maxOthers)) {
        if (this.#good.has(index) || this.#good.size >= this.#k) continue
        this.#named.add(`${server.backend.id} ${index}`)
        const bytes = await server.get({ id: this.#id, index }, signal).catch(() => undefined)
        if (bytes) this.#take(server.backend.id, bytes)
      }
    }
    await Promise.all([...this.#holders].map(ask))
    return this.#good.size > before
  }

  #take(server: string, bytes: Uint8Array | undefined): void {
    if (!bytes) {
      this.#problems.push({ server, why: "has no share" })
      // One that comes later in the order need not have any.
      if (this.#best.some(({ backend }) => backend.id === server)) this.#tell(server, "missing")
      return
    }
    try {
      const share = decodeShare(bytes)
      if (toHex(share.id) !== toHex(this.#id)) throw new Error("another chunk")
      this.#k = share.descriptor.k
      this.#good.set(share.index, [...(this.#good.get(share.index) ?? []), { server, bytes }])
    } catch (error) {
      const isNewer = isHoldfastError(error, "ERR_UNSUPPORTED_VERSION")
      if (isNewer) this.#unanswered++ // whoever can read it may find that nothing is lost
      this.#problems.push({ server, why: isNewer ? "its share needs a newer Holdfast" : "its share is damaged" })
      if (!isNewer) this.#tell(server, "damaged")
    }
  }

  /** Resolves at the next answer; when that takes too long, asks one more server first. */
  async #answerOrHedge(): Promise<void> {
    const answer = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    if (!this.#hasNext()) return answer
    const stop = new AbortController()
    const hedgeMs = hedgeAfterMs(this.#awaited(), this.#around, this.#options.hedgeMs)
    const late = this.#options.clock.sleep(hedgeMs, stop.signal).then(
      () => true,
      () => false,
    )
    const isLate = await Promise.race([answer.then(() => false), late])
    stop.abort()
    if (isLate && this.#hasNext()) this.#askNext()
  }

  #tooFew(): HoldfastError {
    const found = this.#good.size
    const details = {
      ...{ chunk: toHex(this.#id), needed: this.#k, found, unanswered: this.#unanswered },
      problems: this.#problems.map((answer) => tellAnswers([answer])),
    }
    // A server that may hold nothing of it and only refuses decides nothing: what is lost is to be told as such.
    const isUs = this.#problems.some(({ refusesUs }) => refusesUs)
    const servers = this.#servers
    const refused = isUs
      ? refusedByServers(this.#problems, { servers, needed: this.#k, reached: found, details })
      : undefined
    if (refused) return refused
    const advice =
      this.#unanswered > 0
        ? "Bring the missing servers back, or update this Holdfast where that is said, then try again; nothing was changed."
        : "All servers answered, so it is lost unless one gets its data back; nothing was changed."
    return new HoldfastError(
      "ERR_NOT_ENOUGH_SHARES",
      `Only ${found} of the ${this.#k} shares needed were found for chunk ${toHex(this.#id).slice(0, 16)} ` +
        `(${tellAnswers(this.#problems)}). ${advice}`,
      details,
    )
  }
}
