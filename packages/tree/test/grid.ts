/** A small store that keeps chunks by SHA-256 and registers by key, and counts what goes in and out. */
import { BufferPool, equal, HoldfastError, toHex } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import type {
  CareKeys,
  ChunkRange,
  ChunkRef,
  ChunkStore,
  PutChunkResult,
  RegisterCare,
  RegisterContent,
  RegisterKeys,
  RegisterParts,
  RegisterStore,
} from "@holdfast/store"
import {
  createTreeIo,
  type DirectoryRef,
  type Entry,
  type FileEntry,
  plainAttributes,
  type TreeIo,
  updateDirectory,
} from "../src/index.ts"

export const env = nodeEnv

export class MemoryChunks implements ChunkStore {
  readonly stored = new Map<string, Uint8Array>()
  putBytes = 0
  gets = 0
  gotBytes = 0
  ranges = 0
  inFlight = 0
  mostInFlight = 0

  async putChunk(plaintext: Uint8Array): Promise<PutChunkResult> {
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight)
    const key = await env.crypto.sha256(plaintext)
    const id = await env.crypto.sha256(key)
    await new Promise((resolve) => setImmediate(resolve))
    const isNew = !this.stored.has(toHex(id))
    this.stored.set(toHex(id), plaintext.slice())
    plaintext.fill(0xee) // the store owns it: nobody may rely on it
    this.putBytes += plaintext.length
    this.inFlight--
    return { id: new Uint8Array(id), key: new Uint8Array(key), sentBytes: isNew ? plaintext.length : 0 }
  }

  async confirmChunks(ids: readonly Uint8Array[]): Promise<void> {
    for (const id of ids)
      if (!this.stored.has(toHex(id))) throw new HoldfastError("ERR_NOT_ENOUGH_SHARES", "no such chunk")
  }

  readonly buffers = new BufferPool({ maxIdleBytes: 16 * 1024 * 1024 })

  async getChunk({ id, key }: ChunkRef): Promise<Uint8Array> {
    this.gets++
    const bytes = this.stored.get(toHex(id))
    if (!bytes) throw new HoldfastError("ERR_NOT_ENOUGH_SHARES", "no such chunk")
    if (!equal(await env.crypto.sha256(bytes), key)) throw new HoldfastError("ERR_CORRUPT", "wrong chunk")
    this.gotBytes += bytes.length
    return bytes.slice()
  }

  async readRange(ref: ChunkRef, { offset, length }: ChunkRange): Promise<Uint8Array> {
    this.ranges++
    const whole = await this.getChunk(ref)
    if (offset + length > whole.length) throw new HoldfastError("ERR_CORRUPT", "too short")
    this.gotBytes -= whole.length - length
    return whole.subarray(offset, offset + length)
  }
}

export class MemoryRegisters implements RegisterStore {
  readonly values = new Map<string, RegisterContent>()
  writes = 0

  async read({ publicKey }: RegisterKeys): Promise<RegisterContent | undefined> {
    return this.values.get(toHex(publicKey))
  }

  async readCare({ publicKey }: CareKeys): Promise<RegisterCare | undefined> {
    const value = this.values.get(toHex(publicKey))
    return value && { sequence: value.sequence, care: [value, ...(value.siblings ?? [])].map(({ care }) => care) }
  }

  async write({ publicKey, seed }: RegisterKeys, after: number, parts: RegisterParts): Promise<boolean> {
    if (!seed) throw new HoldfastError("ERR_WRONG_CAPABILITY", "no seed")
    if ((this.values.get(toHex(publicKey))?.sequence ?? 0) !== after) return false
    this.writes++
    this.values.set(toHex(publicKey), { sequence: after + 1, ...parts })
    return true
  }
}

export function memoryIo(): { readonly io: TreeIo; readonly chunks: MemoryChunks } {
  const chunks = new MemoryChunks()
  return { io: createTreeIo({ chunks, env }), chunks }
}

export function newKeys(): RegisterKeys {
  return { publicKey: env.crypto.random(32), readKey: env.crypto.random(32), seed: env.crypto.random(32) }
}

/** A file with `text` inline. */
export function file(name: string, text = name): FileEntry {
  const bytes = new TextEncoder().encode(text)
  const content = { form: "inline", size: bytes.length, bytes } as const
  return { ...plainAttributes(0o644, 0), name, kind: "file", size: bytes.length, content }
}

/** `directory` with `changes` made and stored. */
export async function update(io: TreeIo, directory: DirectoryRef, changes: ReadonlyMap<string, Entry | null>) {
  const pack = io.newPack()
  const updated = await updateDirectory(io, pack, directory, changes)
  await pack.seal()
  return updated && { chunk: updated.chunk, offset: updated.offset, length: updated.length }
}

/** A directory of `entries`. */
export function directoryOf(io: TreeIo, entries: readonly Entry[]): Promise<DirectoryRef> {
  return update(io, null, new Map(entries.map((entry) => [entry.name, entry])))
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

export async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(Buffer.concat(await collect(source)))
}

/** Deterministic bytes that do not repeat soon. */
export function noise(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = seed
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, length)
}
