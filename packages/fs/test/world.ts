/** A volume over servers in memory, with file systems on it: everything real but the network. */
import { createMemoryPlace, type MemoryPlace } from "@holdfast/backends"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type AccountAccess, type AccountKeys, accountKeysOf, accountRoles, type Backend } from "@holdfast/protocol"
import { createMemorySeen, createStore, type Store } from "@holdfast/store"
import type { FileSystem, Item, Uploads } from "../src/file-system.ts"
import { type Files, filesOf } from "../src/files.ts"

/** A volume and the file systems of one account on it. */
export interface World {
  readonly places: readonly MemoryPlace[]
  readonly backends: readonly Backend[]
  readonly account: AccountKeys
  readonly store: Store
  readonly files: Files
  /** An empty tree. */
  readonly home: FileSystem
  /** What was warned of. */
  readonly warnings: string[]
  /** Lets time pass at the places. */
  pass(ms: number): void
  /** Another account on the same places. */
  other(): Promise<World>
  /** The same account and home, opened anew. */
  again(): Promise<World>
  /** The same account and home after one place came back empty. */
  withEmpty(position: number): Promise<World>
}

const coding = { k: 3, happy: 4, n: 5 }

interface Surroundings {
  readonly places: readonly MemoryPlace[]
  readonly clock: { aheadMs: number; nowMs(): number }
  readonly uploads?: Uploads | undefined
}

/** Makes one, of five servers unless told. */
export async function createWorld({
  uploads,
  servers = 5,
}: {
  uploads?: Uploads
  servers?: number
} = {}): Promise<World> {
  const clock = { aheadMs: 0, nowMs: () => Date.now() + clock.aheadMs }
  const places = Array.from({ length: servers }, (_, i) => newPlace(`n${i + 1}`, clock))
  return worldOf({ places, clock, uploads }, await newAccount())
}

function newPlace(id: string, clock: Surroundings["clock"]): MemoryPlace {
  return createMemoryPlace(id, nodeCrypto, clock)
}

function newAccount(): Promise<AccountKeys> {
  return accountKeysOf(nodeCrypto, nodeCrypto.random(32))
}

async function worldOf(around: Surroundings, account: AccountKeys, homeCap?: string): Promise<World> {
  const { places, clock, uploads } = around
  const access: AccountAccess = { account: account.id, roles: accountRoles }
  const backends = places.map((place) => place.backendOf(access))
  const store = await createStore({
    env: nodeEnv,
    servers: backends.map((backend) => ({ backend, weight: 1 })),
    account: account.id,
    coding,
    registerMode: "crash",
    seen: createMemorySeen(),
  })
  const { chunks, registers } = store
  const files = filesOf({ chunks, registers, env: nodeEnv, account: account.id, ...(uploads && { uploads }) })
  const warnings: string[] = []
  const warn = (text: string) => void warnings.push(text)
  const home = await files.open(homeCap ?? (await files.create("directory")), { label: "home:", warn })
  return {
    ...{ places, backends, account, store, files, home, warnings },
    pass(ms) {
      clock.aheadMs += ms
    },
    other: async () => worldOf(around, await newAccount()),
    again: async () => worldOf(around, account, await home.capOf([], "write")),
    async withEmpty(position) {
      const left = places.map((place, i) => (i === position ? newPlace(place.id, clock) : place))
      return worldOf({ ...around, places: left }, account, await home.capOf([], "write"))
    },
  }
}

/** Writes a file with a text, or other bytes. */
export async function write(files: FileSystem, path: readonly string[], content: string | Uint8Array): Promise<void> {
  await writeTogether(files, { [path.join("/")]: content })
}

/** Writes files by their paths, small ones in one chunk. */
export async function writeTogether(files: FileSystem, contents: Record<string, string | Uint8Array>): Promise<void> {
  const writer = files.writer()
  const adding = Object.entries(contents).map(async ([place, content]) => {
    const path = place.split("/")
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content
    const stored = await writer.add(bytes, { path })
    return { path, kind: "file", mode: 0o644, mtimeNs: 1_000_000_000n, content: stored } as const
  })
  const all = Promise.all(adding)
  all.catch(() => undefined) // the flush tells
  await writer.flush()
  await writer.commit(await all)
}

/** The text of a file. */
export async function text(files: FileSystem, path: readonly string[]): Promise<string> {
  const item = await files.lookup(path)
  const pieces: Uint8Array[] = []
  for await (const piece of files.read(item!)) pieces.push(piece.slice())
  return Buffer.concat(pieces).toString("utf8")
}

/** The names in a directory. */
export async function names(files: FileSystem, path: readonly string[] = []): Promise<string[]> {
  const all: string[] = []
  for await (const [name] of files.list((await files.lookup(path))!)) all.push(name)
  return all
}

/** An item of a server that lies: what is below it is listed, and read, as `change` says. */
export function distorted(item: Item, change: Partial<Pick<FileSystem, "list" | "read">>): Item {
  const owner: FileSystem = new Proxy(item.owner, {
    get(files, key) {
      if (key === "list" && !change.list) return listOf(files)
      const value = change[key as "list" | "read"] ?? Reflect.get(files, key, files)
      return typeof value === "function" ? value.bind(files) : value
    },
  })
  async function* listWith(list: FileSystem["list"], at: Item) {
    for await (const [name, child] of list(at)) yield [name, { ...child, owner }] as const
  }
  const listOf = (files: FileSystem) => (at: Item) => listWith((one) => files.list({ ...one, owner: files }), at)
  return { ...item, owner }
}
