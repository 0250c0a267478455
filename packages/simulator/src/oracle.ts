/**
 * Sees what lies on all disks, past every fault: which roots a reader may be given, which chunks they need, and whether enough
 * good shares of each are there.
 */
import { type Env, equal, isHoldfastError, toHex } from "@holdfast/core"
import { type AccountId, type Backend, type ChunkId, registerIdOf } from "@holdfast/protocol"
import {
  checkShare,
  createRegisterStore,
  createStore,
  forgetfulSeen,
  levelChunks,
  type RegisterContent,
  type RegisterKeys,
  type Store,
} from "@holdfast/store"
import { careIds, chunksOf, createTreeIo, decodeCare, decodeRoot, type RootContent, type TreeIo } from "@holdfast/tree"
import type { Storage } from "./storage.ts"

/** What the oracle knows of the world. */
export interface OracleParts {
  readonly env: Env
  readonly servers: readonly Storage[]
  /** Those whose disks may lose or change what they hold. */
  readonly faulty: ReadonlySet<string>
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly keys: RegisterKeys
}

/** Looks at all disks at once. */
export class Oracle {
  readonly io: TreeIo
  readonly #parts: OracleParts
  readonly #values = new Map<string, { readonly bytes: Uint8Array; readonly value: RegisterContent }>()

  private constructor(parts: OracleParts, store: Store) {
    this.#parts = parts
    this.io = createTreeIo({ chunks: store.chunks, env: parts.env })
  }

  /** An oracle over `parts`. */
  static async create(parts: OracleParts): Promise<Oracle> {
    const servers = parts.servers.map((server) => ({ backend: directBackend(server), weight: 1 }))
    const { env, coding } = parts
    const seen = forgetfulSeen
    return new Oracle(parts, await createStore({ env, servers, coding, seen, registerMode: "crash" }))
  }

  /** The newest contents on honest disks: several where writers raced. */
  async newest(): Promise<{ readonly sequence: number; readonly contents: readonly RootContent[] }> {
    const { sequence, values } = await this.#newestValues()
    return { sequence, contents: values.map(({ content }) => decodeRoot(content)) }
  }

  async #newestValues(): Promise<{ readonly sequence: number; readonly values: readonly RegisterContent[] }> {
    let values: RegisterContent[] = []
    let top = 0
    for (const server of this.#parts.servers) {
      if (this.#parts.faulty.has(server.id)) continue
      const value = await this.#valueOf(server)
      if (!value || value.sequence < top) continue
      if (value.sequence > top) values = []
      top = value.sequence
      if (!values.some(({ content, care }) => equal(content, value.content) && equal(care, value.care)))
        values.push(value)
    }
    return { sequence: top, values }
  }

  /** The servers that hold an older value than the newest, or none. */
  async behind(): Promise<string[]> {
    const { sequence } = await this.newest()
    const behind: string[] = []
    for (const server of this.#parts.servers)
      if (((await this.#valueOf(server))?.sequence ?? 0) < sequence) behind.push(server.id)
    return behind
  }

  /**
   * Every chunk that the newest contents need: their roots, histories and snapshots, and where their care and the register's
   * history lie. With `whole`, all that their care lists name too.
   */
  async live({ whole = false } = {}): Promise<ChunkId[]> {
    const found = new Map<string, ChunkId>()
    const add = (id: ChunkId) => void found.set(toHex(id), id)
    for (const value of (await this.#newestValues()).values) {
      const { root, snapshots, history } = decodeRoot(value.content)
      const roots = [root, snapshots, ...history.map((past) => past.root)]
      for await (const { id } of chunksOf(this.io, roots)) add(id)
      const care = decodeCare(value.care)
      for (const { chunk } of care.segments) add(chunk.id)
      if (value.levels) for await (const { id } of levelChunks(this.io.chunks, value.levels)) add(id)
      if (whole) for await (const id of careIds(this.io.chunks, care)) add(id)
    }
    return [...found.values()]
  }

  /** How many different shares of a chunk honest disks hold for an account. */
  marksOf(id: ChunkId, account: AccountId): number {
    const [chunk, name] = [toHex(id), toHex(account)]
    const held = this.#honest().flatMap((server) => [...(server.holdings().get(chunk)?.marks.get(name) ?? [])])
    return new Set(held).size
  }

  /** How many different shares of a chunk honest disks hold; only good ones count when `verify` is set. */
  async sharesOf(id: ChunkId, verify: boolean): Promise<number> {
    const chunk = toHex(id)
    if (!verify)
      return new Set(this.#honest().flatMap((server) => [...(server.holdings().get(chunk)?.indices ?? [])])).size
    const indices = new Set<number>()
    for (const server of this.#honest())
      for (const bytes of server.storedShares(id))
        if (await checkShare(this.#parts.env.crypto, id, bytes)) indices.add(bytes[4]!)
    return indices.size
  }

  #honest(): readonly Storage[] {
    return this.#parts.servers.filter((server) => !this.#parts.faulty.has(server.id))
  }

  /** On how many servers, faulty ones too, a good share of its own lies: no share and no server counts twice. */
  async spread(id: ChunkId, { lasting = false } = {}): Promise<number> {
    const held: number[][] = []
    for (const server of this.#parts.servers) {
      const good: number[] = []
      for (const bytes of lasting ? server.lastingShares(id) : server.storedShares(id)) {
        const share = await checkShare(this.#parts.env.crypto, id, bytes)
        if (share) good.push(share.index)
      }
      held.push(good)
    }
    return matching(held)
  }

  /** The value that a server was found to hold last. */
  heldBy({ id }: Storage): { readonly sequence: number; readonly bytes: Uint8Array } | undefined {
    const known = this.#values.get(id)
    return known && { sequence: known.value.sequence, bytes: known.bytes }
  }

  async #valueOf(server: Storage): Promise<RegisterContent | undefined> {
    const { keys, env } = this.#parts
    const bytes = server.storedRegister(registerIdOf(keys.publicKey))
    if (!bytes) return undefined
    const known = this.#values.get(server.id)
    if (known && equal(known.bytes, bytes)) return known.value
    const seen = forgetfulSeen
    const registers = createRegisterStore({
      ...{ env, backends: [directBackend(server)], mode: "crash", seen },
      chunks: this.io.chunks,
    })
    const value = await registers.read(keys)
    if (value) this.#values.set(server.id, { bytes, value })
    return value
  }
}

/** Reads a server's disk without its process. */
export function directBackend(server: Storage): Backend {
  const refuse = async () => {
    throw new Error("the oracle only reads")
  }
  return {
    id: server.id,
    getShares: async (queries) =>
      queries.map(({ id, index }) => {
        const shares = server.storedShares(id)
        return index === undefined ? shares[0] : shares.find((bytes) => bytes[4] === index)
      }),
    getBlocks: refuse,
    hasShares: async (ids) => ids.map((id) => server.storedShares(id).map((bytes) => bytes[4]!)),
    readRegisters: async (ids) => ids.map((id) => server.storedRegister(id)),
    keptValues: refuse,
    putShares: refuse,
    markShares: refuse,
    listMarks: refuse,
    listRegisters: refuse,
    collectToken: refuse,
    unmark: refuse,
    confirmMarks: refuse,
    proposeRegisters: refuse,
    usage: refuse,
    close: async () => undefined,
  }
}

/** Size of a largest matching of servers with the shares they hold (augmenting paths). */
function matching(held: readonly (readonly number[])[]): number {
  const holderOf = new Map<number, number>()
  const place = (server: number, tried: Set<number>): boolean => {
    for (const index of held[server]!) {
      if (tried.has(index)) continue
      tried.add(index)
      const holder = holderOf.get(index)
      if (holder === undefined || place(holder, tried)) {
        holderOf.set(index, server)
        return true
      }
    }
    return false
  }
  return held.filter((_, server) => place(server, new Set())).length
}

/** The error as one line. */
export function describe(error: unknown): string {
  if (isHoldfastError(error)) return `${error.code}: ${error.message}`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** A chunk's name in messages. */
export function nameOf(id: ChunkId): string {
  return toHex(id).slice(0, 12)
}
