/** Looking after stored chunks without their keys: health, repair, rebalance. */
import { type Clock, type CryptoProvider, toHex } from "@holdfast/core"
import type { Erasure } from "@holdfast/core/erasure"
import {
  type Backend,
  type BlockAnswer,
  blockBytes,
  type ChunkId,
  decodeShare,
  inconsistentError,
  isCodeword,
  isNewerShare,
  type Share,
} from "@holdfast/protocol"
import { type Answer, answerOf, refusalOf } from "./answers.ts"
import type { Batch } from "./batch.ts"
import { type Domain, type Domains, overDomains } from "./domains.ts"
import type { KnownChunks } from "./known-chunks.ts"
import { checkShare, rebuildShares } from "./seal.ts"
import { spreadOf } from "./spread.ts"
import type { Line } from "./throttle.ts"
import type { ChunkHealth } from "./types.ts"

/** What health work stands on. */
export interface HealthDeps {
  readonly crypto: CryptoProvider
  readonly clock: Clock
  readonly erasure: Erasure
  /** What is placed is marked in it. */
  readonly batch: Batch
  /** What a server would be lost with. */
  readonly domainsOf: (backend: Backend) => Domains
  /** What may be lost at once. */
  readonly domains: readonly Domain[]
  /** What all that is read and placed goes over. */
  readonly line: Line
  /** What was proven of chunks before. */
  readonly known: KnownChunks
  /**
   * Of a repair for a commit: only what is marked in the batch counts, wherever a good share lies, and nothing of these places,
   * which get shares last.
   */
  readonly doubted?: ReadonlySet<Backend>
}

/** What a check does beyond asking. */
export interface CheckOptions {
  /** Reads and verifies every share instead of believing the servers. */
  readonly verify?: boolean
  /** Gives each share a server of its own again, as far as there are enough. Implies `verify`. */
  readonly repair?: boolean
  /** A repair only counts the shares that it would place, on servers that answer. */
  readonly dryRun?: boolean
  /** A repair puts nothing on the servers with these ids, as on those that said a moment ago that they have no room. */
  readonly avoid?: ReadonlySet<string>
}

/** How a rebalance is done. */
export interface RebalanceChunkOptions {
  /** Nothing is copied, and what is told is what would be. */
  readonly dryRun?: boolean
}

interface Holding {
  readonly backend: Backend
  readonly indices: number[]
  /** Why there was no answer, or none that can be understood. */
  readonly silence?: string
}

/** A share of a version that is not known here says no more of a chunk than a server that is away. */
const newer = "it holds shares that need a newer Holdfast"

/** Health of chunk `id` over `ranked` servers, the best place first; repairs it when asked to. */
export async function checkChunk(
  deps: HealthDeps,
  id: ChunkId,
  ranked: readonly Backend[],
  options: CheckOptions = {},
): Promise<ChunkHealth> {
  const claimed = await holdingsOf(id, ranked)
  if (!options.verify && !options.repair) {
    const coding = await codingOf(deps, id, claimed)
    if (coding) return summary(deps, id, { coding, holdings: claimed, asked: claimed })
    const asked = await verifyHoldings(deps, id, claimed) // it is lost, or cannot be understood
    return summary(deps, id, { holdings: claimed, asked: asked.holdings })
  }
  const { holdings, shares, corrupt } = await verifyHoldings(deps, id, claimed)
  const any = shares.values().next().value
  if (!any) return summary(deps, id, { holdings, corrupt, asked: holdings })
  const inconsistent = await isInconsistent(deps, [...shares.values()])
  // What is made from some shares of such a chunk contradicts the others.
  const found = { holdings, shares, corrupt }
  const { placed, refused } =
    options.repair && !inconsistent ? await placeMissing(deps, ranked, found, options) : nothingPlaced
  const health = summary(deps, id, { coding: any.descriptor, holdings, corrupt, asked: holdings })
  return { ...health, placed, refused, inconsistent }
}

async function isInconsistent(deps: HealthDeps, shares: readonly Share[]): Promise<boolean> {
  return shares.length >= shares[0]!.descriptor.k && !(await isCodeword(deps, shares))
}

/** What a rebalance did. */
export interface Rebalanced {
  /** Shares copied to where they belong. */
  readonly moved: number
  /** Places that need not hold the chunk any more: the account may take its marks away there. */
  readonly surplus: readonly Backend[]
}

/**
 * Copies shares of `id` to the best-ranked servers, one on each. Copies alone: others may need what lies elsewhere, so only
 * when all of the best servers give a good share, the others are told as surplus. Throws ERR_INCONSISTENT before
 * anything is copied, where enough shares are read to tell.
 */
export async function rebalanceChunk(
  deps: HealthDeps,
  id: ChunkId,
  ranked: readonly Backend[],
  { dryRun = false }: RebalanceChunkOptions = {},
): Promise<Rebalanced> {
  const holdings = await holdingsOf(id, ranked)
  const coding = await codingOf(deps, id, holdings)
  if (!coding) return { moved: 0, surplus: [] }
  const best = ranked.slice(0, coding.n)
  const holdingAt = (backend: Backend) => holdings.find((held) => held.backend === backend)
  const isVacant = ({ indices, silence }: Holding) => indices.length === 0 && !(dryRun && silence !== undefined)
  const vacant = best.filter((backend) => isVacant(holdingAt(backend)!))
  const kept = new Map<number, Backend>()
  const extra: { backend: Backend; index: number }[] = []
  for (const backend of best)
    for (const [position, index] of (holdings.find((held) => held.backend === backend)?.indices ?? []).entries())
      if (position === 0 && !kept.has(index)) kept.set(index, backend)
      else extra.push({ backend, index })
  for (const { backend, indices } of holdings)
    if (!best.includes(backend)) for (const index of indices) extra.push({ backend, index })
  if (extra.length === 0) return { moved: 0, surplus: [] }
  const good = new Map<number, Backend>()
  const read = new Map<number, Share>()
  const take = async (backend: Backend, index: number) => {
    const found = await goodShare(deps, id, backend, index)
    if (found) read.set(index, found.share)
    return found?.bytes
  }
  for (const [index, backend] of kept) if (await take(backend, index)) good.set(index, backend)
  if (read.size > 0 && (await isInconsistent(deps, [...read.values()]))) throw inconsistentError(id)
  let moved = 0
  for (const { backend, index } of extra) {
    const bytes = good.has(index) ? undefined : await take(backend, index)
    if (!bytes) continue
    const isHome = best.includes(backend) && ![...good.values()].includes(backend)
    const target = isHome ? undefined : vacant.shift()
    if (isHome) good.set(index, backend)
    else if (target && (dryRun || !(await place(deps, id, target, { bytes, index })))) {
      good.set(index, target)
      moved++
    }
  }
  // While a share is missing, each copy counts: a server that took one just now may be the next to lose it.
  if (good.size < Math.min(coding.n, best.length)) return { moved, surplus: [] }
  return { moved, surplus: [...new Set(extra.map(({ backend }) => backend))].filter((one) => !best.includes(one)) }
}

/**
 * Puts a share on a server, marked. Gives why the server did not take it, or with `gives` does not give it then; undefined when it is
 * there.
 */
async function place(
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
async function goodShare(deps: HealthDeps, id: ChunkId, backend: Backend, index: number) {
  const [bytes] = await deps.line.shares(backend, [{ id, index }]).catch(() => [])
  const share = bytes && (await checkShare(deps.crypto, id, bytes))
  return bytes && share?.index === index ? { bytes, share } : undefined
}

async function holdingsOf(id: ChunkId, backends: readonly Backend[]): Promise<Holding[]> {
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
async function codingOf({ known, line }: HealthDeps, id: ChunkId, holdings: readonly Holding[]) {
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

interface DamagedShare {
  readonly backend: Backend
  readonly index: number
}

/** What was found of a chunk when every share was read. */
interface Verified {
  /** With the indices of good shares. */
  readonly holdings: Holding[]
  readonly shares: Map<number, Share>
  readonly corrupt: readonly DamagedShare[]
}

async function verifyHoldings(deps: HealthDeps, id: ChunkId, claimed: readonly Holding[]): Promise<Verified> {
  const shares = new Map<number, Share>()
  const corrupt: DamagedShare[] = []
  const verify = async ({ backend, indices, ...claim }: Holding): Promise<Holding> => {
    const good: number[] = []
    let { silence } = claim
    const queries = indices.map((index) => ({ id, index }))
    const answers = await deps.line.shares(backend, queries).catch(() => [])
    for (const [position, index] of indices.entries()) {
      const bytes = answers[position]
      const share = bytes && (await checkShare(deps.crypto, id, bytes))
      if (share && share.index === index) {
        good.push(index)
        shares.set(index, share)
      } else if (bytes && (await isNewerShare(deps.crypto, bytes))) silence = newer
      else corrupt.push({ backend, index })
    }
    return { backend, indices: good, ...(silence !== undefined && { silence }) }
  }
  const holdings = await Promise.all(claimed.map(verify))
  return { holdings, shares, corrupt }
}

type Placed = Pick<ChunkHealth, "placed" | "refused">

const nothingPlaced: Placed = { placed: 0, refused: [] }

/** Puts each share that has no server of its own on one that has no share of its own. */
async function placeMissing(
  deps: HealthDeps,
  ranked: readonly Backend[],
  { holdings, shares, corrupt }: Verified,
  { dryRun = false, avoid = new Set() }: Pick<CheckOptions, "dryRun" | "avoid">,
): Promise<Placed> {
  const { id, descriptor } = shares.values().next().value!
  const { k, n } = descriptor
  if (shares.size < k) return nothingPlaced
  const { batch, doubted } = deps
  const counts = (backend: Backend, index: number) =>
    doubted === undefined || (!doubted.has(backend) && batch.has(id, backend, index))
  const own = spreadOf(holdings.map(({ backend, indices }) => indices.filter((index) => counts(backend, index))))
  const wanted = Array.from({ length: n }, (_, index) => index).filter((index) => !own.includes(index))
  // Empty servers come first; then those whose share another has too; who did not keep its word comes last.
  const without = holdings.filter((_, server) => own[server] === undefined)
  const isEmpty = (backend: Backend) => without.some((held) => held.backend === backend && held.indices.length === 0)
  const isOpen = (backend: Backend) => !avoid.has(backend.id) && without.some((held) => held.backend === backend)
  const open = ranked.filter(isOpen)
  const [late, good] = [
    open.filter((backend) => doubted?.has(backend)),
    open.filter((backend) => !doubted?.has(backend)),
  ]
  const holders = holdings.filter((_, server) => own[server] !== undefined).map(({ backend }) => backend)
  const places = [good.filter(isEmpty), good.filter((backend) => !isEmpty(backend)), [...late]]
  const answering = without.filter(({ backend, silence }) => silence === undefined && isOpen(backend))
  if (dryRun) return { ...nothingPlaced, placed: Math.min(wanted.length, answering.length) }
  const rebuilt = wanted.length > 0 && open.length > 0 ? await rebuildShares(deps, [...shares.values()], wanted) : []
  // What is there and does not count yet is put where it is.
  const uncounted = holdings.flatMap(({ backend, indices }) =>
    good.includes(backend) ? indices.map((index) => ({ backend, index })) : [],
  )
  const replaced = [...corrupt.filter(({ backend }) => !late.includes(backend)), ...uncounted]
  // Who gave nothing good before is believed when it gives what it took: a liar would take every share of a chunk for ever.
  const isSuspect = (target: Backend) => corrupt.some(({ backend }) => backend === target)
  let placed = 0
  const refused: Answer[] = []
  for (const bytes of rebuilt) {
    const index = decodeShare(bytes).index
    const take = () => takePlace(places, { replaced, index, holders, domainsOf: deps.domainsOf })
    for (let target = take(); target; target = take()) {
      const refusal = await place(deps, id, target, { bytes, index, gives: isSuspect(target) })
      if (refusal) {
        refused.push(refusal)
        continue
      }
      const held = holdings.find((holding) => holding.backend === target)!
      held.indices.push(index)
      holders.push(target)
      placed++
      break
    }
  }
  return { placed, refused }
}

/** What decides where a share goes. */
interface Wanted extends Pick<HealthDeps, "domainsOf"> {
  readonly replaced: readonly DamagedShare[]
  readonly index: number
  /** Servers with a share of their own. */
  readonly holders: readonly Backend[]
}

/**
 * Takes the next server for a share out of these, the better groups first: one whose own copy of it is replaced so, else one in a
 * domain where the fewest have a share.
 */
function takePlace(groups: Backend[][], { replaced, index, holders, domainsOf }: Wanted): Backend | undefined {
  const isOwn = (backend: Backend) => replaced.some((bad) => bad.backend === backend && bad.index === index)
  const group = groups.find((one) => one.some(isOwn)) ?? groups.find((one) => one.length > 0)
  const next = group?.find(isOwn) ?? overDomains(group ?? [], domainsOf, holders)[0]
  if (next) group!.splice(group!.indexOf(next), 1)
  return next
}

/** What a check found. */
interface Found {
  readonly coding?: { readonly k: number; readonly n: number }
  readonly holdings: readonly Holding[]
  readonly corrupt?: readonly DamagedShare[]
  readonly asked: readonly Holding[]
}

function summary(
  { domains }: Pick<HealthDeps, "domains">,
  id: ChunkId,
  { coding, holdings, corrupt = [], asked }: Found,
): ChunkHealth {
  const goodAt = (counts: (backend: Backend) => boolean) =>
    new Set(holdings.flatMap((held) => (counts(held.backend) ? held.indices : []))).size
  const leftWithout = ({ name, servers }: Domain) => [name, goodAt((backend) => !servers.has(backend))] as const
  const own = spreadOf(holdings.map(({ indices }) => indices))
  return {
    id,
    k: coding?.k ?? 0,
    n: coding?.n ?? 0,
    goodShares: coding ? goodAt(() => true) : 0,
    leftWithout: new Map(coding ? domains.map(leftWithout) : []),
    distinctServers: own.filter((index) => index !== undefined).length,
    corrupt: corrupt.map(({ backend, index }) => `${backend.id}/${index}`),
    inconsistent: false,
    placed: 0,
    silent: new Map(asked.flatMap(({ backend, silence }) => (silence === undefined ? [] : [[backend.id, silence]]))),
    vacant: asked.flatMap(({ backend, silence }, i) =>
      silence === undefined && own[i] === undefined ? [backend.id] : [],
    ),
    refused: [],
  }
}

/** A chunk for messages: the first letters of its id. */
export function shortId(id: ChunkId): string {
  return toHex(id).slice(0, 16)
}
