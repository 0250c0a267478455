/** The last step at a place: signed orders to take marks away, a page each. */
import { assert, compare } from "@holdfast/core"
import { type Backend, type ChunkId, type RegisterId, type UnmarkOrder, unmarkBytes } from "@holdfast/protocol"
import { IdList, marksWithin, type Tally } from "./collect-list.ts"
import { type IdSet, idPrefixes } from "./id-set.ts"

/** Values behind the newest that a place need not keep. */
export interface Trim {
  readonly register: RegisterId
  readonly below: number
}

/** What was done at a place, or would be. */
export interface Collected {
  /** Shares that went with their last mark, and their bytes. Of a dry run those that lose the account's mark. */
  readonly shares: number
  readonly bytes: number
  /** Marks taken away; others' marks keep what has any. */
  readonly marks: number
  /** Marks that are not needed, but too young. */
  readonly young: number
  /** Registers that are not needed. */
  readonly registers: number
  /** Needed chunks that were not marked for the account, and are now. */
  readonly adopted: number
}

/** Who gives orders to unmark for an account. */
export interface Collector {
  /** The account's collect key. */
  readonly publicKey: Uint8Array
  /** Signs with it. */
  sign(bytes: Uint8Array): Promise<Uint8Array>
}

/** What all orders of a collection to one place have in common. */
export interface Orders {
  readonly collector: Collector
  readonly token: Uint8Array
  readonly graceMs: number
  /** What stays, of what is listed again, and of which part of all ids that is. */
  readonly live?: Pick<IdSet, "covers" | "before">
  isLive?(id: ChunkId): boolean
  readonly trims: readonly Trim[]
}

const pageSize = 4096
const idBytes = 32

/** Takes away the marks of what `tally` found, and of what it had no room for. */
export async function unmarkGarbage(
  backend: Backend,
  { garbage, more, garbageRegisters }: Pick<Tally, "garbage" | "more" | "garbageRegisters">,
  orders: Orders,
): Promise<Omit<Collected, "adopted">> {
  const done = { shares: 0, bytes: 0, marks: 0, young: 0, registers: garbageRegisters.length }
  const send = async (part: Partial<Pick<UnmarkOrder, "chunks" | "registers" | "trims">>) => {
    const { collector, token, graceMs } = orders
    const { publicKey } = collector
    const order = { publicKey, place: backend.id, token, graceMs, chunks: [], registers: [], trims: [], ...part }
    const outcome = await backend.unmark({ ...order, signature: await collector.sign(unmarkBytes(order)) })
    done.shares += outcome.shares
    done.bytes += outcome.bytes
    done.marks += outcome.marks
    done.young += outcome.young
  }
  for (const chunks of pagesOf(garbage)) await send({ chunks })
  if (more) for await (const chunks of furtherGarbage(backend, more, orders)) await send({ chunks })
  for (let at = 0; at < garbageRegisters.length; at += pageSize)
    await send({ registers: garbageRegisters.slice(at, at + pageSize) })
  const trims = orders.trims.toSorted((a, b) => compare(a.register, b.register))
  for (let at = 0; at < trims.length; at += pageSize) await send({ trims: trims.slice(at, at + pageSize) })
  return done
}

const allIds = { covers: () => true, before: idPrefixes }

/** What a listing did not keep for want of room, listed again. */
async function* furtherGarbage(
  backend: Backend,
  after: NonNullable<Tally["more"]>,
  { live = allIds, isLive }: Orders,
): AsyncGenerator<ChunkId[], void, void> {
  let list = new IdList(pageSize)
  for await (const { id } of marksWithin(backend, live, after)) {
    if (isLive?.(id) || list.add(id)) continue
    yield* pagesOf(list.bytes())
    list = new IdList(pageSize)
    assert(list.add(id), "a new list has room")
  }
  yield* pagesOf(list.bytes())
}

function* pagesOf(bytes: Uint8Array): Generator<ChunkId[], void, void> {
  for (let start = 0; start < bytes.length; start += pageSize * idBytes) {
    const end = Math.min(bytes.length, start + pageSize * idBytes)
    yield Array.from({ length: (end - start) / idBytes }, (_, i) =>
      bytes.slice(start + i * idBytes, start + (i + 1) * idBytes),
    )
  }
}
