/**
 * Where the levels of a register's history lie, so that ancestry is proven at any distance: the newest in the value's care, older
 * ones in chunks that it names, whole subtrees of 4,096 of them listed in an index. Specification: docs/formats/register.md,
 * section Levels.
 */
import {
  type CborValue,
  decodeCbor,
  encodeCbor,
  FieldReader,
  HoldfastError,
  isHoldfastError,
  limits,
} from "@holdfast/core"
import {
  type Ancestry,
  appendLevel,
  joinLevel,
  type Level,
  type LevelProof,
  levelLeaf,
  levelNode,
  mountainsOf,
  peaksOver,
  provesLevel,
  rootOver,
} from "@holdfast/protocol"
import type { ChunkRef, LevelChunk, Levels, StoreOptions, ChunkStore as WholeChunkStore } from "./types.ts"

/** Of a value that follows nothing. */
export const noLevels: Levels = { inline: [] }

/** What a value has of its history. */
export interface History extends Ancestry {
  readonly levels: Levels
}

/** Where chunks of levels are read from. */
export type LevelReader = Pick<WholeChunkStore, "getChunk">
type ChunkStore = Pick<WholeChunkStore, "getChunk" | "putChunk">

interface Segment extends ChunkRef {
  readonly length: number
  readonly root: Uint8Array
}

const hashBytes = 32
const segmentLevels = 4096
const segmentHeight = 12
/** From so many levels or hashes on, all but the newest leave the value. */
const [mostInline, mostInlineHashes] = [128, 120]
const [keptInline, keptInlineHashes] = [64, 60]
/** So many may stay while what they should join cannot be read. */
const [fullInline, fullInlineHashes] = [156, 156]

/** How many levels there are. */
export function countLevels({ inline, tail, index }: Levels): number {
  return inline.length + (tail?.count ?? 0) + (index?.count ?? 0) * segmentLevels
}

/** Encodes where levels lie. */
export function encodeLevels({ inline, tail, index }: Levels): CborValue {
  return [inline.map(joinLevel), tail ? encodeChunk(tail) : null, index ? encodeChunk(index) : null]
}

/** Decodes where the levels of a value lie that has `count` of them. Throws ERR_BAD_FORMAT. */
export function decodeLevels(value: CborValue, count: number): Levels {
  const fields = new FieldReader(value, "list of levels")
  const inline = fields.array(fullInlineHashes).map(decodeLevel)
  const [tail, index] = [decodeChunk(fields.any()), decodeChunk(fields.any())]
  fields.end()
  const levels = { inline, ...(tail && { tail }), ...(index && { index }) }
  if (countLevels(levels) !== count) throw damaged("it has not as many levels as its value")
  return levels
}

/** The history of what follows a value with `history`, by the values that `level` names. Old levels move into chunks. */
export async function extendHistory(
  chunks: ChunkStore,
  { sequence, base, peaks, levels }: History,
  level: Level,
  options?: StoreOptions,
): Promise<History> {
  const longer = { ...levels, inline: [...levels.inline, level] }
  const next = sequence + 1
  const moved = await moveLevels(chunks, { base, levels: longer }, options)
  if (moved) {
    const leaf = levelLeaf(sequence, level)
    return { sequence: next, base, peaks: appendLevel(peaks, sequence - base, leaf), levels: moved }
  }
  // What was moved before is lost: a history that begins later is better than a tree that nobody writes to any more.
  const newBase = next - longer.inline.length
  const rest = await moveLevels(chunks, { base: newBase, levels: { inline: longer.inline } }, options)
  return { sequence: next, base: newBase, peaks: peaksOver(newBase, longer.inline), levels: rest! }
}

/** The proof of the level with number `sequence`; undefined when the value has none, or what it needs cannot be read. */
export async function findLevel(
  chunks: LevelReader,
  history: History,
  sequence: number,
): Promise<LevelProof | undefined> {
  const at = sequence - history.base
  const mountain = mountainsOf(history.sequence - history.base).find(({ from, height }) => at < from + 2 ** height)
  if (!mountain || at < 0) return undefined
  try {
    const walk = new LevelWalk(chunks, history)
    const path: Uint8Array[] = []
    for (let height = 0; height < mountain.height; height++) {
      const place = Math.floor(at / 2 ** height)
      path.push(await walk.node(height, place % 2 === 0 ? place + 1 : place - 1))
    }
    const proof = { level: await walk.level(at), path }
    return provesLevel(history, sequence, proof) ? proof : undefined
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

/** Ids of the chunks that hold levels. An index that cannot be read is told to `onUnreadable`; without it, throws. */
export async function* levelChunks(
  chunks: LevelReader,
  { tail, index }: Levels,
  onUnreadable?: (error: HoldfastError) => void,
): AsyncGenerator<ChunkRef, void, void> {
  if (tail) yield tail
  if (!index) return
  yield index
  try {
    yield* await readIndex(chunks, index)
  } catch (error) {
    if (!onUnreadable || !isHoldfastError(error)) throw error
    onUnreadable(error)
  }
}

/** Reads what it needs of a history, once. */
class LevelWalk {
  readonly #chunks: LevelReader
  readonly #history: History
  readonly #read = new Map<string, Promise<readonly Level[]>>()
  #index: Promise<readonly Segment[]> | undefined

  constructor(chunks: LevelReader, history: History) {
    this.#chunks = chunks
    this.#history = history
  }

  /** The `at`-th level. */
  async level(at: number): Promise<Level> {
    return (await this.#levels(at, at + 1))[0]!
  }

  /** The node over 2^height levels, the `place`-th of its height. */
  async node(height: number, place: number): Promise<Uint8Array> {
    const [from, to] = [place * 2 ** height, (place + 1) * 2 ** height]
    if (height > segmentHeight)
      return levelNode(await this.node(height - 1, 2 * place), await this.node(height - 1, 2 * place + 1))
    if (height === segmentHeight && to <= this.#indexed) return (await this.#segments())[place]!.root
    const levels = await this.#levels(from, to)
    return rootOver(levels.map((level, i) => levelLeaf(this.#history.base + from + i, level)))
  }

  get #indexed(): number {
    return (this.#history.levels.index?.count ?? 0) * segmentLevels
  }

  #segments(): Promise<readonly Segment[]> {
    const { index } = this.#history.levels
    this.#index ??= index ? readIndex(this.#chunks, index) : Promise.resolve([])
    return this.#index
  }

  /** Levels `from` to `to`, which never lie in two segments. */
  async #levels(from: number, to: number): Promise<readonly Level[]> {
    const { tail, inline } = this.#history.levels
    if (from < this.#indexed) {
      const which = Math.floor(from / segmentLevels)
      const { length, ...chunk } = (await this.#segments())[which]!
      const levels = await this.#chunk({ ...chunk, length, count: segmentLevels })
      return levels.slice(from - which * segmentLevels, to - which * segmentLevels)
    }
    const first = this.#indexed + (tail?.count ?? 0)
    const old = tail && from < first ? (await this.#chunk(tail)).slice(from - this.#indexed, to - this.#indexed) : []
    return [...old, ...inline.slice(Math.max(0, from - first), Math.max(0, to - first))]
  }

  #chunk(chunk: LevelChunk): Promise<readonly Level[]> {
    const name = `${chunk.id}`
    let levels = this.#read.get(name)
    if (!levels) {
      levels = readLevels(this.#chunks, chunk)
      this.#read.set(name, levels)
    }
    return levels
  }
}

/** Levels with few of them inline; undefined when the older ones, which must be read for that, are lost. */
async function moveLevels(
  chunks: ChunkStore,
  { base, levels }: Pick<History, "base" | "levels">,
  options: StoreOptions | undefined,
): Promise<Levels | undefined> {
  const { inline, tail, index } = levels
  if (!isOver(inline, mostInline, mostInlineHashes)) return levels
  const held = await readOlder(chunks, levels)
  if (!held) return isOver(inline, fullInline, fullInlineHashes) ? undefined : levels
  let cut = inline.length
  while (cut > 0 && !isOver(inline.slice(cut - 1), keptInline, keptInlineHashes)) cut--
  const older = [...held.older, ...inline.slice(0, cut)]
  let newIndex = index
  if (held.segments) {
    const full = older.splice(0, segmentLevels)
    const segment = await writeSegment(chunks, base + held.segments.length * segmentLevels, full, options)
    newIndex = await writeIndex(chunks, [...held.segments, segment], options)
  }
  const newTail = older.length > 0 ? await writeLevels(chunks, older, options) : undefined
  return { inline: inline.slice(cut), ...(newTail && { tail: newTail }), ...(newIndex && { index: newIndex }) }
}

/** Levels of the tail, and the segments when the tail is to become one; undefined when these cannot be read. */
async function readOlder(
  chunks: LevelReader,
  { tail, index }: Levels,
): Promise<{ readonly older: readonly Level[]; readonly segments?: readonly Segment[] } | undefined> {
  try {
    const older = tail ? await readLevels(chunks, tail) : []
    if (older.length + mostInline - keptInline < segmentLevels) return { older }
    return { older, segments: index ? await readIndex(chunks, index) : [] }
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

function isOver(levels: readonly Level[], most: number, mostHashes: number): boolean {
  return levels.length > most || levels.reduce((sum, level) => sum + level.length, 0) > mostHashes
}

async function writeSegment(
  chunks: ChunkStore,
  first: number,
  levels: readonly Level[],
  options: StoreOptions | undefined,
): Promise<Segment> {
  const { id, key, length } = await writeLevels(chunks, levels, options)
  return { id, key, length, root: rootOver(levels.map((level, i) => levelLeaf(first + i, level))) }
}

async function writeLevels(
  chunks: ChunkStore,
  levels: readonly Level[],
  options: StoreOptions | undefined,
): Promise<LevelChunk> {
  return { ...(await putValue(chunks, levels.map(joinLevel), options)), count: levels.length }
}

async function writeIndex(
  chunks: ChunkStore,
  segments: readonly Segment[],
  options: StoreOptions | undefined,
): Promise<LevelChunk> {
  const lines = segments.map(({ id, key, length, root }) => [id, key, length, root])
  return { ...(await putValue(chunks, lines, options)), count: segments.length }
}

async function putValue(chunks: ChunkStore, value: CborValue, options: StoreOptions | undefined) {
  const bytes = encodeCbor(value)
  const { length } = bytes
  const { id, key } = await chunks.putChunk(bytes, options)
  return { id, key, length }
}

async function readLevels(chunks: LevelReader, chunk: LevelChunk): Promise<readonly Level[]> {
  const levels = (await getList(chunks, chunk)).map(decodeLevel)
  if (levels.length !== chunk.count) throw damaged("a chunk has not as many levels as it should")
  return levels
}

async function readIndex(chunks: LevelReader, chunk: LevelChunk): Promise<readonly Segment[]> {
  const segments = (await getList(chunks, chunk)).map((value) => {
    const fields = new FieldReader(value, "index of levels")
    const segment = { id: fields.bytes(32), key: fields.bytes(32), length: chunkLength(fields), root: fields.bytes(32) }
    fields.end()
    return segment
  })
  if (segments.length !== chunk.count) throw damaged("the index does not list as many chunks as it should")
  return segments
}

async function getList(chunks: LevelReader, { id, key, length }: LevelChunk): Promise<readonly CborValue[]> {
  const bytes = await chunks.getChunk({ id, key })
  const value = decodeCbor(bytes.subarray(0, length), "list of levels")
  if (!Array.isArray(value)) throw damaged("a chunk of it holds something else")
  return value
}

function encodeChunk({ id, key, length, count }: LevelChunk): CborValue {
  return [id, key, length, count]
}

function decodeChunk(value: CborValue): LevelChunk | undefined {
  if (value === null) return undefined
  const fields = new FieldReader(value, "list of levels")
  const ids = { id: fields.bytes(32).slice(), key: fields.bytes(32).slice() }
  const chunk = { ...ids, length: chunkLength(fields), count: fields.integer(1, limits.chunkBytes) }
  fields.end()
  return chunk
}

function chunkLength(fields: FieldReader): number {
  return fields.integer(1, limits.chunkBytes)
}

function decodeLevel(value: CborValue): Level {
  const count = value instanceof Uint8Array ? value.length / hashBytes : 0
  if (!(value instanceof Uint8Array) || count < 1 || count > limits.lineageHashes || !Number.isInteger(count))
    throw damaged("a level is no list of hashes")
  return Array.from({ length: count }, (_, i) => value.slice(i * hashBytes, (i + 1) * hashBytes))
}

function damaged(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `The history of a register is damaged: ${why}.`)
}
