/**
 * Pages of chunks read lately, up to a number of bytes, so that reading here and there in files fetches nothing again and again.
 * A page is fetched once however many want it, as blocks that prove themselves; where most of a chunk is wanted, and for chunks of
 * version 1, the whole chunk is, once. What fails is forgotten, and tried again by the next who asks.
 */
import { assert, HoldfastError, isHoldfastError, limits, toHex } from "@holdfast/core"
import type { ChunkRef, ChunkStore } from "@holdfast/store"
import { ByteRoom } from "./byte-room.ts"
import { cacheKey, type Reference } from "./reference.ts"

/** Bytes of a page, as many as a block of a share has. */
export const pageBytes = 64 * 1024
/** Most bytes under way, where the limit of all is not less. */
const mostUnderWayBytes = 16 * 1024 * 1024
/** Of less than this blocks are fetched, however little there may be beside them. */
const leastWholeBytes = 1024 * 1024
/** What a page takes beside its bytes, about: pages of a few bytes are not held by the million. */
const overheadBytes = 512
/** Chunks of which it is remembered how they can be read. */
const mostKinds = 8192

/** How a chunk can be read. */
type Kind = "blocks" | "whole"

interface Page {
  readonly loading: Promise<Uint8Array>
  /** Bytes wanted of it; it may have more. */
  readonly bytes: number
  /** Bytes that it takes with all about it; 0 while it is on its way. */
  held: number
}

/** Which pages of what. */
interface Run {
  readonly reference: Reference
  readonly first: number
  readonly last: number
}

/** What came of reading blocks. */
interface BlocksRead {
  readonly pages: readonly Uint8Array[]
  readonly whole: Uint8Array | undefined
  /** False for a chunk that is always read whole. */
  readonly hasBlocks: boolean
}

/** The pages of all files that are read through one store. */
export class PageCache {
  readonly #chunks: ChunkStore
  readonly #maxBytes: number
  readonly #pages = new Map<string, Page>()
  readonly #kinds = new Map<string, Kind>()
  /** Whole chunks on their way, and first reads of chunks that may turn out to be of version 1: then they give the whole. */
  readonly #wholes = new Map<string, Promise<Uint8Array | undefined>>()
  readonly #room: ByteRoom
  #loadedBytes = 0

  /** `maxBytes`: most bytes held and under way together; at least those of two chunks. Throws ERR_INVALID_ARGUMENT. */
  constructor(chunks: ChunkStore, maxBytes: number) {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 2 * limits.chunkBytes)
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        `A page cache of ${maxBytes} bytes is too small: it needs ${2 * limits.chunkBytes} at least.`,
      )
    this.#chunks = chunks
    this.#maxBytes = maxBytes
    this.#room = new ByteRoom(Math.min(mostUnderWayBytes, maxBytes), () => this.#evict())
  }

  /** Bytes of pages held, and of what is under way at most. Never more than the limit. */
  get heldBytes(): number {
    return this.#loadedBytes + this.#room.takenBytes
  }

  /**
   * Bytes `start` to `end` of what is referred to; never change them. Throws ERR_CORRUPT when the chunk is shorter, and what the
   * store throws.
   */
  async read(reference: Reference, start: number, end: number): Promise<Uint8Array> {
    assert(0 <= start && start < end && end <= reference.length, "a range of what is referred to")
    const from = reference.offset + start
    const run = runOf(reference, start, end)
    const pages = this.#load(run)
    if (pages.length === 1) {
      const at = from - run.first * pageBytes
      return (await pages[0]!).subarray(at, at + end - start)
    }
    const bytes = new Uint8Array(end - start)
    const all = await Promise.all(pages)
    for (const [i, page] of all.entries()) {
      const at = (run.first + i) * pageBytes - from
      bytes.set(page.subarray(Math.max(0, -at), Math.min(page.length, bytes.length - at)), Math.max(0, at))
    }
    return bytes
  }

  /** Begins to fetch what will be read soon. False when there is no room for that now. */
  prefetch(reference: Reference, start: number, end: number): boolean {
    if (this.#room.isBusy) return false
    if (start < end) void this.#load(runOf(reference, start, end))
    return true
  }

  /** The pages of a run, of which those that are not here are fetched. */
  #load(run: Run): Promise<Uint8Array>[] {
    const { reference, first, last } = run
    const key = chunkKey(reference.chunk)
    const pages = new Map<number, Promise<Uint8Array>>()
    const missing: number[] = []
    for (let index = first; index <= last; index++) {
      const page = this.#pages.get(`${key}${index}`)
      if (!page || page.bytes < wantedOf(reference, index)) missing.push(index)
      else {
        this.#touch(`${key}${index}`, page)
        pages.set(index, page.loading)
      }
    }
    const missingBytes = missing.length * pageBytes
    const isMost = missingBytes >= leastWholeBytes && 2 * missingBytes >= reference.offset + reference.length
    const parts = isMost ? [[missing[0]!, missing.at(-1)!] as const] : runsIn(missing)
    for (const [from, to] of parts) {
      const fetching = this.#fetch({ reference, first: from, last: to }, key, isMost)
      for (let index = from; index <= to; index++)
        if (!pages.has(index)) {
          const loading = fetching.then((fetched) => fetched[index - from]!)
          this.#await(`${key}${index}`, loading, wantedOf(reference, index))
          pages.set(index, loading)
        }
    }
    return Array.from({ length: last - first + 1 }, (_, i) => pages.get(first + i)!)
  }

  /** Holds a place for a page on its way, which is forgotten when it fails. */
  #await(name: string, loading: Promise<Uint8Array>, bytes: number): void {
    this.#drop(name)
    const page: Page = { loading, bytes, held: 0 }
    this.#pages.set(name, page)
    loading.then(
      (loaded) => this.#loaded(name, page, loaded.length),
      () => this.#pages.get(name) === page && this.#pages.delete(name),
    )
  }

  /** The bytes of each page of a run. */
  async #fetch(run: Run, key: string, isMost: boolean): Promise<readonly Uint8Array[]> {
    const { chunk } = run.reference
    for (let coming = this.#wholes.get(key); coming; coming = this.#wholes.get(key)) {
      const whole = await coming.catch(ofOneReader)
      if (whole) return pagesOf(whole, run)
    }
    const kind = this.#kinds.get(key)
    if (isMost || kind === "whole") {
      const whole = await this.#alone(key, () => this.#readWhole(chunk))
      return pagesOf(whole!, run)
    }
    if (kind === "blocks") return (await this.#readBlocks(run)).pages
    let pages: readonly Uint8Array[] = []
    await this.#alone(key, async () => {
      const read = await this.#readBlocks(run, limits.chunkBytes)
      pages = read.pages
      this.#learn(key, read.hasBlocks ? "blocks" : "whole")
      return read.whole
    })
    return pages
  }

  /** Lets others that want the same chunk wait for `read`. */
  async #alone(key: string, read: () => Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
    const reading = read()
    this.#wholes.set(key, reading)
    try {
      return await reading
    } finally {
      this.#wholes.delete(key)
    }
  }

  async #readWhole(chunk: ChunkRef): Promise<Uint8Array> {
    return this.#room.run(2 * limits.chunkBytes, async () => {
      const whole = await this.#chunks.getChunk(chunk)
      this.#keep(chunkKey(chunk), whole)
      return whole
    })
  }

  /** Reads the pages of a run; `whole` is there when the store had to read all of the chunk. */
  async #readBlocks({ reference, first, last }: Run, mostBytes = 0): Promise<BlocksRead> {
    const { chunk, offset, length } = reference
    const start = first * pageBytes
    const end = Math.min(offset + length, (last + 1) * pageBytes)
    return this.#room.run(Math.max(mostBytes, 2 * (end - start)), async () => {
      let whole: Uint8Array | undefined
      let hasBlocks = true
      const range = { offset: start, length: end - start, likelyBytes: offset + length }
      const onWhole = (plaintext: Uint8Array, { isInBlocks }: { readonly isInBlocks: boolean }) => {
        whole = plaintext
        hasBlocks = isInBlocks
      }
      const bytes = await this.#chunks.readRange(chunk, range, { onWhole })
      if (bytes.length < end - start) throw tooShort(chunk)
      if (whole) this.#keep(chunkKey(chunk), whole)
      return { pages: cutPages(bytes, last - first + 1), whole, hasBlocks }
    })
  }

  /** Keeps those pages of a whole chunk that are not here. */
  #keep(key: string, whole: Uint8Array): void {
    for (let index = 0; index * pageBytes < whole.length; index++) {
      const name = `${key}${index}`
      if (this.#pages.has(name)) continue
      const bytes = whole.slice(index * pageBytes, (index + 1) * pageBytes)
      const page: Page = { loading: Promise.resolve(bytes), bytes: bytes.length, held: 0 }
      this.#pages.set(name, page)
      this.#loaded(name, page, bytes.length)
    }
  }

  #learn(key: string, kind: Kind): void {
    this.#kinds.set(key, kind)
    for (const oldest of this.#kinds.keys()) {
      if (this.#kinds.size <= mostKinds) break
      this.#kinds.delete(oldest)
    }
  }

  #loaded(name: string, page: Page, bytes: number): void {
    if (this.#pages.get(name) !== page) return
    page.held = bytes + overheadBytes
    this.#loadedBytes += page.held
    this.#touch(name, page)
    this.#evict()
  }

  #touch(name: string, page: Page): void {
    this.#pages.delete(name)
    this.#pages.set(name, page)
  }

  /** Takes the pages away that were not asked for the longest time, until there is room for what is under way. */
  #evict(): void {
    for (const [name, page] of this.#pages) {
      if (this.heldBytes <= this.#maxBytes) break
      if (page.held > 0) this.#drop(name)
    }
  }

  #drop(name: string): void {
    this.#loadedBytes -= this.#pages.get(name)?.held ?? 0
    this.#pages.delete(name)
  }
}

/** What fails for the store fails for all that wait; that one asked for more than the chunk has does not. */
function ofOneReader(error: unknown): undefined {
  if (!isHoldfastError(error, "ERR_CORRUPT")) throw error
  return undefined
}

/** What the names of a chunk's pages begin with. */
function chunkKey(chunk: ChunkRef): string {
  return `${cacheKey(chunk)}:`
}

function runOf(reference: Reference, start: number, end: number): Run {
  const first = Math.floor((reference.offset + start) / pageBytes)
  return { reference, first, last: Math.floor((reference.offset + end - 1) / pageBytes) }
}

/** Bytes of a page that are in the chunk for sure. */
function wantedOf({ offset, length }: Reference, index: number): number {
  return Math.min(pageBytes, offset + length - index * pageBytes)
}

/** Pages one after another, as first and last of each sequence. */
function runsIn(pages: readonly number[]): (readonly [first: number, last: number])[] {
  const runs: [number, number][] = []
  for (const page of pages) {
    const run = runs.at(-1)
    if (run?.[1] === page - 1) run[1] = page
    else runs.push([page, page])
  }
  return runs
}

/** The pages of a run of a chunk that was read whole. Throws ERR_CORRUPT when it is shorter than what refers to it says. */
function pagesOf(whole: Uint8Array, { reference, first, last }: Run): readonly Uint8Array[] {
  if (whole.length < reference.offset + reference.length) throw tooShort(reference.chunk)
  return cutPages(whole.subarray(first * pageBytes), last - first + 1)
}

/** Each page of its own memory: none keeps more than itself. */
function cutPages(bytes: Uint8Array, count: number): readonly Uint8Array[] {
  if (bytes.length <= pageBytes && bytes.buffer.byteLength === bytes.length) return [bytes]
  return Array.from({ length: count }, (_, i) => bytes.slice(i * pageBytes, (i + 1) * pageBytes))
}

function tooShort({ id }: ChunkRef): HoldfastError {
  return new HoldfastError("ERR_CORRUPT", `Chunk ${toHex(id)} is shorter than what refers to it says.`, {
    chunk: toHex(id),
  })
}
