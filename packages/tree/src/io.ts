/** What all work on trees shares: the chunks, the platform, and small caches of nodes and packs read lately. */
import { type Env, HoldfastError, toHex, untilAborted } from "@holdfast/core"
import { type ChunkRef, type ChunkStore, type GetChunkOptions, stoppedChunks } from "@holdfast/store"
import { type DirectoryNode, decodeDirectoryNode } from "./directory-node.ts"
import { decodeManifestNode, type ManifestNode } from "./manifest.ts"
import { checkManifestPlace, checkPlace, type ManifestPlace, type NodePlace } from "./node-place.ts"
import { NodePack } from "./pack.ts"
import { PageCache } from "./page-cache.ts"
import { cacheKey, type Reference } from "./reference.ts"

/** What a TreeIo is made of. */
export interface TreeIoOptions {
  readonly chunks: ChunkStore
  readonly env: Env
  /** Most bytes of files that are kept for reading here and there; 32 MiB unless told, 8 MiB at least. */
  readonly pageCacheBytes?: number
}

const nodeCacheBytes = 3 * 1024 * 1024
const packCacheBytes = 16 * 1024 * 1024
const manifestCacheBytes = 8 * 1024 * 1024
/** What a decoded node takes, times its encoded bytes, about. */
const decodedRatio = 5
const defaultPageCacheBytes = 32 * 1024 * 1024
/** Slices of at least this much are read past the cache, for the reader alone: they are most of their chunk. */
export const uncachedBytes = 2 * 1024 * 1024

/** Of less than this the whole costs hardly more than a block, and may serve the next read. */
const leastRangedBytes = 256 * 1024

/** What was read lately, for all who read through one store. */
class Caches {
  readonly chunks: ChunkStore
  readonly pages: PageCache
  readonly manifests = new ByteCache<ManifestNode>(manifestCacheBytes)
  readonly nodes = new ByteCache<DirectoryNode>(nodeCacheBytes)
  readonly #packs = new ByteCache<Promise<Uint8Array>>(packCacheBytes)

  constructor(chunks: ChunkStore, pageCacheBytes: number) {
    this.chunks = chunks
    this.pages = new PageCache(chunks, pageCacheBytes)
  }

  hasPack(chunk: ChunkRef): boolean {
    return this.#packs.has(cacheKey(chunk))
  }

  keepPack(chunk: ChunkRef, bytes: Uint8Array): void {
    this.#packs.set(cacheKey(chunk), Promise.resolve(bytes), bytes.length)
  }

  readPack(chunk: ChunkRef, options?: GetChunkOptions): Promise<Uint8Array> {
    const key = cacheKey(chunk)
    const cached = this.#packs.get(key)
    if (cached) return cached
    const loading = this.chunks.getChunk(chunk, options)
    this.#packs.set(key, loading, 0)
    loading.then(
      (bytes) => this.#packs.set(key, loading, bytes.length),
      () => this.#packs.delete(key),
    )
    return loading
  }
}

/** Reads slices and nodes. */
export class TreeIo {
  readonly chunks: ChunkStore
  readonly env: Env
  readonly #shared: Caches
  readonly #signal: AbortSignal | undefined

  constructor({ chunks, env }: Pick<TreeIoOptions, "chunks" | "env">, shared: Caches, signal?: AbortSignal) {
    this.chunks = chunks
    this.env = env
    this.#shared = shared
    this.#signal = signal
  }

  /** The same, sharing what was read; its work throws the signal's reason as soon as it aborts. What others wait for too goes on. */
  stoppedBy(signal: AbortSignal | undefined): TreeIo {
    if (!signal) return this
    const either = this.#signal ? AbortSignal.any([this.#signal, signal]) : signal
    return new TreeIo({ chunks: stoppedChunks(this.#shared.chunks, either), env: this.env }, this.#shared, either)
  }

  /** True when what one has stored the other can read. */
  isSameStore(other: TreeIo): boolean {
    return this.#shared === other.#shared
  }

  /** Pages of files read here and there. */
  get pages(): PageCache {
    return this.#shared.pages
  }

  /** Starts a pack for new nodes, which are read from memory at first. */
  newPack(): NodePack {
    return new NodePack(this.chunks, (chunk, bytes, nodes) => {
      this.#shared.keepPack(chunk, bytes)
      for (const [reference, node] of nodes) this.#shared.nodes.set(nodeKey(reference), node, reference.length)
    })
  }

  /** Keeps a pack that was stored just now, as it is read again soon. */
  keepPack(chunk: ChunkRef, bytes: Uint8Array): void {
    this.#shared.keepPack(chunk, bytes)
  }

  /** Begins to read what will be wanted if `isNeeded` resolves to true; what is wrong with it is found by who wants it. */
  readAhead({ chunk }: Reference, isNeeded: Promise<boolean>): void {
    void this.#shared.readPack(chunk, { isNeeded }).catch(() => undefined)
  }

  /** True when what is referred to lies in memory that others read too: nobody may give that back. */
  isShared({ chunk }: Reference): boolean {
    return this.#shared.hasPack(chunk)
  }

  /** True when a node of a directory need not be read. */
  hasNode(reference: Reference): boolean {
    return this.#shared.nodes.get(nodeKey(reference)) !== undefined
  }

  /** The bytes referred to; never change them. Throws ERR_CORRUPT when the chunk is shorter, and what the store throws. */
  async readSlice(reference: Reference): Promise<Uint8Array> {
    const { chunk, offset, length } = reference
    const isCached = length < uncachedBytes || this.#shared.hasPack(chunk) // of a patched file, parts of a chunk come one by one
    const whole = await (isCached ? this.#readPack(chunk) : this.chunks.getChunk(chunk))
    if (offset + length > whole.length)
      throw new HoldfastError("ERR_CORRUPT", `Chunk ${toHex(chunk.id)} is shorter than the tree says.`, {
        chunk: toHex(chunk.id),
      })
    return whole.subarray(offset, offset + length)
  }

  /**
   * Bytes `start` to `end` of what is referred to; never change them. Little of much is read as blocks that prove themselves, the
   * rest as the whole chunk.
   */
  async readPart(reference: Reference, start: number, end: number): Promise<Uint8Array> {
    const { chunk, offset, length } = reference
    const isLittle = length >= leastRangedBytes && end - start <= length / 4 && !this.#shared.hasPack(chunk)
    if (!isLittle) return (await this.readSlice(reference)).subarray(start, end)
    return this.chunks.readRange(chunk, { offset: offset + start, length: end - start, likelyBytes: offset + length })
  }

  /**
   * The same for who reads here and there, and comes again: through the pages, unless it lies in a pack that is small or here already.
   * What shares a small pack is likely to be read next.
   */
  async readAt(reference: Reference, start: number, end: number): Promise<Uint8Array> {
    const isPacked = reference.length < leastRangedBytes || this.#shared.hasPack(reference.chunk)
    return isPacked ? (await this.readSlice(reference)).subarray(start, end) : this.#readPages(reference, start, end)
  }

  /**
   * A node of a directory: its root, or one that must stand at `place`. Throws ERR_BAD_FORMAT when it does not. Unless `isKept`, it does
   * not take the place of nodes in the cache.
   */
  async readNode(reference: Reference, place?: NodePlace, { isKept = true } = {}): Promise<DirectoryNode> {
    const key = nodeKey(reference)
    let node = this.#shared.nodes.get(key)
    if (!node) {
      node = decodeDirectoryNode(await this.readSlice(reference), reference)
      if (isKept) this.#shared.nodes.set(key, node, reference.length)
    }
    if (place) checkPlace(node, place)
    return node
  }

  /** A node of a file's manifest, which must stand at `place`. Throws ERR_BAD_FORMAT when it does not. */
  async readManifest(reference: Reference, place: ManifestPlace): Promise<ManifestNode> {
    const key = nodeKey(reference)
    let node = this.#shared.manifests.get(key)
    if (!node) {
      node = decodeManifestNode(await this.#readNodeBytes(reference), reference)
      this.#shared.manifests.set(key, node, decodedRatio * reference.length)
    }
    checkManifestPlace(node, place)
    return node
  }

  /** A patch puts nodes after the pieces that it made: of such a pack only the node is fetched. */
  async #readNodeBytes(reference: Reference): Promise<Uint8Array> {
    const { chunk, offset, length } = reference
    const isLittle = offset >= leastRangedBytes && length <= offset / 4 && !this.#shared.hasPack(chunk)
    return isLittle ? this.#readPages(reference, 0, length) : this.readSlice(reference)
  }

  #readPages(reference: Reference, start: number, end: number): Promise<Uint8Array> {
    return untilAborted(this.pages.read(reference, start, end), this.#signal)
  }

  #readPack(chunk: ChunkRef): Promise<Uint8Array> {
    return untilAborted(this.#shared.readPack(chunk), this.#signal)
  }
}

function nodeKey({ chunk, offset, length }: Reference): string {
  return `${cacheKey(chunk)}:${offset}:${length}`
}

/** A TreeIo over `chunks`. */
export function createTreeIo({ chunks, env, pageCacheBytes = defaultPageCacheBytes }: TreeIoOptions): TreeIo {
  return new TreeIo({ chunks, env }, new Caches(chunks, pageCacheBytes))
}

/** Values by key up to a number of bytes, least recently used out first. */
class ByteCache<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly bytes: number }>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  set(key: string, value: T, bytes: number): void {
    this.delete(key)
    this.#entries.set(key, { value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.delete(oldest)
    }
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }
}
