/** Reading local files that may change, be replaced, or have another length than they say. */
import * as fs from "node:fs"
import { inspect, type LocalItem } from "./local.ts"

/** A local file could not be read while it was being stored: the rest of the upload goes on. */
export class LocalReadError extends Error {}

/** A file that was replaced by a symlink since it was looked at must not lead elsewhere; what the user named may be one. */
export function flagsFor({ path }: LocalItem): number {
  return fs.constants.O_RDONLY | (path.length === 0 ? 0 : (fs.constants.O_NOFOLLOW ?? 0))
}

/**
 * Reads a small file, again when it changed meanwhile, so that content and attributes belong together. Undefined for one that is longer
 * than is said, again and again, as files of /proc and of some network file systems are: it is to be read to its end.
 */
export function readWhole(item: LocalItem): [LocalItem, Uint8Array] | undefined {
  let expected = item
  for (let attempt = 0; ; attempt++) {
    const content = readUpTo(item, expected.sizeBytes + 1)
    if (content.length === expected.sizeBytes) return [expected, content]
    if (attempt === 3) return content.length > expected.sizeBytes ? undefined : [expected, content]
    expected = inspect(item.path, item.local, item.path.length === 0)
  }
}

function readUpTo(item: LocalItem, limit: number): Uint8Array {
  const file = fs.openSync(item.local, flagsFor(item))
  try {
    const content = new Uint8Array(limit)
    let filled = 0
    while (filled < limit) {
      const bytes = fs.readSync(file, content, filled, limit - filled, null)
      if (bytes === 0) break
      filled += bytes
      if (filled === limit - 1) break // the expected end; a longer file is found by its size and time next time
    }
    return content.subarray(0, filled)
  } finally {
    fs.closeSync(file)
  }
}

/** Hands `source` on and tells when it has ended. */
export async function* whenEnded(
  source: AsyncIterable<Uint8Array>,
  onEnd: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  yield* source
  onEnd()
}

/** Hands `source` on and tells the length of each piece. */
export async function* count(
  source: AsyncIterable<Uint8Array>,
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const piece of source) {
    onBytes(piece.length)
    yield piece
  }
}
