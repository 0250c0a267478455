/** Reading local files that may change, be replaced, or have another length than they say. */
import * as fs from "node:fs"
import type { BufferPool } from "@holdfast/core"
import { readFlags } from "@holdfast/core/node"
import { asOpened, attributesOf, type LocalItem, specialError } from "./local.ts"
import type { ContentHash } from "./stored-files.ts"

const readBytes = 4 * 1024 * 1024
const hashedBytes = 1024 * 1024

/** A local file could not be read while it was being stored: the rest of the upload goes on. */
export class LocalReadError extends Error {}

/**
 * Opens a file that was looked at, and looks again at what is open: another one may lie there by now, which is stored as what it is. A
 * link is not followed, unless the user named it, and nothing but a file is waited for.
 */
export function openLocal(item: LocalItem): { readonly file: number; readonly item: LocalItem } {
  const isNamed = item.path.length === 0
  const file = fs.openSync(item.at, isNamed ? fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0) : readFlags)
  try {
    const stat = fs.fstatSync(file, { bigint: true })
    if (!stat.isFile()) throw specialError(item.local)
    return { file, item: asOpened(item, file, stat) }
  } catch (error) {
    fs.closeSync(file)
    throw error
  }
}

/**
 * Reads a small file that is open into `memory`, which has at least a byte more than it, again when it changed meanwhile, so that content
 * and attributes belong together. Undefined for one that is longer than is said, again and again, as files of /proc and of some network
 * file systems are, or too long by now: it is to be read to its end.
 */
export function readWhole(opened: LocalItem, file: number, memory: Uint8Array): [LocalItem, Uint8Array] | undefined {
  let expected = opened
  for (let attempt = 0; ; attempt++) {
    if (expected.sizeBytes >= memory.length) return undefined
    const content = readUpTo(file, memory.subarray(0, expected.sizeBytes + 1))
    if (content.length === expected.sizeBytes) return [expected, content]
    if (attempt === 3) return content.length > expected.sizeBytes ? undefined : [expected, content]
    expected = { ...expected, ...attributesOf(fs.fstatSync(file, { bigint: true })) }
  }
}

function readUpTo(file: number, content: Uint8Array): Uint8Array {
  const limit = content.length
  let filled = 0
  while (filled < limit) {
    const bytes = fs.readSync(file, content, filled, limit - filled, filled)
    if (bytes === 0) break
    filled += bytes
    if (filled === limit - 1) break // the expected end; a longer file is found by its size and time next time
  }
  return content.subarray(0, filled)
}

/**
 * Reads a large file that is open, and closes it at the end; `close` is for one that is never read. Throws LocalReadError, and the
 * signal's reason.
 */
export function streamLocal(
  file: number,
  buffers: BufferPool,
  signal: AbortSignal | undefined,
): { readonly pieces: AsyncIterable<Uint8Array>; readonly close: () => void } {
  let isBegun = false
  async function* read(): AsyncGenerator<Uint8Array, void, void> {
    isBegun = true
    try {
      for (let position = 0; ; ) {
        signal?.throwIfAborted()
        const piece = buffers.take(readBytes)
        const bytesRead = await readAt(file, piece, position)
        if (bytesRead === 0) return buffers.give(piece)
        position += bytesRead
        yield piece.subarray(0, bytesRead)
      }
    } catch (cause) {
      throw signal?.aborted ? cause : new LocalReadError("local file cannot be read", { cause })
    } finally {
      fs.closeSync(file) // no read is under way
    }
  }
  return { pieces: read(), close: () => (isBegun ? undefined : fs.closeSync(file)) }
}

/** Lets `hash` take all of a file that is open, which stays open, and gives it. Throws LocalReadError, and the signal's reason. */
export async function hashFile(file: number, hash: ContentHash, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const piece = new Uint8Array(hashedBytes)
  for (let position = 0; ; ) {
    signal?.throwIfAborted()
    const bytes = await readAt(file, piece, position).catch((cause: unknown) => {
      throw new LocalReadError("local file cannot be read", { cause })
    })
    if (bytes === 0) return hash.digest()
    hash.update(piece.subarray(0, bytes))
    position += bytes
  }
}

function readAt(file: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(file, bytes, 0, bytes.length, position, (error, read) => (error ? reject(error) : resolve(read)))
  })
}

/** Hands `source` on and tells when it has ended. */
export async function* whenEnded(
  source: AsyncIterable<Uint8Array>,
  onEnd: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  yield* source
  onEnd()
}

/** Hands `source` on and tells the length of each piece; `hash` takes its bytes. */
export async function* count(
  source: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void,
  hash?: ContentHash,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const piece of source) {
    onBytes(piece.length)
    hash?.update(piece)
    yield piece
  }
}
