/**
 * Audits by chance: a block of a share that nobody can foresee, with its proof. Needs no key, and looks to servers like a read of a
 * range. Of chunks of version 1, which have no blocks, a whole share is taken.
 */
import type { CryptoProvider } from "@holdfast/core"
import { type BlockAnswer, type BlockQuery, blockBytes, type ChunkId, versionOf } from "@holdfast/protocol"
import type { KnownChunk, KnownChunks } from "./known-chunks.ts"
import type { Ranking } from "./ranking.ts"
import { checkShare } from "./seal.ts"
import type { Server } from "./server.ts"
import type { Line } from "./throttle.ts"
import type { BlockSample } from "./types.ts"

/** What audits stand on. */
export interface AuditDeps {
  readonly crypto: CryptoProvider
  readonly known: KnownChunks
  /** What the answers come over. */
  readonly line: Line
}

/** Asks for one block of chunk `id` by chance. */
export async function sampleBlock(deps: AuditDeps, id: ChunkId, ranked: Ranking<Server>): Promise<BlockSample> {
  const chunk = deps.known.get(id) ?? (await learn(deps, id, ranked))
  if (!chunk) return { id, state: "missing" }
  const index = below(deps.crypto, chunk.descriptor.n)
  const first = below(deps.crypto, chunk.blocks)
  const ask = versionOf(chunk.descriptor) === 1 ? askShare : askBlock
  // Where it most likely lies, then elsewhere: servers that refused a share have others in their place.
  const best = ranked.first(chunk.descriptor.n)
  const own = best[index]
  const isOther = (server: Server) => server !== own
  const faults: { readonly server: string; readonly state: "wrong" | "silent" }[] = []
  for (const server of inTurn(own ? [own] : [], best.filter(isOther), ranked.seek(best.length))) {
    const answer = await ask(deps, server, { id, index, first, chunk }).catch(() => "silent" as const)
    if (answer === "good") return { id, index, server: server.backend.id, state: "good" }
    if (answer !== undefined) faults.push({ server: server.backend.id, state: answer })
  }
  const fault = faults.find(({ state }) => state === "wrong") ?? faults[0]
  return fault ? { id, index, ...fault } : { id, index, state: "missing" }
}

interface Wanted {
  readonly id: ChunkId
  readonly index: number
  readonly first: number
  readonly chunk: KnownChunk
}

/** Undefined when the server has no such share. */
async function askBlock({ known, line }: AuditDeps, server: Server, { id, index, first, chunk }: Wanted) {
  const leavesOf = chunk.leaves.has(index) ? [] : [index]
  const query: BlockQuery = { id, index, first, count: 1, haveDescriptor: true, leavesOf }
  const bytesOf = (answer: BlockAnswer | undefined) => answer?.blocks.length ?? 0
  const answer = await line.receive(() => server.blocks(query), { likelyBytes: blockBytes, bytesOf })
  if (!answer) return undefined
  await known.learn(query, answer)
  return (await known.proves(chunk, index, first, answer.blocks)) ? "good" : "wrong"
}

async function askShare({ crypto, line }: AuditDeps, server: Server, { id, index }: Wanted) {
  const [bytes] = await line.shares({ getShares: async () => [await server.get({ id, index })] }, [{ id, index }])
  if (!bytes) return undefined
  return (await checkShare(crypto, id, bytes))?.index === index ? "good" : "wrong"
}

/** The descriptor from the first server that gives one with the right hash. */
async function learn({ known }: AuditDeps, id: ChunkId, ranked: Ranking<Server>): Promise<KnownChunk | undefined> {
  const around = ranked.around(1)
  for (const server of inTurn(around, ranked.seek(around.length))) {
    const held = await server.has(id).catch(() => [])
    for (const index of held.slice(0, 1)) {
      const query: BlockQuery = { id, index, first: 0, count: 1, haveDescriptor: false, leavesOf: [index] }
      const answer = await server.blocks(query).catch(() => undefined)
      const chunk = answer && (await known.learn(query, answer))
      if (chunk) return chunk
    }
  }
  return undefined
}

function* inTurn<T>(...groups: readonly Iterable<T>[]): Generator<T, void, void> {
  for (const group of groups) yield* group
}

/** A whole number below `count` by chance; 48 bits make the bias negligible. */
function below(crypto: CryptoProvider, count: number): number {
  const bytes = crypto.random(6)
  return Math.floor((bytes.reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 48) * count)
}
