/**
 * Marking before a commit: what it refers to and its batch has not marked must be there, marked for every account of the
 * tree, before the root moves. What fewer than `happy` places hold is rebuilt from any k shares and put again.
 */
import { type Clock, HoldfastError, mapPool, toHex, untilAborted } from "@holdfast/core"
import { type Backend, inconsistentError } from "@holdfast/protocol"
import { type Answer, answerOf, refusalOf, refusedByServers, shortageOf, tellAnswers } from "./answers.ts"
import type { Batch } from "./batch.ts"
import { shortId } from "./chunk-health.ts"
import type { Ranking } from "./ranking.ts"
import type { Server } from "./server.ts"
import type { ChunkHealth, ChunkId } from "./types.ts"

/** How to mark. */
export interface MarkingDeps {
  readonly clock: Clock
  readonly coding: { readonly happy: number; readonly n: number }
  ranked(id: ChunkId): Ranking<Server>
  /** Reads and verifies every share, and puts those that the batch has not marked under it, on `doubted` places last. */
  repair(id: ChunkId, batch: Batch, doubted: ReadonlySet<Backend>): Promise<ChunkHealth>
}

const pageSize = 4096
const repairsAtOnce = 16
/** When all lie on `happy` places, the others have so long to mark too. */
const graceMs = 2000

/**
 * Resolves once each of `ids` lies on `happy` places that marked it in `batch`; on others than those `doubted`, who did not
 * keep their word before, as far as others take it. Throws ERR_NOT_ENOUGH_SHARES, ERR_INCONSISTENT, the signal's reason.
 */
export async function markChunks(
  deps: MarkingDeps,
  ids: readonly ChunkId[],
  batch: Batch,
  {
    doubted = new Set(),
    signal,
  }: { readonly doubted?: ReadonlySet<Backend>; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { happy, n } = deps.coding
  const open = () => ids.filter((id) => batch.spread(id, (backend) => !doubted.has(backend)) < happy)
  const unmarked = open()
  if (unmarked.length === 0) return
  const near = (id: ChunkId) => deps.ranked(id).first(n)
  const far = (id: ChunkId) => deps.ranked(id).nearby(n).slice(n) // what lies elsewhere the repair finds, if it is needed
  const refusals = await ask(deps, { ids: unmarked, serversOf: near, batch, signal })
  const spread = open()
  if (spread.length > 0)
    for (const [server, answer] of await ask(deps, { ids: spread, serversOf: far, batch, signal }))
      refusals.set(server, answer)
  await mapPool(open(), repairsAtOnce, async (id) => {
    signal?.throwIfAborted()
    const { k, goodShares, inconsistent } = await deps.repair(id, batch, doubted)
    if (inconsistent) throw inconsistentError(id)
    if (k > 0 && goodShares >= k && batch.spread(id) >= happy) return
    const refused = { answers: [...refusals.values()], servers: deps.ranked(id).length }
    throw tooFew(id, { isGone: k === 0 || goodShares < k, reached: batch.spread(id), happy }, refused)
  })
}

interface Asked {
  readonly ids: readonly ChunkId[]
  readonly serversOf: (id: ChunkId) => readonly Server[]
  readonly batch: Batch
  readonly signal: AbortSignal | undefined
}

/** Asks servers to mark, in pages; of those that are far slower than the rest it does not wait for the end. */
async function ask(
  { clock, coding }: MarkingDeps,
  { ids, serversOf, batch, signal }: Asked,
): Promise<Map<Server, Answer>> {
  const refusals = new Map<Server, Answer>()
  const asked = new Map<Server, ChunkId[]>()
  for (const id of ids)
    for (const server of serversOf(id)) {
      const list = asked.get(server)
      if (list) list.push(id)
      else asked.set(server, [id])
    }
  const { promise: enough, resolve } = Promise.withResolvers<void>()
  const work = [...asked].map(async ([server, list]) => {
    const refused = await markAt(server.backend, list, batch, signal)
    if (refused) refusals.set(server, refused)
    if (ids.every((id) => batch.spread(id) >= coding.happy)) resolve()
  })
  const stop = new AbortController()
  const late = enough.then(() => clock.sleep(graceMs, stop.signal)).catch(() => undefined)
  await untilAborted(Promise.race([Promise.all(work), late]), signal).finally(() => stop.abort())
  return refusals
}

/** A place that fails has marked nothing that counts; gives why it did. */
async function markAt(
  backend: Backend,
  ids: readonly ChunkId[],
  batch: Batch,
  signal: AbortSignal | undefined,
): Promise<Answer | undefined> {
  let refused: Answer | undefined
  for (let start = 0; start < ids.length; start += pageSize) {
    const page = ids.slice(start, start + pageSize)
    const outcomes = await backend
      .markShares(page, { ...batch.options, ...(signal && { signal }) })
      .catch((error: unknown) => answerOf(backend.id, error))
    if (!Array.isArray(outcomes)) return outcomes
    for (const [i, id] of page.entries()) {
      const outcome = outcomes[i]
      if (outcome?.ok) batch.note(id, backend, outcome.held)
      else if (outcome) refused ??= refusalOf(backend.id, outcome)
    }
  }
  return refused
}

function gone(id: ChunkId): HoldfastError {
  return new HoldfastError(
    "ERR_NOT_ENOUGH_SHARES",
    `Chunk ${shortId(id)}, which this change refers to, is not there any more: it was removed since you read of it, or too many ` +
      "servers are away. Nothing was changed; read again, then repeat.",
    { chunk: toHex(id) },
  )
}

function tooFew(
  id: ChunkId,
  { isGone, reached, happy }: { readonly isGone: boolean; readonly reached: number; readonly happy: number },
  { answers, servers }: { readonly answers: readonly Answer[]; readonly servers: number },
): HoldfastError {
  const details = { chunk: toHex(id), happy, reached, refused: answers }
  const refused = refusedByServers(answers, { servers, needed: happy, reached, details })
  if (refused) return refused // also when nothing is found: who refuses to mark may refuse to say what it has
  if (isGone) return gone(id)
  const { code, advice } = shortageOf(answers, { reached, happy })
  return new HoldfastError(
    code,
    `Only ${reached} of the ${happy} servers needed hold chunk ${shortId(id)}, which this change refers to, and the others do not ` +
      `take it${answers.length > 0 ? ` (${tellAnswers(answers)})` : ""}. Nothing was acknowledged. ${advice}`,
    details,
  )
}
