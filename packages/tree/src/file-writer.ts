/**
 * Writing files: content of up to 512 bytes stays inline, files of up to 1 MiB share packs, larger ones are cut into
 * chunks listed in a manifest. Memory is bounded: a source is read only when there is room for what it gives. Nothing that
 * is stored elsewhere is looked for: of a large file that is stored again, pieces that stay are known from what it was before.
 */
import { concat, cut, limits, Semaphore } from "@holdfast/core"
import type { UploadKey } from "@holdfast/store"
import { EarlierPieces } from "./earlier-pieces.ts"
import type { FileContent } from "./entry.ts"
import type { TreeIo } from "./io.ts"
import { encodeManifestNode, type ManifestItem, maxManifestItems, writeManifest } from "./manifest.ts"
import { Pack } from "./pack.ts"
import { type PackedReference, packedFileBytes, type Reference, sameReference, settle } from "./reference.ts"

/** Options of a file writer. */
export interface FileWriterOptions {
  /** Sources read at once; 8 unless told. */
  readonly concurrency?: number
}

/** What is known of one file beforehand. */
export interface AddOptions {
  /** Likely size in bytes. It only helps speed; it may be wrong. */
  readonly sizeHint?: number
  /** What the file was before, where it takes its place: of a large one, pieces that stay are not sent again. */
  readonly before?: FileContent | undefined
  /** Of a large file: see UploadKey. */
  readonly upload?: UploadKey | undefined
}

/** Writes many files. */
export interface FileWriter {
  /**
   * Stores the bytes of `source`; the writer owns them from now on, but for those of an array of at most `packedFileBytes`, which it
   * copies before it returns. The promise resolves when they are durable, which for a small file is when its pack is full or `flush` is
   * called: so do not wait for it before going on adding.
   */
  add(source: Uint8Array | AsyncIterable<Uint8Array>, options?: AddOptions): Promise<FileContent>
  /** Resolves when another file may be added without piling up sources that wait to be read, or packs that wait to be stored. */
  ready(): Promise<void>
  /** Waits for all files being read and stores the pack begun. Throws what went wrong with any pack. */
  flush(): Promise<void>
  /**
   * The same, but small files are named, and their promises resolve, as soon as it is certain what their packs are called: those are
   * being stored then, which `flush` waits for.
   */
  name(): Promise<void>
}

/** Most bytes kept inline by the writer. The format permits limits.inlineBytes. */
export const writerInlineBytes = 512
/** Each takes 11 MiB at 3 of 5: more are no quicker on two cores, nor on a line that a few dozen megabytes fill. */
const chunksInFlight = 4

/** A piece that is stored, or a hole. */
interface StoredPiece extends ManifestItem {
  /** It is what the file had here before. */
  readonly isKept: boolean
}

/** A writer of files into the chunks of `io`. */
export function createFileWriter(io: TreeIo, { concurrency = 8 }: FileWriterOptions = {}): FileWriter {
  return new PackingFileWriter(io, concurrency)
}

class PackingFileWriter implements FileWriter {
  readonly #io: TreeIo
  readonly #readers: Semaphore
  readonly #room = new Semaphore(chunksInFlight)
  readonly #concurrency: number
  readonly #reading = new Set<Promise<unknown>>()
  #pack: SharedPack
  /** Resolves when the pack that was filled last has room to be stored. */
  #begun = Promise.resolve()
  readonly #sealing = new Map<Promise<unknown>, SharedPack>()

  constructor(io: TreeIo, concurrency: number) {
    this.#io = io
    this.#pack = new SharedPack(io)
    this.#concurrency = concurrency
    this.#readers = new Semaphore(concurrency)
  }

  async add(source: Uint8Array | AsyncIterable<Uint8Array>, options: AddOptions = {}): Promise<FileContent> {
    // Of thousands of small files each step that waits would be felt.
    if (source instanceof Uint8Array && source.length <= packedFileBytes) return this.#addSmall(source)
    const reading = this.#readers.run(() => this.#read(source, options))
    this.#reading.add(reading)
    const content = await reading.finally(() => this.#reading.delete(reading))
    return content()
  }

  async ready(): Promise<void> {
    while (this.#reading.size >= 2 * this.#concurrency) await Promise.race([...this.#reading].map(settled))
    await this.#begun
  }

  async flush(): Promise<void> {
    await this.#sealAll()
    await Promise.all(this.#sealing.keys())
  }

  async name(): Promise<void> {
    await this.#sealAll()
    const packs = [...this.#sealing.values()]
    for (const pack of packs) pack.nameEarly()
    await Promise.all(packs.map(({ named }) => named))
  }

  async #sealAll(): Promise<void> {
    await Promise.all([...this.#reading].map(settled))
    this.#startSealing()
  }

  async #addSmall(bytes: Uint8Array): Promise<FileContent> {
    const size = bytes.length
    if (size <= writerInlineBytes) return { form: "inline", size, bytes: bytes.slice() }
    const reference = await this.#append(bytes)()
    return { form: "single", size, reference }
  }

  /** Reads a source to its end; what it gives resolves when all is durable. */
  async #read(
    source: Uint8Array | AsyncIterable<Uint8Array>,
    options: AddOptions,
  ): Promise<() => Promise<FileContent>> {
    const iterator = iterate(source)[Symbol.asyncIterator]()
    const { parts, size, isEnd } = await readHead(iterator)
    if (!isEnd) return this.#writeLarge(iterator, parts, options)
    const bytes = concat(...parts)
    if (size <= writerInlineBytes) return async () => ({ form: "inline", size, bytes }) // it stays until a commit, and alone
    const stored = this.#append(bytes)
    await this.#begun
    return async () => ({ form: "single", size, reference: await stored() })
  }

  async #writeLarge(
    iterator: AsyncIterator<Uint8Array>,
    head: readonly Uint8Array[],
    { before, upload }: AddOptions,
  ): Promise<() => Promise<FileContent>> {
    const take = (length: number) => this.#io.chunks.buffers.take(length)
    const earlier = new EarlierPieces(this.#io, before)
    const pieces = await this.#putPieces(cut(resume(head, iterator), limits.chunkBytes, take), earlier, upload)
    const size = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (before?.size === size && pieces.every(({ isKept }) => isKept)) return async () => before
    const [first] = pieces
    if (pieces.length === 1 && first?.reference) {
      const content: FileContent = { form: "single", size, reference: first.reference }
      return async () => content
    }
    if (pieces.length <= maxManifestItems) {
      const stored = this.#append(encodeManifestNode(0, pieces), { isList: true })
      await this.#begun
      return async () => ({ form: "manifest", size, reference: await stored() })
    }
    const pack = this.#io.newPack()
    const root = await writeManifest(pack, pieces)
    await pack.seal()
    return async () => ({ form: "manifest", size, reference: settle(root) })
  }

  /** Stores pieces, reading the next one only when there is room for it. */
  async #putPieces(
    source: AsyncGenerator<Uint8Array, void, void>,
    earlier: EarlierPieces,
    upload: UploadKey | undefined,
  ): Promise<readonly StoredPiece[]> {
    const puts: Promise<StoredPiece | undefined>[] = []
    let read = 0
    const readPiece = async () => {
      const { value: bytes, done } = await source.next()
      if (done) return undefined
      const before = await earlier.next(bytes.length)
      return { bytes, before, upload: upload && { ...upload, place: `${read++} ${upload.place}` } }
    }
    let isEnd = false
    try {
      while (!isEnd) {
        const { promise: pieceRead, resolve, reject } = Promise.withResolvers<void>()
        const put = this.#room.run(async () => {
          const piece = await readPiece().catch((error: unknown) => {
            reject(error)
            throw error
          })
          isEnd ||= !piece
          resolve()
          return piece && this.#putPiece(piece.bytes, piece)
        })
        put.catch(() => (isEnd = true)) // thrown below, in its turn
        puts.push(put)
        await pieceRead
      }
      return (await Promise.all(puts)).filter((item) => item !== undefined)
    } finally {
      await Promise.allSettled(puts)
      await source.return()
    }
  }

  async #putPiece(
    piece: Uint8Array,
    { before, upload }: { readonly before: ManifestItem | undefined; readonly upload: UploadKey | undefined },
  ): Promise<StoredPiece> {
    const { length } = piece
    if (isZero(piece)) {
      this.#io.chunks.buffers.give(piece)
      return { length, reference: null, isKept: before?.reference === null }
    }
    const held = before?.reference?.offset === 0 ? before.reference : undefined
    const { id, key } = await this.#io.chunks.putChunk(piece, { before: held?.chunk, upload })
    const reference = { chunk: { id, key }, offset: 0, length }
    return { length, reference, isKept: held !== undefined && sameReference(held, reference) }
  }

  /** Copies an item into the shared pack; what it gives resolves when that pack is named. A list is read again for the commit. */
  #append(bytes: Uint8Array, { isList = false } = {}): () => Promise<Reference> {
    if (!this.#pack.items.hasRoom(bytes.length)) this.#startSealing()
    const pack = this.#pack
    const reference: PackedReference = pack.items.append(bytes)
    pack.hasLists ||= isList
    return async () => {
      await pack.named
      return settle(reference)
    }
  }

  /** Stores the pack as soon as that has room, and begins another one. */
  #startSealing(): void {
    const pack = this.#pack
    if (pack.items.bytes === 0) return
    this.#pack = new SharedPack(this.#io)
    const { promise: begun, resolve } = Promise.withResolvers<void>()
    this.#begun = begun
    const sealing = this.#room.run(async () => {
      resolve()
      await pack.seal()
    })
    this.#sealing.set(sealing, pack)
    sealing.then(
      () => this.#sealing.delete(sealing),
      () => undefined, // kept for flush, and told to those whose files are in it
    )
  }
}

/** A pack that many files wait for. */
class SharedPack {
  readonly items: Pack
  /** Resolves when it is stored; once somebody asked for that, as soon as its references can be written. */
  readonly named: Promise<void>
  hasLists = false
  #isKnown = false
  #isEarly = false
  readonly #io: TreeIo
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void

  constructor(io: TreeIo) {
    this.#io = io
    this.items = new Pack(io.chunks)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => undefined)
    this.named = promise
    this.#resolve = resolve
    this.#reject = reject
  }

  nameEarly(): void {
    this.#isEarly = true
    if (this.#isKnown) this.#resolve()
  }

  async seal(): Promise<void> {
    const keep = this.hasLists ? this.#io.keepPack.bind(this.#io) : undefined
    try {
      await this.items.seal(keep, () => {
        this.#isKnown = true
        if (this.#isEarly) this.#resolve()
      })
      this.#resolve()
    } catch (error) {
      this.#reject(error)
      throw error
    }
  }
}

/** Reads until more than `packedFileBytes` came or the source ended. */
async function readHead(iterator: AsyncIterator<Uint8Array>) {
  const parts: Uint8Array[] = []
  let size = 0
  while (size <= packedFileBytes) {
    const next = await iterator.next()
    if (next.done) return { parts, size, isEnd: true }
    parts.push(next.value)
    size += next.value.length
  }
  return { parts, size, isEnd: false }
}

async function* resume(head: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>) {
  try {
    yield* head
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value
  } finally {
    await rest.return?.()
  }
}

async function* iterate(source: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  if (source instanceof Uint8Array) yield source
  else yield* source
}

/** True when all bytes are zero; stops at the first that is not. */
export function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}

function settled(promise: Promise<unknown>): Promise<void> {
  return promise.then(
    () => undefined,
    () => undefined,
  )
}
