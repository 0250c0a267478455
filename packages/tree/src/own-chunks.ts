/**
 * What shares its chunks with nothing else: the key of a chunk opens all that lies in it, so whoever is given a reference must be
 * given no pack in which others lie.
 */
import { limits, toHex } from "@holdfast/core"
import type { ChunkRef } from "@holdfast/store"
import { listDirectory } from "./directory.ts"
import { updateDirectory } from "./directory-update.ts"
import type { Entry, FileContent, FileEntry } from "./entry.ts"
import { createFileWriter } from "./file-writer.ts"
import type { TreeIo } from "./io.ts"
import { decodeManifestNode, encodeManifestNode, type ManifestItem } from "./manifest.ts"
import type { ManifestPlace } from "./node-place.ts"
import type { NodePack } from "./pack.ts"
import { reachEntry, tooDeep } from "./reach.ts"
import { type DirectoryRef, isOwnChunk, packedFileBytes, type Reference, referenceKey, settle } from "./reference.ts"

/** True when the chunks that `entry` and all below it stand on hold nothing else. Throws what cannot be read. */
export async function hasOwnChunks(io: TreeIo, entry: Entry): Promise<boolean> {
  const chunks = new Map<string, { readonly chunk: ChunkRef; readonly parts: Map<number, number> }>()
  const onReference = (reference: Reference) => {
    if (isOwnChunk(reference)) return
    const { chunk, offset, length } = reference
    const held = chunks.get(toHex(chunk.id)) ?? { chunk, parts: new Map<number, number>() }
    held.parts.set(offset, Math.max(length, held.parts.get(offset) ?? 0))
    chunks.set(toHex(chunk.id), held)
  }
  for await (const met of reachEntry(io, entry, undefined, { onReference }))
    if (met.kind === "lost") throw met.lost.error
  for (const { chunk, parts } of chunks.values()) {
    const rest = (await io.chunks.getChunk(chunk)).slice()
    for (const [offset, length] of parts) rest.fill(0, offset, offset + length)
    if (rest.some((byte) => byte !== 0)) return false
  }
  return true
}

/** `entry` with the same content in chunks that hold nothing else: itself when that is so, else what is stored for it now. */
export async function withOwnChunks(io: TreeIo, entry: Entry): Promise<Entry> {
  if (await hasOwnChunks(io, entry)) return entry
  const contents = await copiedContents(io, entry)
  const pack = io.newPack()
  const copied = await new Copy(io, pack, contents).entry(entry, 0)
  await pack.seal()
  return copied.kind === "directory" ? { ...copied, reference: settle(copied.reference) } : copied
}

/** The contents below `entry` that share chunks, stored anew, by their references. */
async function copiedContents(io: TreeIo, entry: Entry): Promise<ReadonlyMap<string, FileContent>> {
  const found = new Map<string, FileContent>()
  const onEntry = (one: Entry) => {
    if (one.kind === "file" && one.content.form !== "inline")
      found.set(referenceKey(one.content.reference), one.content)
  }
  for await (const met of reachEntry(io, entry, undefined, { onEntry })) if (met.kind === "lost") throw met.lost.error
  const writer = createFileWriter(io)
  const lists = io.newPack()
  const listCopy = new ListCopy(io, lists)
  const copied = new Map<string, FileContent | Promise<FileContent>>()
  for (const [key, content] of found) {
    if (content.form === "manifest")
      copied.set(key, { ...content, reference: await listCopy.node(content.reference, { length: content.size }) })
    else if (content.form === "single" && !isOwnChunk(content.reference)) {
      const adding = writer.add((await io.readSlice(content.reference)).slice())
      adding.catch(() => undefined) // the flush tells
      copied.set(key, adding)
      await writer.ready()
    }
  }
  await writer.flush()
  await lists.seal()
  const settled = new Map<string, FileContent>()
  for (const [key, adding] of copied) {
    const content = await adding
    settled.set(key, content.form === "manifest" ? { ...content, reference: settle(content.reference)! } : content)
  }
  return settled
}

/**
 * Makes the lists of large files anew, and those pieces that have no chunks of their own. Node by node and piece by piece, each once
 * however often it is named: a list of a few KB may claim more pieces than could ever be told.
 */
class ListCopy {
  readonly #io: TreeIo
  readonly #pack: NodePack
  readonly #nodes = new Map<string, Reference>()
  readonly #copied = new Map<string, Reference>()

  constructor(io: TreeIo, pack: NodePack) {
    this.#io = io
    this.#pack = pack
  }

  async node(reference: Reference, place: ManifestPlace): Promise<Reference> {
    const key = `${referenceKey(reference)} ${place.length}:${place.level ?? ""}`
    const known = this.#nodes.get(key)
    if (known) return known
    const { level, items } = await this.#io.readManifest(reference, place)
    const copied: ManifestItem[] = []
    for (const { length, reference } of items)
      copied.push({
        length,
        reference:
          level > 0
            ? await this.node(reference!, { length, level: level - 1 })
            : reference && (await this.#piece(reference)),
      })
    const copy = await this.#pack.write((holder) => encodeManifestNode(level, copied, holder), decodeManifestNode)
    this.#nodes.set(key, copy)
    return copy
  }

  /** A piece in a chunk of which it is not all: part of it is something else, or was before a patch. */
  async #piece(reference: Reference): Promise<Reference> {
    if (isOwnChunk(reference)) return reference
    const key = referenceKey(reference)
    const known = this.#copied.get(key)
    if (known) return known
    const bytes = (await this.#io.readSlice(reference)).slice()
    const { length } = bytes
    const copy =
      length > packedFileBytes
        ? { chunk: await this.#putChunk(bytes), offset: 0, length }
        : await this.#pack.write(
            () => bytes,
            () => undefined,
          )
    this.#copied.set(key, copy)
    return copy
  }

  async #putChunk(bytes: Uint8Array): Promise<ChunkRef> {
    const { id, key } = await this.#io.chunks.putChunk(bytes)
    return { id, key }
  }
}

/** Makes directories anew, each once however many paths lead to it. */
class Copy {
  readonly #io: TreeIo
  readonly #pack: NodePack
  readonly #contents: ReadonlyMap<string, FileContent>
  readonly #directories = new Map<string, DirectoryRef>()

  constructor(io: TreeIo, pack: NodePack, contents: ReadonlyMap<string, FileContent>) {
    this.#io = io
    this.#pack = pack
    this.#contents = contents
  }

  async entry(entry: Entry, depth: number): Promise<Entry> {
    if (entry.kind === "file") return this.#file(entry)
    if (entry.kind !== "directory" || !entry.reference) return entry
    if (depth > limits.pathDepth) throw tooDeep()
    const key = referenceKey(entry.reference)
    const known = this.#directories.get(key)
    if (known !== undefined) return { ...entry, reference: known }
    const entries = new Map<string, Entry>()
    for await (const child of listDirectory(this.#io, entry.reference))
      entries.set(child.name, await this.entry(child, depth + 1))
    const reference = await updateDirectory(this.#io, this.#pack, null, entries)
    this.#directories.set(key, reference)
    return { ...entry, reference }
  }

  #file(file: FileEntry): FileEntry {
    if (file.content.form === "inline") return file
    const content = this.#contents.get(referenceKey(file.content.reference))
    return content ? { ...file, content } : file
  }
}
