/**
 * A file that is being changed, as a mount or a server holds it open: what is written is seen by reads at once, kept in pages up to a
 * number of bytes, and stored by patches; `flush` gives the content that belongs into the tree. Nobody else sees anything before that.
 */
import { HoldfastError, Semaphore } from "@holdfast/core"
import type { FileContent, FileEntry } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { pageBytes } from "./page-cache.ts"
import { patchFile } from "./patch.ts"
import { checkRead, RandomReader, type RandomReadOptions } from "./random-reader.ts"

/** Options of a draft. */
export interface FileDraftOptions {
  /** Bytes that are kept before they are stored; 16 MiB unless told, one page at least. */
  readonly mostDirtyBytes?: number
}

/** Options of one call. */
export type DraftCallOptions = RandomReadOptions

/** One open file. Changes are made one after another, in the order of the calls; reads wait for none but those that were done. */
export class FileDraft {
  readonly #io: TreeIo
  readonly #mostPages: number
  readonly #turn = new Semaphore(1)
  /** Pages that differ from what is stored, by their number; zeros after the end of the file. */
  readonly #dirty = new Map<number, Uint8Array>()
  #content: FileContent
  #reader: RandomReader
  /** Bytes of the stored content that count: it was cut off there. */
  #kept: number
  #size: number

  constructor(io: TreeIo, file: FileEntry | FileContent, { mostDirtyBytes = 16 * 1024 * 1024 }: FileDraftOptions = {}) {
    this.#io = io
    this.#mostPages = Math.max(1, Math.floor(mostDirtyBytes / pageBytes))
    this.#content = "kind" in file ? file.content : file
    this.#reader = new RandomReader(io, this.#content)
    this.#kept = this.#content.size
    this.#size = this.#content.size
  }

  /** Bytes of the file now. */
  get size(): number {
    return this.#size
  }

  /** True when there is something that the last `flush` does not have. */
  get isChanged(): boolean {
    return this.#dirty.size > 0 || this.#size !== this.#content.size || this.#kept !== this.#content.size
  }

  /** `length` bytes from `offset`, fewer at the end; never change them. Throws as RandomReader's. */
  async read(offset: number, length: number, options: DraftCallOptions = {}): Promise<Uint8Array> {
    checkRead(offset, length)
    const end = Math.min(offset + length, this.#size)
    if (offset >= end) return new Uint8Array()
    // All that counts is taken now; what is written meanwhile may or may not be seen.
    const pages: (readonly [start: number, bytes: Uint8Array])[] = []
    for (let page = Math.floor(offset / pageBytes); page * pageBytes < end && this.#dirty.size > 0; page++) {
      const bytes = this.#dirty.get(page)
      if (bytes) pages.push([page * pageBytes, bytes])
    }
    const stored = await this.#reader.read(offset, Math.max(0, Math.min(end, this.#kept) - offset), options)
    if (pages.length === 0 && stored.length === end - offset) return stored
    const bytes = new Uint8Array(end - offset)
    bytes.set(stored)
    for (const [start, page] of pages) {
      const at = start - offset
      bytes.set(page.subarray(Math.max(0, -at), Math.min(pageBytes, bytes.length - at)), Math.max(0, at))
    }
    return bytes
  }

  /** Puts `bytes`, which are copied, at `offset`; the file grows when they go beyond its end. Throws what reading and storing throw. */
  async write(offset: number, bytes: Uint8Array, options: DraftCallOptions = {}): Promise<void> {
    checkRange(offset, bytes.length)
    await this.#turn.run(async () => {
      for (let at = 0; at < bytes.length; ) {
        const start = offset + at
        const within = start % pageBytes
        const part = bytes.subarray(at, at + pageBytes - within)
        const page = await this.#pageFor((start - within) / pageBytes, part.length, options)
        page.set(part, within)
        at += part.length
        this.#size = Math.max(this.#size, offset + at)
      }
    })
  }

  /** Makes the file `size` bytes long: it is cut off, or zeros follow. */
  async resize(size: number): Promise<void> {
    checkRange(0, size)
    await this.#turn.run(async () => {
      this.#kept = Math.min(this.#kept, size)
      for (const [page, bytes] of this.#dirty)
        if (page * pageBytes >= size) this.#dirty.delete(page)
        else bytes.fill(0, Math.min(pageBytes, size - page * pageBytes))
      this.#size = size
    })
  }

  /**
   * Makes `length` bytes from `offset` zeros, as far as the file goes; whole pages of them cost nothing. Stores what was written before.
   */
  async zero(offset: number, length: number, options: DraftCallOptions = {}): Promise<void> {
    checkRange(offset, length)
    await this.#turn.run(async () => {
      const zeros = Math.min(offset + length, this.#size) - offset
      if (zeros <= 0) return
      await this.#store(options)
      this.#adopt(await patchFile(this.#io, this.#content, [{ offset, zeros }], options))
    })
  }

  /** Stores what was changed, and gives the content, which is durable; it is nobody's before it is put into a tree. */
  async flush(options: DraftCallOptions = {}): Promise<FileContent> {
    return this.#turn.run(async () => {
      await this.#store(options)
      return this.#content
    })
  }

  /** A page to write `bytes` bytes into; what else is in it is there already. */
  async #pageFor(page: number, bytes: number, options: DraftCallOptions): Promise<Uint8Array> {
    const present = this.#dirty.get(page)
    if (present) return present
    if (this.#dirty.size >= this.#mostPages) await this.#store(options)
    const start = page * pageBytes
    const there = Math.min(this.#kept, start + pageBytes) - start
    const fresh = new Uint8Array(pageBytes)
    if (there > 0 && bytes < pageBytes) fresh.set(await this.#reader.read(start, there, options))
    this.#dirty.set(page, fresh)
    return fresh
  }

  async #store(options: DraftCallOptions): Promise<void> {
    if (!this.isChanged) return
    const size = this.#size
    // What was cut off must not come back where the file has grown again.
    const base =
      this.#kept < this.#content.size
        ? await patchFile(this.#io, this.#content, [], { ...options, size: this.#kept })
        : this.#content
    const pages = [...this.#dirty].toSorted(([a], [b]) => a - b)
    const edits = pages.map(([page, bytes]) => {
      const offset = page * pageBytes
      return { offset, bytes: bytes.subarray(0, Math.min(pageBytes, size - offset)) }
    })
    this.#adopt(await patchFile(this.#io, base, edits, { ...options, size }))
    this.#dirty.clear()
  }

  #adopt(content: FileContent): void {
    this.#content = content
    this.#reader = new RandomReader(this.#io, content)
    this.#kept = content.size
  }
}

function checkRange(offset: number, length: number): void {
  if (![offset, length, offset + length].every((number) => Number.isSafeInteger(number) && number >= 0))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `${length} bytes at byte ${offset} are no part of a file.`)
}
