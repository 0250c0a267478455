/**
 * Reading parts of chunks of version 2: a block of one share from one server, proven by the chunk's descriptor and decrypted by
 * itself. When that server is away, slow or lies, the same block of k others gives it, and must have the leaf that the descriptor
 * leads to. Specification: docs/formats/chunk.md, "A range".
 */
import { assert, type Clock, type CryptoProvider, equal, HoldfastError, limits, toHex } from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import {
  type BlockQuery,
  blockBytes,
  type ChunkId,
  inconsistentError,
  keyCheckOf,
  payloadBytes,
  versionOf,
} from "@holdfast/protocol"
import type { DamageListener } from "./chunk-reader.ts"
import { type Attempt, firstSome } from "./first-some.ts"
import type { KnownChunk, KnownChunks } from "./known-chunks.ts"
import { hedgeAfterMs } from "./pace.ts"
import { paddedLength } from "./padding.ts"
import type { Ranking } from "./ranking.ts"
import { sealedHeaderBytes, wrongKey, zeroNonce } from "./seal.ts"
import type { Server } from "./server.ts"
import type { ChunkRange, ChunkRef } from "./types.ts"

/** What range reads stand on. */
export interface RangeDeps {
  readonly crypto: CryptoProvider
  readonly erasure: Erasure
  readonly clock: Clock
  /** What chunks of this grid usually have; the descriptor found decides. */
  readonly usual: { readonly k: number; readonly n: number }
  /** After so long at most without an answer other servers are asked too. */
  readonly hedgeMs: number
  /** Hears of shares that servers should have and do not give whole. */
  readonly onDamage?: DamageListener | undefined
}

/** What a descriptor says of where bytes lie; guessed before it is known. */
interface Shape {
  readonly k: number
  readonly n: number
  readonly ciphertextBytes: number
}

/** The part of a range that lies in one data slice. */
interface Segment {
  readonly slice: number
  /** Its blocks. */
  readonly first: number
  readonly count: number
  /** The bytes wanted of these. */
  readonly start: number
  readonly end: number
}

const tagBytes = 16

/** Reads ranges; remembers what was proven of the last few chunks. */
export class RangeReader {
  readonly #deps: RangeDeps
  readonly #known: KnownChunks

  constructor(deps: RangeDeps, known: KnownChunks) {
    this.#deps = deps
    this.#known = known
  }

  /**
   * The bytes, or undefined where the whole chunk must be read: it is of version 1, or too few servers give its blocks. Throws
   * ERR_CORRUPT, ERR_INCONSISTENT; servers give nothing any more once the signal aborts.
   */
  async read(
    ref: ChunkRef,
    range: ChunkRange,
    { ranked: all, signal }: { readonly ranked: Ranking<Server>; readonly signal?: AbortSignal | undefined },
  ): Promise<Uint8Array | undefined> {
    assert(range.length >= 1 && range.offset >= 0, "a range of a chunk")
    const { n } = this.#deps.usual
    const early = this.#known.get(ref.id)
      ? undefined
      : await this.#firstBlocks(ref.id, range, { ranked: all.around(n), signal })
    const known = this.#known.get(ref.id)
    if (!known || versionOf(known.descriptor) === 1) return undefined
    const { keyCheck, ciphertextBytes } = known.descriptor
    if (!equal(keyCheck!, keyCheckOf(ref.key))) throw wrongKey(ref.id)
    if (range.offset + range.length > ciphertextBytes - tagBytes) throw tooShort(ref.id)
    const ciphertext = new Uint8Array(range.length)
    const ranked = all.around(known.descriptor.n)
    const read = new SegmentReader(this.#deps, this.#known, { id: ref.id, known, ranked, signal })
    let at = 0
    const isComplete = await Promise.all(
      segmentsOf(known.descriptor, range).map(async (segment) => {
        const place = at
        at += segment.end - segment.start
        const blocks = early && isSame(early.segment, segment) ? early.blocks : await read.segment(segment)
        if (blocks) ciphertext.set(blocks.subarray(segment.start, segment.end), place)
        return blocks !== undefined
      }),
    )
    if (!isComplete.every(Boolean)) return undefined
    return this.#deps.crypto.openRange(ref.key, zeroNonce, range.offset, ciphertext)
  }

  /** False when the chunk is known to have no blocks that prove themselves. */
  isInBlocks(id: ChunkId): boolean {
    const known = this.#known.get(id)
    return !known || versionOf(known.descriptor) !== 1
  }

  /** Learns the descriptor from the first servers that give it, and with luck the first blocks of the range at once. */
  async #firstBlocks(
    id: ChunkId,
    range: ChunkRange,
    { ranked, signal }: { readonly ranked: readonly Server[]; readonly signal: AbortSignal | undefined },
  ) {
    const { usual } = this.#deps
    const likelyBytes = Math.max(range.likelyBytes ?? limits.chunkBytes, range.offset + range.length)
    const shape = { ...usual, ciphertextBytes: Math.min(limits.chunkBytes, paddedLength(likelyBytes)) + tagBytes }
    const segment = segmentsOf(shape, range)[0]!
    const likelyStart = sealedHeaderBytes(shape.ciphertextBytes, usual, segment.slice)
    // The slice's own server first, then the others in their order: any share has the descriptor.
    const order = [segment.slice, ...ranked.keys()].filter(
      (index, i) => index < ranked.length && (i === 0 || index !== segment.slice),
    )
    const ask = async (index: number) => {
      const { slice, first, count } = segment
      const wanted = { id, index, first, count, haveDescriptor: false, leavesOf: [index], likelyStart }
      const answer = await ranked[index]!.blocks(wanted, signal).catch(() => "silent" as const)
      if (answer === "silent") return undefined
      const known = answer && (await this.#known.learn(wanted, answer))
      if (!known && index < usual.n)
        this.#deps.onDamage?.({
          ...{ chunk: id, server: ranked[index]!.backend.id },
          state: answer ? "damaged" : "missing",
        })
      if (!known) return undefined
      const isHere = index === slice && answer.blocks.length === bytesOf(known.descriptor, segment)
      const isProven = isHere && (await this.#known.proves(known, index, first, answer.blocks))
      return { segment, blocks: isProven ? answer.blocks : undefined }
    }
    const attempts = order.map((index) => ({
      run: () => ask(index),
      patienceMs: hedgeAfterMs([ranked[index]!], ranked, this.#deps.hedgeMs),
    }))
    const [found] = (await firstSome(attempts, 1, this.#deps.clock)) ?? []
    return found?.blocks ? { segment, blocks: found.blocks } : undefined
  }
}

/** One read of a chunk that is known. */
interface Reading {
  readonly id: ChunkId
  readonly known: KnownChunk
  readonly ranked: readonly Server[]
  readonly signal: AbortSignal | undefined
}

/** Reads segments of one chunk whose descriptor is known. */
class SegmentReader {
  readonly #deps: RangeDeps
  readonly #memory: KnownChunks
  readonly #id: ChunkId
  readonly #known: KnownChunk
  readonly #ranked: readonly Server[]
  readonly #signal: AbortSignal | undefined

  constructor(deps: RangeDeps, memory: KnownChunks, { id, known, ranked, signal }: Reading) {
    this.#deps = deps
    this.#memory = memory
    this.#id = id
    this.#known = known
    this.#ranked = ranked
    this.#signal = signal
  }

  /** The blocks of a segment, proven; undefined when too few servers give them. */
  async segment(segment: Segment): Promise<Uint8Array | undefined> {
    const own = this.#ranked[segment.slice]
    const others = { run: () => this.#fromOthers(segment), patienceMs: this.#deps.hedgeMs }
    const attempts = own ? [this.#attempt(own, () => this.#blocksOf(own, segment.slice, segment)), others] : [others]
    return (await firstSome(attempts, 1, this.#deps.clock))?.[0]
  }

  #attempt<T>(server: Server, run: () => Promise<T | undefined>): Attempt<T> {
    return { run, patienceMs: hedgeAfterMs([server], this.#ranked, this.#deps.hedgeMs) }
  }

  /** The same blocks of k other shares give those of the slice. */
  async #fromOthers(segment: Segment): Promise<Uint8Array | undefined> {
    const { descriptor } = this.#known
    const { slice, first } = segment
    const others = this.#ranked.slice(0, descriptor.n).map((server, index) => ({ server, index }))
    const attempts = others
      .filter(({ index }) => index !== slice)
      .map(({ server, index }) =>
        this.#attempt(server, async () => {
          const blocks = await this.#blocksOf(server, index, segment, slice)
          return blocks && ([index, blocks] as const)
        }),
      )
    const found = await firstSome(attempts, descriptor.k, this.#deps.clock)
    if (!found || !this.#known.leaves.has(slice)) return undefined
    const [blocks] = this.#deps.erasure.reconstruct(new Map(found), descriptor, [slice])
    if (!(await this.#memory.proves(this.#known, slice, first, blocks!))) throw inconsistentError(this.#id)
    return blocks
  }

  /** Blocks of share `index` from a server, proven; undefined when it does not give them. */
  async #blocksOf(server: Server, index: number, segment: Segment, slice = index): Promise<Uint8Array | undefined> {
    const { first, count } = segment
    const { descriptor, leaves } = this.#known
    const leavesOf = [...new Set([index, slice])].filter((wanted) => !leaves.has(wanted))
    const likelyStart = sealedHeaderBytes(descriptor.ciphertextBytes, descriptor, index)
    const query: BlockQuery = { id: this.#id, index, first, count, haveDescriptor: true, leavesOf, likelyStart }
    const answer = await server.blocks(query, this.#signal).catch(() => "silent" as const)
    if (answer === "silent") return undefined
    const tell = (state: "damaged" | "missing") =>
      this.#deps.onDamage?.({ chunk: this.#id, server: server.backend.id, state })
    if (!answer) tell("missing")
    if (!answer) return undefined
    await this.#memory.learn(query, answer)
    const isWhole = answer.blocks.length === bytesOf(descriptor, segment)
    if (isWhole && (await this.#memory.proves(this.#known, index, first, answer.blocks))) return answer.blocks
    tell("damaged")
    return undefined
  }
}

/** The error for a range beyond the end of a chunk. */
export function tooShort(id: ChunkId): HoldfastError {
  return new HoldfastError("ERR_CORRUPT", `Chunk ${toHex(id)} is shorter than what refers to it says.`, {
    chunk: toHex(id),
  })
}

/** Where the bytes of a range lie. */
function segmentsOf({ k, ciphertextBytes }: Shape, { offset, length }: ChunkRange): Segment[] {
  const sliceBytes = payloadBytes(ciphertextBytes, k)
  const segments: Segment[] = []
  for (let at = offset; at < offset + length; ) {
    const slice = Math.floor(at / sliceBytes)
    const from = at - slice * sliceBytes
    const to = Math.min(sliceBytes, from + offset + length - at)
    const first = Math.floor(from / blockBytes)
    const count = Math.ceil(to / blockBytes) - first
    segments.push({ slice, first, count, start: from - first * blockBytes, end: to - first * blockBytes })
    at += to - from
  }
  return segments
}

function isSame(a: Segment, b: Segment): boolean {
  return a.slice === b.slice && a.first === b.first && a.count === b.count
}

/** Bytes that the blocks of a segment have in any share. */
function bytesOf({ k, ciphertextBytes }: Shape, { first, count }: Segment): number {
  return Math.min(payloadBytes(ciphertextBytes, k), (first + count) * blockBytes) - first * blockBytes
}
