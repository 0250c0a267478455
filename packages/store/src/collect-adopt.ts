/** Marking what the account needs and others put there: a copy by reference of an old client, a tree that was linked in. */
import { HoldfastError, limits, toHex } from "@holdfast/core"
import type { Backend, BatchToken, ChunkId, RegisterId } from "@holdfast/protocol"
import { answerOf } from "./answers.ts"
import type { Tally } from "./collect-list.ts"
import type { IdSet } from "./id-set.ts"

/** What to adopt. */
export interface Adoption {
  readonly live: IdSet
  readonly batch: BatchToken
  /** What is marked on so many places is not looked for elsewhere. */
  readonly n: number
  /** Hears why a place did not mark what the account needs. */
  onRefused(backend: Backend, refusal: Refusal): void
}

/** Why a place does not hold for the account what it needs. */
export interface Refusal {
  readonly message: string
  /** True when the account's quota there is the reason. */
  readonly isQuota: boolean
}

const pageSize = 4096

/** Marks needed chunks on the places that hold shares of them unmarked; gives how many, by place. */
export async function adopt(
  places: readonly (readonly [Backend, Tally])[],
  { live, batch, n, onRefused }: Adoption,
): Promise<Map<Backend, number>> {
  const adopted = new Map<Backend, number>()
  const open = new Map<Backend, ChunkId[]>(places.map(([backend]) => [backend, []]))
  const flush = async (backend: Backend, ids: ChunkId[]) => {
    const page = ids.splice(0)
    // A place that fails keeps what it keeps; the next collection adopts there.
    const outcomes = await backend.markShares(page, { batch }).catch((error: unknown) => {
      onRefused(backend, refusalOf(error))
      return []
    })
    for (const outcome of outcomes)
      if (!outcome.ok) onRefused(backend, { message: outcome.message, isQuota: outcome.code === "quota" })
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

/** True when the live chunk in this slot is marked at the place of `tally`. */
export function isMarked({ marked }: Tally, slot: number): boolean {
  return (marked[slot >> 3]! & (1 << (slot & 7))) !== 0
}

/** Marks registers that the account needs and somebody else proposed: the value held is proposed again, as it is. */
export async function adoptRegisters(
  backend: Backend,
  {
    tally,
    registers,
    batch,
    onRefused,
  }: { readonly tally: Pick<Tally, "ownRegisters">; readonly registers: IdSet } & Pick<Adoption, "batch"> &
    Partial<Pick<Adoption, "onRefused">>,
): Promise<number> {
  const missing = [...registers.entries()]
    .map(([, id]) => id.slice())
    .filter((id) => !tally.ownRegisters.has(toHex(id)))
  let adopted = 0
  for (const id of missing) {
    const [value] = await backend.readRegisters([id])
    if (!value) continue
    const [outcome] = await backend.proposeRegisters([value], { batch })
    if (outcome?.accepted) adopted++
    else if (outcome && !outcome.current && !outcome.marksGone)
      onRefused?.(backend, { message: outcome.message, isQuota: outcome.code === "quota" })
  }
  return adopted
}

function refusalOf(error: unknown): Refusal {
  const { why, code } = answerOf("", error)
  return { message: why, isQuota: code === "ERR_QUOTA_EXCEEDED" }
}

/**
 * Makes certain what `batch` marked at a place, as a commit does: a bucket looks only with a value whether anything of it was
 * about to be deleted when the marks came. The value that the place holds of `register` is proposed again. False when something
 * does not stay. Throws ERR_NOT_FOUND when a bucket holds none.
 */
export async function settle(backend: Backend, register: RegisterId | undefined, batch: BatchToken): Promise<boolean> {
  const [value] = register ? await backend.readRegisters([register]) : []
  if (!value) {
    // Elsewhere a mark stays from the moment that it is there.
    if (!backend.sweep) return true
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `${backend.id} does not hold the account's list: nothing is certain there.`,
    )
  }
  const [outcome] = await backend.proposeRegisters([value], { batch })
  return outcome?.accepted === true // one that was overtaken says nothing of the marks
}

/** How many chunks places hold that the account needs and has not marked there. */
export async function missingAt(
  places: readonly (readonly [Backend, Tally])[],
  live: IdSet,
): Promise<Map<Backend, number>> {
  const missing = new Map<Backend, number>()
  for (const [backend, tally] of places) {
    let count = 0
    for (const ids of pagesOf(live, tally)) {
      const held = await backend.hasShares(ids)
      count += held.filter((indices) => indices.length > 0).length
    }
    missing.set(backend, count)
  }
  return missing
}

/** Ids that are not marked, in pages. */
function* pagesOf(live: IdSet, tally: Tally): Generator<ChunkId[], void, void> {
  let page: ChunkId[] = []
  for (const [slot, id] of live.entries()) {
    if (isMarked(tally, slot)) continue
    page.push(id.slice())
    if (page.length < limits.requestItems) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}
