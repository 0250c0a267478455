/** A tree in memory behind the transfer ports: stores small items only when flushed or when a pack is full, as real packs do. */
import { BufferPool } from "@holdfast/core"
import type { Change, DownloadPort, RemoteItem, UploadPort } from "../src/transfer/ports.ts"

export type MemoryContent = { bytes: Uint8Array } | { children: Map<string, MemoryItem> }
export type MemoryItem = RemoteItem<MemoryContent>

/** A directory holding `children`. */
export function directory(children: Record<string, MemoryItem> = {}): MemoryItem {
  const content = { children: new Map(Object.entries(children)) }
  return { kind: "directory", mode: 0o755, mtimeNs: 1_000_000_000n, sizeBytes: 0, content }
}

/** A file with `text`. */
export function file(text: string, mode = 0o644): MemoryItem {
  const bytes = new TextEncoder().encode(text)
  return { kind: "file", mode, mtimeNs: 2_000_000_000n, sizeBytes: bytes.length, content: { bytes } }
}

/** A symlink to `target`. */
export function symlink(target: string): MemoryItem {
  const content = { bytes: new Uint8Array() }
  return { kind: "symlink", mode: 0o777, mtimeNs: 2_000_000_000n, sizeBytes: 0, target, content }
}

const packItems = 100

export class MemoryTree implements UploadPort<MemoryContent>, DownloadPort<MemoryContent> {
  readonly buffers = new BufferPool({ maxIdleBytes: 0 })
  root: MemoryItem = directory()
  commits: (readonly Change<MemoryContent>[])[] = []
  added = 0
  mostPending = 0
  #pending: (() => void)[] = []

  async list(path: readonly string[]): Promise<ReadonlyMap<string, MemoryItem> | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: one name serves both ports
  list(place: MemoryItem): any
  // biome-ignore lint/suspicious/noExplicitAny: one name serves both ports
  list(place: any): any {
    return Array.isArray(place) ? Promise.resolve(this.#children(place)) : entriesOf(place)
  }

  async lookup(path: readonly string[]): Promise<MemoryItem | undefined> {
    return path.length === 0 ? this.root : this.#children(path.slice(0, -1))?.get(path.at(-1)!)
  }

  async *read(item: MemoryItem): AsyncGenerator<Uint8Array> {
    if ("bytes" in item.content) yield item.content.bytes
  }

  async add(source: Uint8Array | AsyncIterable<Uint8Array>): Promise<MemoryContent> {
    this.added++
    const pieces: Uint8Array[] = []
    if (source instanceof Uint8Array) pieces.push(source)
    else for await (const piece of source) pieces.push(piece)
    const stored = new Promise<void>((resolve) => this.#pending.push(resolve))
    this.mostPending = Math.max(this.mostPending, this.#pending.length)
    if (this.#pending.length >= packItems) await this.flush()
    await stored
    return { bytes: new Uint8Array(Buffer.concat(pieces)) }
  }

  async flush(): Promise<void> {
    await new Promise(setImmediate)
    for (const resolve of this.#pending.splice(0)) resolve()
  }

  async commit(changes: readonly Change<MemoryContent>[]): Promise<void> {
    this.commits.push(changes)
    for (const change of changes) {
      const children = this.#children(change.path.slice(0, -1))
      if (!children) throw new Error(`no parent for ${change.path.join("/")}`)
      const name = change.path.at(-1)!
      const kept = children.get(name)
      const content = change.content ?? (change.kind === "directory" && kept ? kept.content : directory().content)
      ;(children as Map<string, MemoryItem>).set(name, { ...change, content })
    }
  }

  #children(path: readonly string[]): Map<string, MemoryItem> | undefined {
    let item: MemoryItem | undefined = this.root
    for (const name of path) item = item && "children" in item.content ? item.content.children.get(name) : undefined
    return item && "children" in item.content ? item.content.children : undefined
  }
}

async function* entriesOf(item: MemoryItem): AsyncGenerator<readonly [string, MemoryItem]> {
  if ("children" in item.content) yield* item.content.children
}
