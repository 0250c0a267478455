/** Looking after stored chunks without their keys: health and repair. */
import { toHex } from "@holdfast/core"
import { type Backend, type ChunkId, decodeShare, isNewerShare } from "@holdfast/protocol"
import type { Answer } from "./answers.ts"
import { codingOf, goodShare, type HealthDeps, type Holding, holdingsOf, place } from "./chunk-holdings.ts"
import { overDomains } from "./domains.ts"
import type { Ranking } from "./ranking.ts"
import { spreadOf } from "./spread.ts"
import type { ChunkHealth } from "./types.ts"

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

/** A share of a version that is not known here says no more of a chunk than a server that is away. */
const newer = "it holds shares that need a newer Holdfast"

/**
 * Health of chunk `id` over `ranked` servers, the best place first; repairs it when asked to. Servers that come late are asked only while
 * something is missing, and all of them only when the chunk would be lost without: what it costs does not grow with their number.
 */
export async function checkChunk(
  deps: HealthDeps,
  id: ChunkId,
  ranked: Ranking<Backend>,
  options: CheckOptions = {},
): Promise<ChunkHealth> {
  const isRead = options.verify === true || options.repair === true
  const found = await find(deps, id, ranked, { isRead })
  if (!isRead && found.coding) return summary(deps, id, found)
  if (!isRead) {
    const read = await verifyHoldings(deps, id, found.holdings) // it is lost, or cannot be understood
    giveBack(deps, [...read.shares.values(), ...read.rest])
    return summary(deps, id, found, read.holdings)
  }
  return lookAt(deps, id, found, options)
}

/** Health of a chunk of which all shares that were found were read, and are given back; repairs it when asked to. */
async function lookAt(deps: HealthDeps, id: ChunkId, found: Found, options: CheckOptions): Promise<ChunkHealth> {
  const { coding, shares } = found
  if (!coding || shares.size < coding.k) {
    giveBack(deps, [...shares.values(), ...found.rest])
    return summary(deps, id, found)
  }
  const plan = options.repair ? planOf(deps, id, found, options) : undefined
  const isDry = options.dryRun === true
  const wanted = plan && !isDry && plan.open.length > 0 ? plan.wanted : []
  // What is made from some shares of a chunk that has no one content contradicts the others: nothing is made then.
  const { shares: read, made, memory } = await deps.pipeline.rebuild([...shares.values()], wanted)
  giveBack(deps, [...read, ...found.rest])
  const inconsistent = made === undefined
  const isPlaced = plan && !isDry && !inconsistent
  const { placed, refused } = isPlaced ? await placeMissing(deps, id, found, { plan, made }) : nothingPlaced
  deps.buffers.give(memory) // a put that failed has ended: nothing of it is being sent any more
  const likely = plan && isDry && !inconsistent ? Math.min(plan.wanted.length, plan.answering) : placed
  return { ...summary(deps, id, found), placed: likely, refused, inconsistent }
}

function giveBack({ buffers }: HealthDeps, shares: Iterable<Uint8Array>): void {
  for (const bytes of shares) buffers.give(bytes)
}

interface DamagedShare {
  readonly backend: Backend
  readonly index: number
}

/** What was found of a chunk. */
interface Found {
  /** Of the servers that were asked, in their order; where shares were read, with the indices of good ones. */
  readonly holdings: readonly Holding[]
  /** Good shares, encoded, by their indices, where they were read. */
  readonly shares: ReadonlyMap<number, Uint8Array>
  readonly corrupt: readonly DamagedShare[]
  /** What else servers gave: bad shares, and second ones. */
  readonly rest: readonly Uint8Array[]
  /** Undefined when no server told it. */
  readonly coding?: { readonly k: number; readonly n: number } | undefined
}

/** Asks the servers that are to have shares; others near them only when a share is missing, and all when it cannot be read else. */
async function find(
  deps: HealthDeps,
  id: ChunkId,
  ranked: Ranking<Backend>,
  { isRead }: { readonly isRead: boolean },
): Promise<Found> {
  let found: Found = { holdings: [], shares: new Map(), corrupt: [], rest: [] }
  const ask = async (servers: readonly Backend[]): Promise<void> => {
    const claimed = await holdingsOf(id, servers.slice(found.holdings.length))
    const more: Found = isRead
      ? await verifyHoldings(deps, id, claimed)
      : { holdings: claimed, shares: new Map(), corrupt: [], rest: [] }
    const again = [...more.shares].flatMap(([index, bytes]) => (found.shares.has(index) ? [bytes] : []))
    const shares = new Map([...more.shares, ...found.shares])
    const [first] = shares.values()
    found = {
      holdings: [...found.holdings, ...more.holdings],
      shares,
      corrupt: [...found.corrupt, ...more.corrupt],
      rest: [...found.rest, ...more.rest, ...again],
      coding: isRead ? first && decodeShare(first).descriptor : (found.coding ?? (await codingOf(deps, id, claimed))),
    }
  }
  await ask(ranked.around(deps.usualShares))
  const { coding, holdings } = found
  const all = Math.min(coding?.n ?? Number.POSITIVE_INFINITY, ranked.length)
  if (holdings.length === ranked.length || distinctServers(holdings) >= all) return found
  await ask(ranked.nearby(coding?.n ?? deps.usualShares))
  const isReadable = found.coding && indicesAt(found.holdings).size >= found.coding.k
  if (!isReadable && found.holdings.length < ranked.length) await ask(ranked.first(ranked.length))
  return found
}

async function verifyHoldings(deps: HealthDeps, id: ChunkId, claimed: readonly Holding[]): Promise<Found> {
  const shares = new Map<number, Uint8Array>()
  const corrupt: DamagedShare[] = []
  const rest: Uint8Array[] = []
  const verify = async ({ backend, indices, ...claim }: Holding): Promise<Holding> => {
    const good: number[] = []
    let { silence } = claim
    const queries = indices.map((index) => ({ id, index }))
    const answers = await deps.line.shares(backend, queries).catch(() => [])
    for (const [position, index] of indices.entries()) {
      const answer = answers[position]
      const share = answer && (await deps.pipeline.check(id, answer))
      if (share?.isGood && decodeShare(share.bytes).index === index) {
        good.push(index)
        if (shares.has(index)) rest.push(share.bytes)
        else shares.set(index, share.bytes)
        continue
      }
      if (share) rest.push(share.bytes)
      if (share && (await isNewerShare(deps.crypto, share.bytes))) silence = newer
      else corrupt.push({ backend, index })
    }
    return { backend, indices: good, ...(silence !== undefined && { silence }) }
  }
  const holdings = await Promise.all(claimed.map(verify))
  return { holdings, shares, corrupt, rest }
}

type Placed = Pick<ChunkHealth, "placed" | "refused">

const nothingPlaced: Placed = { placed: 0, refused: [] }

/** What a repair puts where. */
interface Plan {
  /** Indices of shares that have no server of their own. */
  readonly wanted: readonly number[]
  /** Servers without a share of their own that may be sent one. */
  readonly open: readonly Backend[]
  /** How many of these answered. */
  readonly answering: number
  /** Those that have a share of their own. */
  readonly holders: readonly Backend[]
}

/** What is to be put where, of a chunk that can be read. */
function planOf(
  { batch, doubted }: HealthDeps,
  id: ChunkId,
  { holdings, coding }: Found,
  { avoid = new Set() }: Pick<CheckOptions, "avoid">,
): Plan {
  const counts = (backend: Backend, index: number) =>
    doubted === undefined || (!doubted.has(backend) && batch.has(id, backend, index))
  const own = spreadOf(holdings.map(({ backend, indices }) => indices.filter((index) => counts(backend, index))))
  const open = holdings.filter(({ backend }, server) => own[server] === undefined && !avoid.has(backend.id))
  return {
    wanted: Array.from({ length: coding!.n }, (_, index) => index).filter((index) => !own.includes(index)),
    open: open.map(({ backend }) => backend),
    answering: open.filter(({ silence }) => silence === undefined).length,
    holders: holdings.filter((_, server) => own[server] !== undefined).map(({ backend }) => backend),
  }
}

/** Puts each share that has no server of its own, made anew, on one that has no share of its own. */
async function placeMissing(
  deps: HealthDeps,
  id: ChunkId,
  { holdings, corrupt }: Found,
  { plan, made }: { readonly plan: Plan; readonly made: readonly Uint8Array[] },
): Promise<Placed> {
  const { doubted } = deps
  const holders = [...plan.holders]
  // Empty servers come first; then those whose share another has too; who did not keep its word comes last.
  const isEmpty = (backend: Backend) => holdings.some((held) => held.backend === backend && held.indices.length === 0)
  const late = plan.open.filter((backend) => doubted?.has(backend))
  const good = plan.open.filter((backend) => !doubted?.has(backend))
  const places = [good.filter(isEmpty), good.filter((backend) => !isEmpty(backend)), [...late]]
  // What is there and does not count yet is put where it is.
  const uncounted = holdings.flatMap(({ backend, indices }) =>
    good.includes(backend) ? indices.map((index) => ({ backend, index })) : [],
  )
  const replaced = [...corrupt.filter(({ backend }) => !late.includes(backend)), ...uncounted]
  // Who gave nothing good before is believed when it gives what it took: a liar would take every share of a chunk for ever.
  const isSuspect = (target: Backend) => corrupt.some(({ backend }) => backend === target)
  let placed = 0
  const refused: Answer[] = []
  for (const bytes of made) {
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

/** What was found, in figures; `asked` tells of silence where that shows only when shares are read. */
function summary(
  { domainsOf }: Pick<HealthDeps, "domainsOf">,
  id: ChunkId,
  { coding, holdings, corrupt }: Found,
  asked = holdings,
): ChunkHealth {
  const own = ownShares(holdings)
  const domains = new Set(
    coding ? holdings.flatMap((held) => (held.indices.length > 0 ? domainsOf(held.backend) : [])) : [],
  )
  const leftWithout = (name: string) =>
    [name, indicesAt(holdings.filter(({ backend }) => !domainsOf(backend).includes(name))).size] as const
  return {
    id,
    k: coding?.k ?? 0,
    n: coding?.n ?? 0,
    goodShares: coding ? indicesAt(holdings).size : 0,
    leftWithout: new Map([...domains].map(leftWithout)),
    distinctServers: distinctServers(holdings),
    corrupt: corrupt.map(({ backend, index }) => `${backend.id}/${index}`),
    inconsistent: false,
    placed: 0,
    answering: asked.flatMap(({ backend, silence }) => (silence === undefined ? [backend.id] : [])),
    silent: new Map(asked.flatMap(({ backend, silence }) => (silence === undefined ? [] : [[backend.id, silence]]))),
    vacant: asked.flatMap(({ backend, silence }, i) =>
      silence === undefined && own[i] === undefined ? [backend.id] : [],
    ),
    refused: [],
  }
}

/** Distinct shares that servers hold. */
function indicesAt(holdings: readonly Holding[]): Set<number> {
  return new Set(holdings.flatMap(({ indices }) => indices))
}

/** For each server the share that counts for it alone. */
function ownShares(holdings: readonly Holding[]): (number | undefined)[] {
  return spreadOf(holdings.map(({ indices }) => indices))
}

function distinctServers(holdings: readonly Holding[]): number {
  return ownShares(holdings).filter((index) => index !== undefined).length
}

/** A chunk for messages: the first letters of its id. */
export function shortId(id: ChunkId): string {
  return toHex(id).slice(0, 16)
}
