/**
 * Changing parts of a file: what a patch costs follows from what it changes and from the depth of the manifest, not from the size of the
 * file. Changes are rounded to pages of 64 KiB; what is left of a piece is referred to where it lies. A part of the file that has become
 * many small pieces is made one again by the next change in it. Memory is bounded, however much is changed.
 */
import { assert, HoldfastError, limits } from "@holdfast/core"
import { EarlierContent } from "./earlier-content.ts"
import { type EditPart, type FileEdit, partsOf } from "./edits.ts"
import type { FileContent, FileEntry } from "./entry.ts"
import { writerInlineBytes } from "./file-writer.ts"
import type { TreeIo } from "./io.ts"
import { ManifestBuilder } from "./manifest-builder.ts"
import type { NodePack } from "./pack.ts"
import { pageBytes } from "./page-cache.ts"
import { PieceStore } from "./piece-store.ts"
import { settle } from "./reference.ts"

/** Options of a patch. */
export interface PatchOptions {
  /**
   * Bytes of the file afterwards. Without it a file grows as far as the changes go, and never shrinks. Where it grows beyond them there
   * is a hole, which costs nothing.
   */
  readonly size?: number
  readonly signal?: AbortSignal | undefined
  /** Most items of a node of the manifest that is made; 256 unless told, 2,000 at most. */
  readonly mostItems?: number
}

/** A file of this size at most is one piece. */
const smallFileBytes = 256 * 1024
/** Where a piece ends at the latest: at multiples of this, as in a file that is written at once. */
const windowBytes = limits.chunkBytes
/** Pieces of a window; where there are more it is made one by whatever changes it. */
const mostPieces = 32
/** No patch leaves more: whoever made them so small does not make others read them all. */
const mostJoined = 1024

/**
 * The content of `file` with `edits`, which are in the order of the file and do not overlap. The old content stays as it is, and shares
 * with the new one what did not change. What is stored is durable when the promise resolves. Throws ERR_INVALID_ARGUMENT for edits
 * that are not so or go beyond `size`, ERR_LIMIT, what reading and storing throw, and the signal's reason.
 */
export async function patchFile(
  io: TreeIo,
  file: FileEntry | FileContent,
  edits: Iterable<FileEdit> | AsyncIterable<FileEdit>,
  options: PatchOptions = {},
): Promise<FileContent> {
  const content = "kind" in file ? file.content : file
  const parts = partsOf(edits, checkedSize(options.size))
  const patch = new Patch(io, content, options)
  try {
    return await patch.run(parts)
  } finally {
    await parts.return()
    await patch.settle()
  }
}

/** Bytes that are made one piece, or two where they cross the end of a window. */
interface Run {
  readonly start: number
  /** What it ends at the multiples of. */
  readonly grain: number
  readonly bytes: Uint8Array
  end: number
}

/** One patch under way. What comes before `#position` is in the builder; then comes the run, if there is one. */
class Patch {
  readonly #content: FileContent
  readonly #options: PatchOptions
  readonly #old: EarlierContent
  /** What is before this of the old content stays, where it is not changed. */
  readonly #oldEnd: number
  readonly #pack: NodePack
  readonly #pieces: PieceStore
  readonly #builder: ManifestBuilder
  #position = 0
  #run: Run | undefined
  /** End of the last change. */
  #changedEnd = 0

  constructor(io: TreeIo, content: FileContent, options: PatchOptions) {
    this.#content = content
    this.#options = options
    this.#old = new EarlierContent(io, content)
    this.#oldEnd = Math.min(content.size, options.size ?? content.size)
    this.#pack = io.newPack()
    const pieces = new PieceStore(io, this.#pack, options.signal)
    this.#pieces = pieces
    const { mostItems = 256 } = options
    const stored = (items: Parameters<PieceStore["stored"]>[0]) => pieces.stored(items)
    this.#builder = new ManifestBuilder({ io, pack: this.#pack, mostItems, stored })
  }

  async run(parts: AsyncGenerator<EditPart, void, void>): Promise<FileContent> {
    const { parts: head, isEnd } = await this.#readHead(parts)
    if (isEnd) return this.#writeSmall(head)
    for (const part of head) await this.#change(part)
    for await (const part of parts) await this.#change(part)
    return this.#finish()
  }

  /** Waits for what is being stored. */
  settle(): Promise<void> {
    return this.#pieces.settle()
  }

  get #size(): number {
    return this.#options.size ?? Math.max(this.#content.size, this.#changedEnd)
  }

  /** Takes changes up to the end, or as far as the file stays small. */
  async #readHead(parts: AsyncGenerator<EditPart, void, void>) {
    const head: EditPart[] = []
    while (this.#size <= smallFileBytes) {
      const { value: part, done } = await parts.next()
      if (done) return { parts: head, isEnd: true }
      head.push(part.bytes ? { ...part, bytes: part.bytes.slice() } : part)
      this.#changedEnd = part.end
    }
    return { parts: head, isEnd: false }
  }

  async #writeSmall(parts: readonly EditPart[]): Promise<FileContent> {
    const size = this.#size
    if (parts.length === 0 && size === this.#content.size) return this.#content
    const bytes = new Uint8Array(size)
    if (this.#oldEnd > 0) bytes.set(await this.#old.read(0, this.#oldEnd, this.#options.signal))
    for (const { start, end, bytes: changed } of parts)
      if (changed) bytes.set(changed, start)
      else bytes.fill(0, start, end)
    if (size <= writerInlineBytes) return { form: "inline", size, bytes }
    await this.#builder.addPiece(await this.#pieces.put(bytes))
    this.#position = size
    return this.#finish()
  }

  async #change({ start, end, bytes }: EditPart): Promise<void> {
    this.#options.signal?.throwIfAborted()
    this.#changedEnd = end
    if (bytes) return this.#write(start, bytes)
    const [from, to] = [roundUp(start, pageBytes), roundDown(end, pageBytes)]
    if (from >= to) return this.#write(start, new Uint8Array(end - start))
    await this.#write(start, new Uint8Array(from - start))
    await this.#closeRun()
    await this.#takeOver(from)
    await this.#builder.addPiece({ length: to - from, reference: null })
    this.#position = to
    await this.#write(to, new Uint8Array(end - to))
  }

  async #write(start: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const run = await this.#runAt(start + at)
      const windowEnd = roundDown(run.start, windowBytes) + windowBytes
      const length = Math.min(bytes.length - at, windowEnd - run.end)
      run.bytes.set(bytes.subarray(at, at + length), run.end - run.start)
      run.end += length
      at += length
      if (run.end === windowEnd) await this.#closeRun()
    }
  }

  /** The run, which ends at `start`. */
  async #runAt(start: number): Promise<Run> {
    if (this.#run && start > roundUp(this.#run.end, this.#run.grain)) await this.#closeRun()
    this.#run ??= await this.#openRun(start)
    await this.#fill(this.#run, start)
    return this.#run
  }

  async #openRun(start: number): Promise<Run> {
    const grain = await this.#grainAt(start)
    const rounded = roundDown(start, grain)
    // After the end of the old content there is nothing that a page would be made whole with.
    const from = Math.max(this.#position, rounded < this.#oldEnd ? rounded : start)
    await this.#takeOver(from)
    const windowEnd = roundDown(start, windowBytes) + windowBytes
    return { start: from, grain, bytes: this.#pieces.buffers.take(windowEnd - from), end: from }
  }

  /** A window of many pieces is written anew as a whole. */
  async #grainAt(start: number): Promise<number> {
    const from = roundDown(start, windowBytes)
    const window = { start: from, end: Math.min(from + windowBytes, this.#oldEnd) }
    const count = await this.#old.countPieces(window, mostJoined + 1)
    return count > mostPieces && count <= mostJoined ? windowBytes : pageBytes
  }

  /** Continues a run up to `end` with what the file had there. */
  async #fill(run: Run, end: number): Promise<void> {
    if (end <= run.end) return
    const target = run.bytes.subarray(run.end - run.start, end - run.start)
    const there = Math.min(end, this.#oldEnd) - run.end
    if (there > 0) target.set(await this.#old.read(run.end, run.end + there, this.#options.signal))
    target.fill(0, Math.max(0, there))
    run.end = end
  }

  async #closeRun(): Promise<void> {
    const run = this.#run
    if (!run) return
    await this.#fill(run, Math.min(roundUp(run.end, run.grain), Math.max(run.end, this.#oldEnd)))
    this.#run = undefined
    await this.#builder.addPiece(await this.#pieces.put(run.bytes, run.end - run.start))
    this.#position = run.end
  }

  /** Takes over what the file has up to `end`: zeros after its end. */
  async #takeOver(end: number): Promise<void> {
    const there = Math.min(end, this.#oldEnd)
    if (this.#position < there) {
      const range = { start: this.#position, end: there }
      await this.#old.copyTo(this.#builder, range, (bytes) => this.#pieces.put(bytes))
      this.#position = there
    }
    if (this.#position < end) await this.#builder.addPiece({ length: end - this.#position, reference: null })
    this.#position = end
  }

  async #finish(): Promise<FileContent> {
    const size = this.#size
    await this.#closeRun()
    await this.#takeOver(size)
    const top = await this.#builder.finish()
    assert(top, "what is not small has pieces")
    await this.#pack.seal()
    await this.#pieces.stored([top.item])
    return { form: top.level < 0 ? "single" : "manifest", size, reference: settle(top.item.reference!) }
  }
}

function checkedSize(size: number | undefined): number {
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `A file cannot have ${size} bytes.`)
  return size ?? Number.MAX_SAFE_INTEGER
}

function roundDown(value: number, step: number): number {
  return value - (value % step)
}

function roundUp(value: number, step: number): number {
  return roundDown(value + step - 1, step)
}
