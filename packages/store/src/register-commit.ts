/** Acknowledging a value: a quorum takes it, and enough places vouch for each chunk that it refers to (docs/protocols/marks.md). */
import { type Env, HoldfastError } from "@holdfast/core"
import type { AccountId, Backend, ChunkId } from "@holdfast/protocol"
import { type Answer, refusedByServers, shortageOf, tellAnswers } from "./answers.ts"
import { Batch } from "./batch.ts"
import { type HeldValue, propose, type QuorumDeps } from "./register-quorum.ts"
import type { WriteOptions } from "./types.ts"

/** How a commit's chunks are marked. */
export interface CommitMarks {
  /** So many places with a share of their own must vouch for each chunk. */
  readonly happy: number
  /** A batch for a commit to a tree that is held for `accounts` too. */
  batch(accounts: readonly AccountId[]): Batch
  /** Marks those of `ids` that `batch` has not marked, on `happy` places, `doubted` ones last. Throws ERR_NOT_ENOUGH_SHARES. */
  mark(ids: readonly ChunkId[], batch: Batch, doubted: ReadonlySet<Backend>, signal?: AbortSignal): Promise<void>
  /** A batch is done, or marks of it are gone. */
  leave(batch: Batch): void
}

/** A commit marks anew so many times what was taken away under its hands, and once for each place that it doubts; then it gives up. */
const maxRounds = 5

/**
 * Commits values; the result is false for who loses a race. Throws ERR_NO_QUORUM, ERR_NOT_ENOUGH_SHARES, ERR_NOT_ENOUGH_SERVERS, and
 * the signal's reason, after which it is not known whether the value was taken.
 */
export function createCommits(
  deps: QuorumDeps,
  marks: CommitMarks = noMarks(deps.env),
): (value: HeldValue, options: WriteOptions) => Promise<boolean> {
  return (value, options) => commit(deps, marks, value, options)
}

/**
 * Marks what `value` refers to and proposes it, again when places say that marks are gone or do not vouch: between an
 * acknowledgement and a collection beside it stands their word, no time.
 */
async function commit(
  deps: QuorumDeps,
  marks: CommitMarks,
  value: HeldValue,
  { chunks = [], accounts = [], signal }: WriteOptions,
): Promise<boolean> {
  const doubted = new Set<Backend>()
  const refused = new Set<Backend>()
  let answers: readonly Answer[] = []
  for (let round = 1; round <= maxRounds + doubted.size; round++) {
    const batch = marks.batch(accounts)
    await marks.mark(chunks, batch, doubted, signal)
    const commitment = { batch, patterns: batch.patterns(chunks), happy: marks.happy, signal }
    const proposal = await propose(deps, value, commitment)
    if (proposal === "lost") return false
    marks.leave(batch)
    if (proposal === "taken") return true
    answers = proposal.answers
    // Marks may go once, to a collection beside this. Who marks again and again what it then does not vouch for, or marks and
    // does not know of it, must not keep the chunks from places that would.
    for (const backend of proposal.silent) doubted.add(backend)
    for (const backend of proposal.gone) if (refused.has(backend)) doubted.add(backend)
    for (const backend of proposal.gone) refused.add(backend)
  }
  throw notKept(answers, { happy: marks.happy, servers: deps.backends.length, doubted })
}

function notKept(
  answers: readonly Answer[],
  {
    happy,
    servers,
    doubted,
  }: { readonly happy: number; readonly servers: number; readonly doubted: ReadonlySet<Backend> },
): HoldfastError {
  const details = { happy, doubted: [...doubted].map(({ id }) => id) }
  const others = { servers: Math.max(servers, doubted.size), needed: happy, details }
  const refusal = refusedByServers(answers, others)
  if (refusal) return refusal
  const { code, advice } = shortageOf(answers, { reached: Math.max(0, others.servers - answers.length), happy })
  const isQuota = code === "ERR_QUOTA_EXCEEDED"
  return new HoldfastError(
    code,
    "The change was not acknowledged: too few servers keep what it stored, although it was stored again several times" +
      `${answers.length > 0 ? ` (${tellAnswers(answers)})` : ""}. What was there before stays readable. ` +
      (isQuota ? advice : "Look at the servers with `holdfast status`, then repeat."),
    details,
  )
}

/** Of registers whose chunks are kept elsewhere, as readers have them. */
function noMarks(env: Env): CommitMarks {
  return {
    happy: 0,
    batch: (accounts) => new Batch({ batch: env.crypto.random(16), accounts }, 0),
    mark: async () => undefined,
    leave: () => undefined,
  }
}
