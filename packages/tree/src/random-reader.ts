/**
 * Reading a file here and there, as a mount or a server of ranges does: through the page cache, and ahead of who reads one part after
 * another. A reader is for one who reads; several may read one file.
 */
import { HoldfastError, untilAborted } from "@holdfast/core"
import type { FileContent, FileEntry } from "./entry.ts"
import { slicesOf } from "./file-reader.ts"
import type { TreeIo } from "./io.ts"

/** Options of a reader. */
export interface RandomReaderOptions {
  /** False where nobody reads one part after another. */
  readonly readAhead?: boolean
}

/** Options of one read. */
export interface RandomReadOptions {
  readonly signal?: AbortSignal | undefined
}

/** First bytes read ahead when reads follow each other; each time twice as many. */
const leastAheadBytes = 128 * 1024
const mostAheadBytes = 4 * 1024 * 1024
const leastWholeBytes = 1024 * 1024
/** Reads of a kernel overtake each other: so far from the end of the last one is next to it. */
const nearBytes = 256 * 1024
const mostPiecesAtOnce = 32
/** Who wants more at once reads it as a stream: memory does not grow with what somebody says that a file has. */
const mostReadBytes = 64 * 1024 * 1024

/** One file, read in any order. */
export class RandomReader {
  readonly size: number
  readonly #io: TreeIo
  readonly #content: FileContent
  readonly #readsAhead: boolean
  #lastEnd = 0
  #aheadBytes = 0
  #aheadEnd = 0

  constructor(io: TreeIo, file: FileEntry | FileContent, { readAhead = true }: RandomReaderOptions = {}) {
    this.#io = io
    this.#content = "kind" in file ? file.content : file
    this.#readsAhead = readAhead
    this.size = this.#content.size
  }

  /**
   * `length` bytes from `offset`, fewer at the end of the file; never change them. Missing or wrong data throws what the store throws,
   * ERR_CORRUPT or ERR_BAD_FORMAT; it is never replaced by zeros. Also ERR_INVALID_ARGUMENT, and the signal's reason.
   */
  async read(offset: number, length: number, { signal }: RandomReadOptions = {}): Promise<Uint8Array> {
    checkRead(offset, length)
    signal?.throwIfAborted()
    const end = Math.min(offset + length, this.size)
    if (offset >= end) return new Uint8Array()
    const reading = this.#read(offset, end, signal)
    if (this.#readsAhead) this.#readAhead(offset, end)
    return untilAborted(reading, signal)
  }

  async #read(start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const content = this.#content
    if (content.form === "inline") return content.bytes.subarray(start, end)
    if (content.form === "single") return this.#io.readAt(content.reference, start, end)
    const { pages } = this.#io
    let whole: Uint8Array | undefined
    const running: Promise<unknown>[] = []
    let at = 0
    try {
      for await (const { reference, start: from, end: to } of slicesOf(this.#io, content.reference, content.size, {
        start,
        end,
      })) {
        if (to - from === end - start)
          return reference ? await pages.read(reference, from, to) : new Uint8Array(to - from)
        signal?.throwIfAborted()
        whole ??= new Uint8Array(end - start)
        const target = whole.subarray(at, at + to - from)
        at += to - from
        if (!reference) continue
        running.push(pages.read(reference, from, to).then((bytes) => target.set(bytes)))
        running.at(-1)!.catch(() => undefined) // thrown in its turn
        if (running.length >= mostPiecesAtOnce) await running.shift()
      }
      await Promise.all(running)
      return whole!
    } finally {
      await Promise.allSettled(running)
    }
  }

  #readAhead(start: number, end: number): void {
    const isNext = Math.abs(start - this.#lastEnd) <= nearBytes && (this.#lastEnd > 0 || start === 0)
    if (isNext && end <= this.#lastEnd) return
    this.#lastEnd = end
    if (!isNext) {
      this.#aheadBytes = 0
      this.#aheadEnd = end
      return
    }
    this.#aheadBytes = Math.min(mostAheadBytes, Math.max(leastAheadBytes, 2 * this.#aheadBytes))
    const from = Math.max(this.#lastEnd, this.#aheadEnd)
    const to = Math.min(this.size, this.#lastEnd + this.#aheadBytes)
    if (to - from < this.#aheadBytes / 2 && to < this.size) return
    if (from >= to) return
    this.#aheadEnd = to
    // Who reads will meet what fails.
    this.#prefetch(from, to).catch(() => undefined)
  }

  async #prefetch(start: number, end: number): Promise<void> {
    const content = this.#content
    const { pages } = this.#io
    const isWhole = end - start >= leastWholeBytes // who reads so much will read what is left of the last piece too
    if (content.form === "single" && content.reference.offset === 0) pages.prefetch(content.reference, start, end)
    if (content.form !== "manifest") return
    for await (const slice of slicesOf(this.#io, content.reference, content.size, { start, end })) {
      if (!slice.reference) continue
      const to = isWhole ? slice.reference.length : slice.end
      this.#aheadEnd += to - slice.end
      if (!pages.prefetch(slice.reference, slice.start, to)) return
    }
  }
}

/** Throws ERR_INVALID_ARGUMENT for what is no range of a file, and for more than one read may ask for (64 MiB). */
export function checkRead(offset: number, length: number): void {
  const isRange = [offset, length].every((number) => Number.isSafeInteger(number) && number >= 0)
  if (isRange && length <= mostReadBytes) return
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `${length} bytes from byte ${offset} cannot be read at once: ask for a part of the file of at most ${mostReadBytes} bytes.`,
  )
}
