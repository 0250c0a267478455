/**
 * The care list: ids of all chunks that a tree's root, history and snapshots need, for whoever may check and repair it
 * but not read it; and the accounts for which the tree is held. CBOR [2, inline ids, references of segments, accounts], sealed
 * in the register under the verify key; a segment is a chunk of ids alone. It may name more than is needed, never less.
 * Specification: docs/formats/tree.md.
 */
import {
  assert,
  type CborValue,
  compare,
  decodeCbor,
  encodeCbor,
  FieldReader,
  fromHex,
  HoldfastError,
  isHoldfastError,
  limits,
  toHex,
} from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import {
  type CareKeys,
  type ChunkStore,
  type IdSet,
  idPrefixes,
  type Levels,
  levelChunks,
  type RegisterStore,
} from "@holdfast/store"
import { decodeReference, encodeReference, type Reference, referenceKey } from "./reference.ts"

/** A care list as the register holds it. */
export interface CareList {
  /** The newest ids, 32 bytes each, one after another. */
  readonly inline: Uint8Array
  /** Where the other ids lie, 32 bytes each and sorted; the oldest and largest first. */
  readonly segments: readonly Reference[]
  /** Ids of the accounts for which whoever writes into this tree holds its chunks: 32 bytes each, ascending. */
  readonly accounts: readonly Uint8Array[]
  /** Where the register's own history lies: beside the list, and needed like what it names. */
  readonly levels?: Levels
}

/** Of a tree that needs nothing yet. */
export const emptyCare: CareList = { inline: new Uint8Array(), segments: [], accounts: [] }

const idBytes = 32
const maxInlineIds = 64
const maxSegments = 180
/** Ids in a full segment, which is merged no more. */
const segmentIds = limits.chunkBytes / idBytes

/** Encodes a care list. Throws ERR_LIMIT. */
export function encodeCare({ inline, segments, accounts }: CareList): Uint8Array {
  if (segments.length > maxSegments)
    throw new HoldfastError(
      "ERR_LIMIT",
      `This tree needs more than ${maxSegments * segmentIds} chunks, which is the most that one tree can list. Keep a part of it in a tree of its own.`,
    )
  if (accounts.length > limits.careAccounts)
    throw new HoldfastError("ERR_LIMIT", `A tree is held for at most ${limits.careAccounts} accounts.`)
  return encodeCbor([2, inline, segments.map((segment) => encodeReference(segment)), [...accounts]])
}

/** Decodes a care list. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function decodeCare(bytes: Uint8Array): CareList {
  const fields = new FieldReader(decodeCbor(bytes, "care list"), "care list")
  const version = fields.integer()
  if (version !== 1 && version !== 2)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A care list of version ${version} needs a newer Holdfast.`, {
      version,
    })
  const inline = fields.bytes(undefined, maxInlineIds * idBytes).slice()
  const segments = fields.array(maxSegments).map((segment) => decodeReference(segment, undefined))
  const accounts = version === 1 ? [] : decodeAccounts(fields.array(limits.careAccounts))
  fields.end()
  if ([inline, ...segments].some(({ length }) => length % idBytes !== 0))
    throw new HoldfastError("ERR_BAD_FORMAT", "A care list is damaged: it does not hold whole ids.")
  return { inline, segments, accounts }
}

/** The accounts of all `lists`; where these are too many, those of the first lists. */
export function joinAccounts(lists: readonly Pick<CareList, "accounts">[]): readonly Uint8Array[] {
  const byId = new Map(lists.flatMap(({ accounts }) => accounts).map((id) => [toHex(id), id]))
  return [...byId.values()].slice(0, limits.careAccounts).sort(compare)
}

/**
 * All that any of `lists` names (several are of writers that raced), with `fresh` added. Few ids stay inline; more become a segment, into
 * which those before it go while it has
 * at least half their ids: so there are O(log n) segments, and O(log n) bytes are written for each id in the long run. The accounts are
 * those of all lists.
 */
export async function appendCare(
  chunks: ChunkStore,
  lists: readonly CareList[],
  fresh: readonly ChunkId[],
): Promise<CareList> {
  const ids = new Set([...lists.flatMap(({ inline }) => [...idsIn(inline)]), ...fresh].map(toHex))
  const held = new Map(lists.flatMap((list) => list.segments).map((segment) => [referenceKey(segment), segment]))
  const segments = [...held.values()].sort((a, b) => b.length - a.length)
  const accounts = joinAccounts(lists)
  if (ids.size <= maxInlineIds) return { inline: joined([...ids]), segments, accounts }
  for (let last = segments.at(-1); last && ids.size >= idCount(last) / 2; last = segments.at(-1)) {
    if (idCount(last) >= segmentIds) break
    const older = await readSegment(chunks, last).catch(leaveUnreadable)
    if (!older) break
    for (const id of idsIn(older)) ids.add(toHex(id))
    segments.pop()
  }
  const written = await writeSegments(chunks, joined([...ids].sort()))
  return { inline: new Uint8Array(), segments: [...segments, ...written], accounts }
}

/** Parts of all ids, in their order. */
type IdParts = AsyncIterable<IdSet> | Iterable<IdSet>

/** A list of exactly the ids of `parts`. */
export async function exactCare(
  chunks: ChunkStore,
  parts: IdParts,
  accounts: readonly Uint8Array[],
): Promise<CareList> {
  const segments: Reference[] = []
  for await (const ids of parts) {
    const sorted = ids.sorted()
    const isAll = ids.from === 0 && ids.before === idPrefixes
    if (isAll && ids.size <= maxInlineIds) return { inline: sorted, segments, accounts }
    segments.push(...(await writeSegments(chunks, sorted)))
  }
  return { inline: new Uint8Array(), segments, accounts }
}

/**
 * Every id that the list names, and those of the chunks that hold its segments and the register's history. Read segment by
 * segment; an id may come twice. A segment that cannot be read is told to `onUnreadable`, after its own id was given; without it, throws.
 */
export async function* careIds(
  chunks: ChunkStore,
  { inline, segments, levels }: CareList,
  onUnreadable?: (error: HoldfastError) => void,
): AsyncGenerator<ChunkId, void, void> {
  for (const { chunk } of segments) yield chunk.id
  if (levels) for await (const { id } of levelChunks(chunks, levels, onUnreadable)) yield id
  yield* idsIn(inline)
  for (const segment of segments) {
    const ids = await readSegment(chunks, segment).catch((error: unknown) => {
      if (!onUnreadable || !isHoldfastError(error)) throw error
      onUnreadable(error)
      return new Uint8Array()
    })
    yield* idsIn(ids)
  }
}

/** What the register of a verify capability lists. Throws ERR_NOT_FOUND, and what the register store throws. */
export async function readCare(registers: RegisterStore, keys: CareKeys): Promise<readonly CareList[]> {
  const value = await registers.readCare(keys)
  if (!value)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      "No server knows what this capability is for. Check that it is meant for this grid, and for your tenant on it.",
    )
  return value.care.map((care, i) => withLevels(decodeCare(care), value.levels?.[i]))
}

/** A list with where the register's history lies. */
export function withLevels(care: CareList, levels: Levels | undefined): CareList {
  return levels ? { ...care, levels } : care
}

/**
 * True when a list names what is needed, all of it and nothing else but its own chunks: it is the word of whoever wrote last, who may
 * have left out what others need. `parts` are of all needed ids, in their order.
 */
export async function isExact(chunks: ChunkStore, care: CareList, parts: IdParts): Promise<boolean> {
  for await (const part of parts) if (!(await isExactFor(chunks, care, part))) return false
  return true
}

async function isExactFor(chunks: ChunkStore, { levels: _, ...care }: CareList, needed: IdSet): Promise<boolean> {
  const own = new Set(care.segments.map(({ chunk }) => toHex(chunk.id)))
  const isListed = new Uint8Array(needed.slots)
  let missing = needed.size
  let isLost = false
  const onUnreadable = () => {
    isLost = true
  }
  for await (const id of careIds(chunks, care, onUnreadable)) {
    if (isLost) return false
    if (!needed.covers(id)) continue
    const slot = needed.slotOf(id)
    if (slot !== undefined && isListed[slot] === 0) {
      isListed[slot] = 1
      missing--
    }
    if (slot === undefined && !own.has(toHex(id))) return false
  }
  return !isLost && missing === 0
}

async function readSegment(chunks: ChunkStore, { chunk, offset, length }: Reference): Promise<Uint8Array> {
  const bytes = await chunks.getChunk(chunk)
  if (offset + length > bytes.length)
    throw new HoldfastError("ERR_CORRUPT", `Chunk ${toHex(chunk.id)} is shorter than the care list says.`)
  const ids = bytes.subarray(offset, offset + length)
  for (let at = idBytes; at < length; at += idBytes)
    if (compare(ids.subarray(at - idBytes, at), ids.subarray(at, at + idBytes)) >= 0)
      throw new HoldfastError("ERR_BAD_FORMAT", "A care list is damaged: the ids of a segment are not in order.")
  return ids
}

/** Stores ids that are in order, one after another. */
async function writeSegments(chunks: ChunkStore, sorted: Uint8Array): Promise<Reference[]> {
  const segments: Reference[] = []
  for (let start = 0; start < sorted.length; start += limits.chunkBytes) {
    const bytes = sorted.slice(start, start + limits.chunkBytes)
    const { length } = bytes
    const { id, key } = await chunks.putChunk(bytes)
    segments.push({ chunk: { id, key }, offset: 0, length })
  }
  return segments
}

function decodeAccounts(ids: readonly CborValue[]): Uint8Array[] {
  const accounts = ids.map((id) => {
    if (id instanceof Uint8Array && id.length === idBytes) return id.slice()
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      "A care list is damaged: it names an account by something else than its id.",
    )
  })
  if (accounts.some((id, i) => i > 0 && compare(accounts[i - 1]!, id) >= 0))
    throw new HoldfastError("ERR_BAD_FORMAT", "A care list is damaged: its accounts are not in order.")
  return accounts
}

/** A commit must not fail because an old segment cannot be read now: it is merged another time. */
function leaveUnreadable(error: unknown): undefined {
  if (!isHoldfastError(error)) throw error
  return undefined
}

function idCount(segment: Reference): number {
  return segment.length / idBytes
}

function* idsIn(bytes: Uint8Array): Generator<ChunkId, void, void> {
  for (let at = 0; at < bytes.length; at += idBytes) yield bytes.slice(at, at + idBytes)
}

function joined(ids: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(ids.length * idBytes)
  for (const [i, id] of ids.entries()) {
    const one = fromHex(id)
    assert(one.length === idBytes, "a chunk id has a wrong length")
    bytes.set(one, i * idBytes)
  }
  return bytes
}
