/** Marking what the account needs and others put there: a copy by reference of an old client, a tree that was linked in. */
import { toHex } from "@holdfast/core"
import type { Backend, BatchToken, ChunkId } from "@holdfast/protocol"
import type { Tally } from "./collect-list.ts"
import type { IdSet } from "./id-set.ts"

/** What to adopt. */
export interface Adoption {
  readonly live: IdSet
  readonly batch: BatchToken
  /** What is marked on so many places is not looked for elsewhere. */
  readonly n: number
}

const pageSize = 4096

/** Marks needed chunks on the places that hold shares of them unmarked; gives how many, by place. */
export async function adopt(
  places: readonly (readonly [Backend, Tally])[],
  { live, batch, n }: Adoption,
): Promise<Map<Backend, number>> {
  const isMarked = ({ marked }: Tally, slot: number) => (marked[slot >> 3]! & (1 << (slot & 7))) !== 0
  const adopted = new Map<Backend, number>()
  const open = new Map<Backend, ChunkId[]>(places.map(([backend]) => [backend, []]))
  const flush = async (backend: Backend, ids: ChunkId[]) => {
    const page = ids.splice(0)
    // A place that fails keeps what it keeps; the next collection adopts there.
    const outcomes = await backend.markShares(page, { batch }).catch(() => [])
    const marked = outcomes.filter((outcome) => outcome.ok && outcome.held.length > 0).length
    adopted.set(backend, (adopted.get(backend) ?? 0) + marked)
  }
  for (const [slot, id] of live.entries()) {
    const without = places.filter(([, tally]) => !isMarked(tally, slot))
    if (places.length - without.length >= n) continue
    for (const [backend] of without) {
      const ids = open.get(backend)!
      ids.push(id.slice())
      if (ids.length >= pageSize) await flush(backend, ids)
    }
  }
  await Promise.all([...open].map(([backend, ids]) => (ids.length > 0 ? flush(backend, ids) : undefined)))
  return adopted
}

/** Marks registers that the account needs and somebody else proposed: the value held is proposed again, as it is. */
export async function adoptRegisters(
  backend: Backend,
  {
    tally,
    registers,
    batch,
  }: { readonly tally: Pick<Tally, "ownRegisters">; readonly registers: IdSet; readonly batch: BatchToken },
): Promise<void> {
  const missing = [...registers.entries()]
    .map(([, id]) => id.slice())
    .filter((id) => !tally.ownRegisters.has(toHex(id)))
  for (const id of missing) {
    const [value] = await backend.readRegisters([id])
    if (value) await backend.proposeRegisters([value], { batch })
  }
}
