/** Reading a file as a stream: pieces are fetched ahead in parallel, and never more than a few are in memory. */
import { discard, HoldfastError, mapOrdered } from "@holdfast/core"
import type { FileContent, FileEntry } from "./entry.ts"
import { FileClaims } from "./file-claims.ts"
import { type TreeIo, uncachedBytes } from "./io.ts"
import type { Reference } from "./reference.ts"

/** Options of a read. */
export interface ReadFileOptions {
  /** First byte; 0 unless told. */
  readonly start?: number
  /** Byte after the last; the end of the file unless told. */
  readonly end?: number
  /** Pieces fetched at once; 4 unless told. */
  readonly prefetch?: number
  /** Ends the read with its reason. */
  readonly signal?: AbortSignal | undefined
  /** The caller looks at a piece only until it asks for the next: then memory is freed at once, not when collected. */
  readonly transient?: boolean
}

/** A part of a file: bytes `start` to `end` of what is referred to, or so many zeros. */
export interface Slice {
  readonly start: number
  readonly end: number
  readonly reference: Reference | null
}

const holeStepBytes = 16 * 1024 * 1024
/** Made when the first hole is read, and never written, so that it takes no memory but addresses. */
let zeros: Uint8Array | undefined

/** True for what `readFile` gives where nothing is stored: zeros, which need not be written. */
export function isHole(bytes: Uint8Array): boolean {
  return bytes.buffer === zeros?.buffer
}

function zerosOf(length: number): Uint8Array {
  zeros ??= new Uint8Array(holeStepBytes)
  return zeros.subarray(0, length)
}

/**
 * The bytes of `file` from `start` up to `end` (cut off at its size). Never change them. Missing or wrong data throws
 * what the store throws, ERR_CORRUPT or ERR_BAD_FORMAT; it is never replaced by zeros. Throws the signal's reason, and ERR_LIMIT without
 * `end` for a file that
 * claims to be far more than what is stored of it.
 */
export async function* readFile(
  tree: TreeIo,
  file: FileEntry | FileContent,
  { start = 0, end, prefetch = 4, transient = false, signal }: ReadFileOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const io = tree.stoppedBy(signal)
  const content = "kind" in file ? file.content : file
  const stop = Math.min(end ?? content.size, content.size)
  if (!(start >= 0 && Number.isSafeInteger(start)))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `A read cannot start at byte ${start}.`)
  if (start >= stop) return
  if (content.form === "inline") {
    yield content.bytes.subarray(start, stop)
    return
  }
  if (content.form === "single") {
    yield await io.readPart(content.reference, start, stop)
    return
  }
  const all = slicesOf(io, content.reference, content.size, { start, end: stop })
  const isAsClaimed = end === undefined // else somebody else says how much it is
  const pieces = mapOrdered(inSteps(isAsClaimed ? withinBounds(all) : all), prefetch, async (slice) => {
    const { reference, start, end } = slice
    if (!reference) return zerosOf(end - start)
    const isShared = io.isShared(reference) // before it is read, which adds nothing large
    const piece = await io.readPart(reference, start, end)
    return transient && isShared && piece.length >= uncachedBytes ? piece.slice() : piece
  })
  for await (const piece of pieces) {
    yield piece
    if (!transient || piece.length < uncachedBytes || isHole(piece)) continue
    if (io.chunks.buffers.isWhole(piece)) io.chunks.buffers.give(piece)
    else discard(piece)
  }
}

/** The same, ended with ERR_LIMIT before what is out of proportion is given. */
async function* withinBounds(slices: AsyncIterable<Slice>): AsyncGenerator<Slice, void, void> {
  const claims = new FileClaims()
  for await (const slice of slices) {
    claims.add(slice.end - slice.start, slice.reference)
    yield slice
  }
}

/** The same, with long holes as several. */
async function* inSteps(slices: AsyncIterable<Slice>): AsyncGenerator<Slice, void, void> {
  for await (const slice of slices)
    if (slice.reference) yield slice
    else
      for (let start = slice.start; start < slice.end; start += holeStepBytes)
        yield { start, end: Math.min(slice.end, start + holeStepBytes), reference: null }
}

/** So many pieces, and one more for each so many bytes, are read at once; what a writer of ours cuts has far fewer. */
const mostSmallPieces = 4096
const leastMeanBytes = 512
/** After so many others have their turn, who wants to stop this among them. */
const piecesPerTurn = 256

/**
 * The parts of a manifest's pieces that make up a range. Throws ERR_BAD_FORMAT unless nodes have the lengths claimed, and ERR_LIMIT for
 * a file that is cut so small that going through it would take longer than it is worth: a few KB can name a million pieces of a byte.
 */
export async function* slicesOf(
  io: TreeIo,
  reference: Reference,
  length: number,
  range: { readonly start: number; readonly end: number },
): AsyncGenerator<Slice, void, void> {
  let [pieces, bytes] = [0, 0]
  for await (const slice of slicesBelow(io, reference, { length, range })) {
    pieces++
    bytes += slice.end - slice.start
    if (pieces > mostSmallPieces + bytes / leastMeanBytes) throw tooSmall(pieces, bytes)
    if (pieces % piecesPerTurn === 0) await io.env.clock.sleep(0)
    yield slice
  }
}

function tooSmall(pieces: number, bytes: number): HoldfastError {
  return new HoldfastError(
    "ERR_LIMIT",
    `The file is cut into pieces that are too small to be read: ${pieces} make up ${bytes} bytes. Do not trust who wrote it.`,
    { pieces, bytes },
  )
}

async function* slicesBelow(
  io: TreeIo,
  reference: Reference,
  at: {
    readonly length: number
    readonly range: { readonly start: number; readonly end: number }
    readonly level?: number
  },
): AsyncGenerator<Slice, void, void> {
  const { length, range, level } = at
  const node = await io.readManifest(reference, { length, ...(level !== undefined && { level }) })
  let position = 0
  for (const item of node.items) {
    const start = Math.max(range.start - position, 0)
    const end = Math.min(range.end - position, item.length)
    position += item.length
    if (start >= end) continue
    if (node.level === 0) yield { start, end, reference: item.reference }
    else yield* slicesBelow(io, item.reference!, { length: item.length, range: { start, end }, level: node.level - 1 })
  }
}
