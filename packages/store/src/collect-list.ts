/** The first step at a place: what the account has marked there, and what of it nobody needs. Memory is bounded. */
import { limits, toHex } from "@holdfast/core"
import { type Backend, type ChunkId, checkListing, type MarkInfo, type RegisterId } from "@holdfast/protocol"
import type { IdSet } from "./id-set.ts"

/** What a listing found. */
export interface Tally {
  /** Which live chunks are marked here: a bit for each slot of the live set. */
  readonly marked: Uint8Array
  /** Ids of chunks that are not needed, ascending, one after another; the first of them, if there are very many. */
  readonly garbage: Uint8Array
  /** After which share the listing is to go on, when not all are in `garbage`. */
  readonly more: MarkInfo | undefined
  /** Shares that are not needed, and their bytes. */
  readonly shares: number
  readonly bytes: number
  readonly ownRegisters: ReadonlySet<string>
  readonly garbageRegisters: readonly RegisterId[]
}

const pageSize = 4096
const idBytes = 32
/** So many ids are kept in memory, 8 MB; the others are listed again when it is their turn. */
const maxKept = 262_144

/** What is needed. */
export interface Needed {
  readonly live: IdSet
  readonly registers: IdSet
  isLive(id: ChunkId): boolean
}

/** Lists the account's marks at a place. */
export async function listGarbage(backend: Backend, { live, registers, isLive }: Needed): Promise<Tally> {
  const marked = new Uint8Array(Math.ceil(live.slots / 8))
  const garbage = new IdList(maxKept)
  let more: MarkInfo | undefined
  let last: MarkInfo | undefined
  let [shares, bytes] = [0, 0]
  for await (const mark of marksWithin(backend, live, before(live))) {
    const slot = live.slotOf(mark.id)
    if (slot !== undefined) marked[slot >> 3]! |= 1 << (slot & 7)
    if (!isLive(mark.id)) {
      shares++
      bytes += mark.sizeBytes
      if (!more && !garbage.add(mark.id)) more = last
    }
    last = mark
  }
  const own = await registersOf(backend)
  return {
    ...{ marked, garbage: garbage.bytes(), more, shares, bytes },
    ownRegisters: new Set(own.map(toHex)),
    garbageRegisters: own.filter((id) => !registers.has(id)),
  }
}

/** What the part of `live` begins after. */
function before({ from }: IdSet): Pick<MarkInfo, "id" | "index"> | undefined {
  if (from === 0) return undefined
  const id = new Uint8Array(idBytes).fill(0xff)
  id[0] = from - 1
  return { id: id as ChunkId, index: limits.maxShares - 1 }
}

/** The account's marks of chunks in the part of `live`, as far as they come after `after`. */
export async function* marksWithin(
  backend: Backend,
  live: Pick<IdSet, "covers" | "before">,
  after?: Pick<MarkInfo, "id" | "index">,
): AsyncGenerator<MarkInfo, void, void> {
  for await (const mark of marksOf(backend, after))
    if (live.covers(mark.id)) yield mark
    else if (mark.id[0]! >= live.before) return
}

/** The account's marks at a place, page by page. Throws ERR_BAD_FORMAT for a listing that never ends. */
async function* marksOf(
  backend: Backend,
  after?: Pick<MarkInfo, "id" | "index">,
): AsyncGenerator<MarkInfo, void, void> {
  let listed = 0
  for (let from: Pick<MarkInfo, "id" | "index"> | undefined = after; ; ) {
    const page = await backend.listMarks(from ? { after: from, limit: pageSize } : { limit: pageSize })
    yield* page
    const end = page.at(-1)
    if (!end) return
    listed += page.length
    checkListing(backend.id, listed, end.id)
    from = end
  }
}

/** The registers that the account has marked at a place. */
async function registersOf(backend: Backend): Promise<RegisterId[]> {
  const all: RegisterId[] = []
  for (let after: RegisterId | undefined; ; ) {
    const page = await backend.listRegisters(after ? { after, limit: pageSize } : { limit: pageSize })
    all.push(...page)
    after = page.at(-1)
    if (!after) return all
    checkListing(backend.id, all.length, after as Uint8Array)
  }
}

/** Ids one after another, each once when equal ones follow each other. */
export class IdList {
  #bytes = new Uint8Array(64 * idBytes)
  #length = 0
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#length / idBytes
  }

  /** False when it is full, and `id` not in it. */
  add(id: Uint8Array): boolean {
    if (this.#length > 0 && this.#isLast(id)) return true
    if (this.size >= this.#most) return false
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#bytes.length)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(id, this.#length)
    this.#length += idBytes
    return true
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  #isLast(id: Uint8Array): boolean {
    const start = this.#length - idBytes
    for (let i = 0; i < idBytes; i++) if (this.#bytes[start + i] !== id[i]) return false
    return true
  }
}
