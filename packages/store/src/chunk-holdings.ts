/** What single servers hold of a chunk, and one share more or less of it: what checks, repairs and rebalances are made of. */
import type { BufferPool, Clock, CryptoProvider } from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import { type Backend, type BlockAnswer, blockBytes, type ChunkId, isCodeword, type Share } from "@holdfast/protocol"
import { type Answer, answerOf, refusalOf } from "./answers.ts"
import type { Batch } from "./batch.ts"
import type { Domains } from "./domains.ts"
import type { KnownChunks } from "./known-chunks.ts"
import type { ChunkPipeline } from "./pipeline.ts"
import { checkShare } from "./seal.ts"
import type { Line } from "./throttle.ts"

/** What health work stands on. */
export interface HealthDeps {
  readonly crypto: CryptoProvider
  readonly clock: Clock
  readonly erasure: Erasure
  /** What is placed is marked in it. */
  readonly batch: Batch
  /** What a server would be lost with. */
  readonly domainsOf: (backend: Backend) => Domains
  /** How many shares chunks of this grid usually have. */
  readonly usualShares: number
  /** What all that is read and placed goes over. */
  readonly line: Line
  /** What was proven of chunks before. */
  readonly known: KnownChunks
  /** Does what takes the processor long. */
  readonly pipeline: Pick<ChunkPipeline, "check" | "rebuild">
  /** Takes what was read back, once it was looked at: answers of servers lie in arrays of it. */
  readonly buffers: BufferPool
  /**
   * Of a repair for a commit: only what is marked in the batch counts, wherever a good share lies, and nothing of these places,
   * which get shares last.
   */
  readonly doubted?: ReadonlySet<Backend>
}

/** What a server says that it has of a chunk. */
export interface Holding {
  readonly backend: Backend
  readonly indices: number[]
  /** Why there was no answer, or none that can be understood. */
  readonly silence?: string
}

/**
 * Puts a share on a server, marked. Gives why the server did not take it, or with `gives` does not give it then; undefined when it is
 * there.
 */
export async function place(
  deps: HealthDeps,
  id: ChunkId,
  target: Backend,
  { bytes, index, gives = false }: { readonly bytes: Uint8Array; readonly index: number; readonly gives?: boolean },
): Promise<Answer | undefined> {
  const { batch, line } = deps
  const bytesOf = () => bytes.length
  const put = () => target.putShares([bytes], batch.options)
  try {
    const [outcome] = await line.send(put, { likelyBytes: bytes.length, bytesOf })
    if (!outcome?.ok) return refusalOf(target.id, outcome ?? { message: "it did not say whether it took a share" })
  } catch (error) {
    return answerOf(target.id, error)
  }
  if (gives && !(await goodShare(deps, id, target, index)))
    return { server: target.id, why: "it does not give what it took a moment ago" }
  batch.note(id, target, [index])
  return undefined
}

/** The share if this server gives it and it verifies. */
export async function goodShare(deps: HealthDeps, id: ChunkId, backend: Backend, index: number) {
  const [bytes] = await deps.line.shares(backend, [{ id, index }]).catch(() => [])
  const share = bytes && (await checkShare(deps.crypto, id, bytes))
  return bytes && share?.index === index ? { bytes, share } : undefined
}

/** What each of `backends` says that it has. */
export async function holdingsOf(id: ChunkId, backends: readonly Backend[]): Promise<Holding[]> {
  return Promise.all(
    backends.map(async (backend) => {
      try {
        const [indices = []] = await backend.hasShares([id])
        return { backend, indices }
      } catch (error) {
        return { backend, indices: [], silence: error instanceof Error ? error.message : String(error) }
      }
    }),
  )
}

/** k and n of a chunk, from the first descriptor with the right hash that any server gives: a block of a share, and not all of it. */
export async function codingOf({ known, line }: HealthDeps, id: ChunkId, holdings: readonly Holding[]) {
  for (const { backend, indices } of holdings) {
    const chunk = known.get(id)
    if (chunk) return chunk.descriptor
    if (indices.length === 0) continue
    const query = { id, index: indices[0]!, first: 0, count: 1, haveDescriptor: false, leavesOf: [] }
    const bytesOf = ([answer]: readonly (BlockAnswer | undefined)[]) => answer?.blocks.length ?? 0
    const ask = () => backend.getBlocks([query])
    const [answer] = await line.receive(ask, { likelyBytes: blockBytes, bytesOf }).catch(() => [])
    if (answer) await known.learn(query, answer)
  }
  return known.get(id)?.descriptor
}

/** True when shares, k of them at least, do not all follow from the same data. */
export async function isInconsistent(deps: HealthDeps, shares: readonly Share[]): Promise<boolean> {
  return shares.length >= shares[0]!.descriptor.k && !(await isCodeword(deps, shares))
}
