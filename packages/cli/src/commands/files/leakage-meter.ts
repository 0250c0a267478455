/**
 * What servers can learn of a tree though they cannot read it: the numbers behind `holdfast leakage`, and behind the section of
 * docs/threat-model.md about sizes, times and accesses. Sizes and times are those that the servers themselves tell.
 */
import type { Session } from "@holdfast/client/volumes"
import { HoldfastError, limits, toHex } from "@holdfast/core"
import { type Backend, type RegisterId, registerIdOf } from "@holdfast/protocol"
import { paddedLength, type RegisterKeys } from "@holdfast/store"
import { type Entry, openTree, packedFileBytes, type Reference, reach, referenceKey, type Tree } from "@holdfast/tree"

/** All numbers. */
export interface Leakage {
  readonly padding: {
    /** Chunks whose content is known: directories, files and their lists. */
    readonly chunks: number
    readonly usedBytes: number
    readonly paddedBytes: number
    /** The one over the other, less one. */
    readonly overhead: number
    /** Different padded sizes, and the chunks that are the only ones of theirs. */
    readonly sizeClasses: number
    readonly alone: number
  }
  readonly files: {
    /** Different contents that are no part of their directory. */
    readonly contents: number
    readonly bytes: number
    /** Those that share no chunk with others: of them servers see about how large they are. */
    readonly large: number
    /** Different sizes of these as servers see them, and the files that are the only ones of theirs. */
    readonly sizeClasses: number
    readonly alone: number
  }
  /** The versions that are kept, oldest first: what servers were given at once. */
  readonly versions: readonly Arrival[]
  readonly servers: readonly SeenByServer[]
  /** False when there was more than could be looked at, or something could not be read. */
  readonly complete: boolean
}

/** What came with one version. */
export interface Arrival {
  readonly sequence: number
  readonly time: string
  readonly chunks: number
  readonly paddedBytes: number
}

/** What one server has seen of a tree. */
export interface SeenByServer {
  readonly server: string
  readonly shares: number
  readonly bytes: number
  /** Size of a share and how many have it; by size. */
  readonly sizes: readonly (readonly [bytes: number, count: number])[]
  /** Shares that the account holds there for other trees. */
  readonly otherShares: number
  /** Of the tree's register: absent when the server has no value of it. */
  readonly register?: SeenRegister
  /** Why a part of this is not known. */
  readonly problem?: string
}

/** What one server has seen of a register. */
export interface SeenRegister {
  /** The newest number: how often the tree was changed. */
  readonly version: number
  readonly kept: number
  readonly sizes: readonly (readonly [bytes: number, count: number])[]
  /** When the server took the oldest and the newest that it keeps, by its clock. */
  readonly first: string
  readonly last: string
}

/** Beyond so many chunks or contents nothing more is looked at. */
const most = 1_000_000
const mostShares = 10 * most
/** Versions of the register that are looked at of each server: a server that lies could tell of them without end. */
const mostValues = 10_000
const pageSize = 4096

/** Measures the tree that `keys` read. Throws what opening it throws. */
export async function measureLeakage({ store, env, backends, voters }: Session, keys: RegisterKeys): Promise<Leakage> {
  const tree = await openTree({ chunks: store.chunks, registers: store.registers, env, keys })
  const footprint = await footprintOf(tree)
  const ids = await heldIds(tree, footprint)
  const register = registerIdOf(keys.publicKey)
  const places = [...new Map([...backends, ...voters].map((backend) => [backend.id, backend])).values()]
  const servers = await Promise.all(places.map((backend) => seenBy(backend, ids, register)))
  return {
    padding: paddingOf(footprint.chunks),
    files: filesOf(footprint.contents),
    versions: footprint.versions,
    servers: servers.sort((a, b) => (a.server < b.server ? -1 : 1)),
    complete: footprint.isComplete && servers.every(({ problem }) => problem === undefined),
  }
}

interface Footprint {
  /** Bytes used of each chunk, by its id in hexadecimal. */
  readonly chunks: Map<string, number>
  /** Size of each content that is stored in chunks, by its reference. */
  readonly contents: Map<string, number>
  readonly versions: readonly Arrival[]
  isComplete: boolean
}

/** Visits all versions that are kept, the oldest first, so that each chunk counts for the one that it came with. */
async function footprintOf(tree: Tree): Promise<Footprint> {
  const used = new Map<string, number>()
  const contents = new Map<string, number>()
  const found = { chunks: used, contents, isComplete: true }
  const met = new Map<string, string[]>()
  const onReference = ({ chunk, offset, length }: Reference) => {
    const id = toHex(chunk.id)
    if (used.size < most || used.has(id)) used.set(id, Math.max(used.get(id) ?? 0, offset + length))
    else found.isComplete = false
  }
  const onEntry = (entry: Entry) => {
    if (entry.kind !== "file" || entry.content.form === "inline") return
    if (contents.size < most) contents.set(referenceKey(entry.content.reference), entry.size)
    else found.isComplete = false
  }
  const versions = (await tree.versions()).toReversed()
  const snapshots = { directory: await tree.snapshotDirectory(), where: { path: [], version: "snapshots" as const } }
  const starts = versions.map(({ root, sequence }) => ({ directory: root, where: { path: [], version: sequence } }))
  for await (const thing of reach(tree.io, [...starts, snapshots], { onReference, onEntry })) {
    if (thing.kind === "lost") found.isComplete = false
    if (thing.kind !== "chunk") continue
    const list = met.get(String(thing.where.version)) ?? []
    if (met.set(String(thing.where.version), list) && list.length < most) list.push(toHex(thing.chunk.id))
  }
  const arrivals = versions.map(({ sequence, timeMs }): Arrival => {
    const ids = met.get(String(sequence)) ?? []
    const paddedBytes = sum(ids.map((id) => paddedLength(used.get(id) ?? 1)))
    return { sequence, time: timeOf(timeMs), chunks: ids.length, paddedBytes }
  })
  return Object.assign(found, { versions: arrivals })
}

/** Ids of all that the tree needs: also of the lists of what it needs, and of its register's history. */
async function heldIds(tree: Tree, footprint: Footprint): Promise<ReadonlySet<string>> {
  const ids = new Set(footprint.chunks.keys())
  const onUnreadable = () => {
    footprint.isComplete = false
  }
  for await (const id of tree.caredFor(onUnreadable))
    if (ids.size < most) ids.add(toHex(id))
    else footprint.isComplete = false
  return ids
}

function paddingOf(used: ReadonlyMap<string, number>): Leakage["padding"] {
  const sizes = new Tally()
  for (const bytes of used.values()) sizes.add(Math.min(limits.chunkBytes, paddedLength(bytes)))
  const usedBytes = sum([...used.values()])
  const paddedBytes = sizes.bytes
  const overhead = usedBytes === 0 ? 0 : paddedBytes / usedBytes - 1
  return { chunks: used.size, usedBytes, paddedBytes, overhead, sizeClasses: sizes.classes, alone: sizes.alone }
}

/** A large file is so many full chunks and one that is padded: the sum of these is what servers see of its size. */
function filesOf(contents: ReadonlyMap<string, number>): Leakage["files"] {
  const visible = new Tally()
  for (const bytes of contents.values()) {
    if (bytes <= packedFileBytes) continue
    const rest = bytes % limits.chunkBytes
    visible.add(bytes - rest + (rest === 0 ? 0 : Math.min(limits.chunkBytes, paddedLength(rest))))
  }
  const bytes = sum([...contents.values()])
  const { count, classes, alone } = visible
  return { contents: contents.size, bytes, large: count, sizeClasses: classes, alone }
}

async function seenBy(backend: Backend, ids: ReadonlySet<string>, register: RegisterId): Promise<SeenByServer> {
  const sizes = new Tally()
  let otherShares = 0
  const problems: string[] = []
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      problems.push(error.message)
      return undefined
    }
  }
  await attempt(async () => {
    let after: { id: Uint8Array; index: number } | undefined
    while (sizes.count + otherShares <= mostShares) {
      const page = await backend.listMarks({ limit: pageSize, ...(after && { after }) })
      for (const { id, sizeBytes } of page)
        if (ids.has(toHex(id))) sizes.add(sizeBytes)
        else otherShares++
      if (page.length < pageSize) return
      after = page.at(-1)
    }
    problems.push(`It lists more than ${mostShares} shares, and the others were not looked at.`)
  })
  const seen = await attempt(() => seenRegister(backend, register))
  return {
    ...{ server: backend.id, shares: sizes.count, bytes: sizes.bytes, sizes: sizes.list(), otherShares },
    ...(seen && { register: seen }),
    ...(problems.length > 0 && { problem: [...new Set(problems)].join(" ") }),
  }
}

async function seenRegister(backend: Backend, register: RegisterId): Promise<SeenRegister | undefined> {
  const sizes = new Tally()
  const times: number[] = []
  let version = 0
  let below: number | undefined
  while (times.length < mostValues) {
    const page = await backend.keptValues(register, below === undefined ? {} : { below })
    for (const { sequence, bytes, receivedMs } of page) {
      version = Math.max(version, sequence)
      sizes.add(bytes.length)
      times.push(receivedMs)
    }
    const lowest = page.at(-1)?.sequence
    if (lowest === undefined || (below !== undefined && lowest >= below)) break
    below = lowest
  }
  times.sort((a, b) => a - b)
  const [first, last] = [times[0], times.at(-1)]
  if (first === undefined || last === undefined) return undefined
  return { version, kept: sizes.count, sizes: sizes.list(), first: timeOf(first), last: timeOf(last) }
}

/** A time that a server told, which may be no time at all. */
function timeOf(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? "unknown" : date.toISOString()
}

/** How many there are of each size. */
class Tally {
  readonly #counts = new Map<number, number>()
  count = 0
  bytes = 0

  add(size: number): void {
    this.#counts.set(size, (this.#counts.get(size) ?? 0) + 1)
    this.count++
    this.bytes += size
  }

  get classes(): number {
    return this.#counts.size
  }

  /** Those that are the only ones of their size. */
  get alone(): number {
    return [...this.#counts.values()].filter((count) => count === 1).length
  }

  list(): [bytes: number, count: number][] {
    return [...this.#counts].sort(([a], [b]) => a - b)
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
