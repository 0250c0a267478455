/**
 * Putting a chunk: a new one is sent, and no server is asked about it; of one that its writer knows, what is stored is marked and
 * only what is missing sent. Distinct servers are counted.
 */
import { type Clock, HoldfastError, toHex } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"
import { type Answer, answerOf, refusalOf, refusedByServers, shortageOf, tellAnswers } from "./answers.ts"
import type { Batch } from "./batch.ts"
import { type Domains, overDomains } from "./domains.ts"
import type { Ranking } from "./ranking.ts"
import type { SealedChunk } from "./seal.ts"
import type { Server } from "./server.ts"

/** How a chunk is written. */
export interface ChunkWriteOptions {
  /** The least number of distinct servers. */
  readonly happy: number
  readonly clock: Clock
  /** It has a key that nobody else knows, so nothing of it can be stored yet. */
  readonly isNew: boolean
  /** What is stored is marked in it. */
  readonly batch: Batch
  /** What a server would be lost with. */
  readonly domainsOf: (backend: Backend) => Domains
  /** Ends the write with its reason. */
  readonly signal?: AbortSignal | undefined
}

/** What a put did. */
export interface WriteResult {
  readonly sentBytes: number
  /**
   * Resolves when nothing of the chunk is being sent any more: slow servers may take longer than the result. True when each share
   * has a server of its own, as far as there are servers.
   */
  readonly settled: Promise<boolean>
}

/** When `happy` servers have answered what they hold, the others have so long to answer too. */
const graceMs = 2000
/** When `happy` servers hold a share, the others have as long again as that took to take theirs, and at least so long. */
const storeGraceMs = 10_000

/**
 * Stores the shares on the first of `ranked` that accept them, at most one share on each; in place of one that does not, first on
 * those of its domain. Resolves when every share has
 * its place or no server is left, if at least `happy` distinct servers hold one; of those that are far slower than the
 * rest, it does not wait for the end. Throws ERR_NOT_ENOUGH_SERVERS, and the signal's reason.
 */
export async function writeChunk(
  chunk: SealedChunk,
  ranked: Ranking<Server>,
  options: ChunkWriteOptions,
): Promise<WriteResult> {
  const { happy, clock, batch, signal } = options
  const refusals: Answer[] = []
  const held = new Map<number, string>() // share index to the server that holds it
  const taking = new Set<Server>() // those that hold a share, or are sent one
  const around = ranked.around(chunk.shares.length)
  const answers: Inquiry["answers"] = options.isNew ? new Map() : await holdingsOf(chunk, around, options, refusals)
  const nearby = ranked.nearby(chunk.shares.length)
  let free = new Set<Server>()
  for (const server of nearby) {
    const answer = answers.get(server)
    if (answer === "failed") continue
    const useful = answer?.find((index) => !held.has(index))
    if (useful === undefined) free.add(server)
    else {
      held.set(useful, server.backend.id)
      taking.add(server)
    }
  }
  const missing = chunk.shares.flatMap((_, index) => (held.has(index) ? [] : [index]))
  let sentBytes = 0
  const startMs = clock.nowMs()
  const distinct = () => new Set(held.values()).size
  const isHappy = () => distinct() >= happy
  const { promise: happily, resolve } = Promise.withResolvers<void>()
  let isFarFree = false
  const take = (): Server | undefined => {
    if (free.size === 0 && !isFarFree) {
      isFarFree = true
      free = new Set(ranked.behind(nearby.length))
    }
    const [server] = overDomains([...free], ({ backend }) => options.domainsOf(backend), [...taking])
    if (!server) return undefined
    free.delete(server)
    taking.add(server)
    return server
  }
  const place = async (index: number): Promise<void> => {
    const share = chunk.shares[index]!
    for (let server = take(); server; server = take()) {
      const outcome = await server
        .put(share, batch, signal)
        .catch((error: unknown) => answerOf(server.backend.id, error))
      if (!("ok" in outcome)) {
        taking.delete(server)
        refusals.push(outcome)
        continue
      }
      if (outcome.ok) {
        if (!outcome.existed) sentBytes += share.length
        held.set(index, server.backend.id)
        batch.note(chunk.id, server.backend, [index])
        if (isHappy()) resolve()
        return
      }
      taking.delete(server)
      refusals.push(refusalOf(server.backend.id, outcome))
    }
  }
  if (isHappy()) resolve()
  const isWhole = () => distinct() >= Math.min(chunk.shares.length, ranked.length)
  const settled = Promise.all(missing.map(place)).then(isWhole)
  const stop = new AbortController()
  const late = happily
    .then(() => clock.sleep(Math.max(storeGraceMs, clock.nowMs() - startMs), stop.signal))
    .catch(() => undefined)
  await Promise.race([settled, late])
  stop.abort()
  signal?.throwIfAborted()
  if (!isHappy()) throw notEnoughServers(chunk, { reached: distinct(), happy, servers: ranked.length }, held, refusals)
  return { sentBytes, settled }
}

/** Who holds what of a chunk that was stored before. */
async function holdingsOf(
  chunk: SealedChunk,
  ranked: readonly Server[],
  { happy, clock, batch, signal }: ChunkWriteOptions,
  refusals: Answer[],
): Promise<Inquiry["answers"]> {
  const inquiry = new Inquiry(chunk, { clock, batch, signal })
  inquiry.ask(ranked)
  await inquiry.wait(happy)
  for (const server of inquiry.silent)
    inquiry.fail(server, { server: server.backend.id, why: `it did not answer within ${graceMs} ms` })
  refusals.push(...inquiry.refusals)
  return inquiry.answers
}

/** Has servers mark what they hold of a chunk. */
class Inquiry {
  /** Indices held; absent of servers that were not asked. */
  readonly answers = new Map<Server, readonly number[] | "failed">()
  /** Those asked that have not answered. */
  readonly silent = new Set<Server>()
  readonly refusals: Answer[] = []
  readonly #chunk: SealedChunk
  readonly #clock: Clock
  readonly #batch: Batch
  readonly #signal: AbortSignal | undefined
  readonly #asked: Promise<void>[] = []
  #enough = 0
  #resolve: () => void = () => undefined

  constructor(chunk: SealedChunk, { clock, batch, signal }: Pick<ChunkWriteOptions, "clock" | "batch" | "signal">) {
    this.#chunk = chunk
    this.#signal = signal
    this.#clock = clock
    this.#batch = batch
  }

  ask(servers: readonly Server[]): void {
    for (const server of servers) {
      this.silent.add(server)
      this.#asked.push(this.#ask(server))
    }
  }

  /** Waits for all that were asked; when `enough` have answered, only a grace longer. */
  async wait(enough: number): Promise<void> {
    this.#enough = enough
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#resolve = resolve
    this.#count()
    const stop = new AbortController()
    const late = promise.then(() => this.#clock.sleep(graceMs, stop.signal)).catch(() => undefined)
    await Promise.race([Promise.all(this.#asked), late])
    stop.abort()
  }

  fail(server: Server, refusal: Answer): void {
    this.silent.delete(server)
    this.answers.set(server, "failed")
    this.refusals.push(refusal)
  }

  async #ask(server: Server): Promise<void> {
    try {
      const outcome = await server.mark(this.#chunk.id, this.#batch, this.#signal)
      const held = outcome.ok ? outcome.held.filter((index) => index < this.#chunk.shares.length) : []
      this.#batch.note(this.#chunk.id, server.backend, held)
      if (!this.silent.has(server)) return
      if (!outcome.ok) return this.fail(server, refusalOf(server.backend.id, outcome))
      this.silent.delete(server)
      this.answers.set(server, held)
      this.#count()
    } catch (error) {
      if (this.silent.has(server)) this.fail(server, answerOf(server.backend.id, error))
    }
  }

  #count(): void {
    const answered = [...this.answers.values()].filter((answer) => answer !== "failed")
    if (answered.length >= this.#enough) this.#resolve()
  }
}

function notEnoughServers(
  chunk: SealedChunk,
  { reached, happy, servers }: { readonly reached: number; readonly happy: number; readonly servers: number },
  held: ReadonlyMap<number, string>,
  refused: readonly Answer[],
): HoldfastError {
  const details = { chunk: toHex(chunk.id), happy, reached, accepted: [...held.values()], refused }
  const refusal = refusedByServers(refused, { servers, needed: happy, reached, details })
  if (refusal) return refusal
  const reasons = tellAnswers(refused)
  const { code, advice } = shortageOf(refused, { reached, happy })
  return new HoldfastError(
    code,
    `Only ${reached} of the ${happy} servers needed took the data${reasons ? ` (${reasons})` : ""}. ` +
      `What was stored before stays readable. ${advice}`,
    details,
  )
}
