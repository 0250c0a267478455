/**
 * Collection: an account takes away its own marks of what none of its roots needs. The order of steps is what makes it safe,
 * with any clock: a token of each place, then what is needed, then the marks that are missing, then the orders. Nothing is
 * taken away at a place that gave no token or did not itself say what it holds. Specification: docs/protocols/marks.md.
 */
import { assert, compare, concat, type Env, equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import { type Backend, type ChunkId, type RegisterValue, rankOf, registerIdOf, verifyKeyOf } from "@holdfast/protocol"
import { type Answer, answerOf, refusedByServers } from "./answers.ts"
import { adopt, adoptRegisters, missingAt, type Refusal, settle } from "./collect-adopt.ts"
import { listGarbage, type Tally } from "./collect-list.ts"
import { type Collected, type Collector, type Trim, unmarkGarbage } from "./collect-unmark.ts"
import type { IdSet } from "./id-set.ts"
import { decodeHeld } from "./register-quorum.ts"
import { type OpenedCare, type OpenedParts, openCare, openParts } from "./register-seal.ts"
import type { CareKeys, Levels, RegisterId, RegisterKeys } from "./types.ts"

/** A value that a place itself holds of a register, its care opened. */
export interface OwnValue {
  /** Where it stands among the values of its register (`rankOf`). */
  readonly sequence: number
  /** Absent when the keys do not open it: behind a newer value nobody can ever read what it might need. */
  readonly care?: Uint8Array
  /** When the keys open it. */
  readonly content?: Uint8Array
  /** Where its history lies: chunks that must be kept with it. */
  readonly levels?: Levels
  /** When the place took it, by its own clock. */
  readonly receivedMs: number
}

/** What to mark. */
export interface AdoptOptions {
  /** Chunks that the account needs anywhere. */
  readonly live: IdSet
  /** Registers that the account needs. */
  readonly registers: IdSet
  /** The register of the account's list, which every place of registers holds: with its value marks are made certain. */
  readonly list?: RegisterId
}

/** What to keep. */
export interface CollectOptions extends AdoptOptions {
  /** Who gives the orders. */
  readonly collector: Collector
  /** Chunks that are needed at one place besides, as it holds other values of registers; by place. */
  readonly liveAt?: ReadonlyMap<string, IdSet>
  /** Values no longer kept, by place. */
  readonly trims?: ReadonlyMap<string, readonly Trim[]>
  /** Marks younger than this stay; each place has a minimum of its own. */
  readonly graceMs: number
  /** Only tells how much it would be at most. */
  readonly dryRun?: boolean
}

/** What a collection stands on. */
export interface CollectDeps {
  readonly env: Env
  readonly backends: readonly Backend[]
  /** Those of them that keep shares. */
  readonly holders: ReadonlySet<Backend>
  readonly coding: { readonly n: number }
}

/** A collection that has begun: what is marked from now on stays, whatever it decides. */
export interface Collection {
  /** Why places take no part, by their ids. */
  readonly leftOut: ReadonlyMap<string, string>
  /** Why places do not hold for the account all that it needs, by their ids: another account's marks alone keep it there. */
  readonly refused: ReadonlyMap<string, Refusal>
  /**
   * Every value that each place holds of a register, newest first; empty when it has none. A place that does not say, or
   * says what is no such value, takes no further part.
   */
  ownValues(keys: CareKeys | RegisterKeys): Promise<ReadonlyMap<string, readonly OwnValue[]>>
  /** Takes no marks away at a place. */
  leaveOut(place: string, why: string): void
  /** Takes the marks of chunks away at places that need not hold them any more; gives the shares that went. */
  release(collector: Collector, chunks: ReadonlyMap<string, readonly ChunkId[]>): Promise<number>
  /** Marks what is needed and has no mark of the account, and takes nothing away; how many chunks, by place. */
  adopt(options: AdoptOptions & { readonly dryRun?: boolean }): Promise<ReadonlyMap<string, number>>
  /** Marks what is needed and takes away what is not; results by place. */
  run(options: CollectOptions): Promise<ReadonlyMap<string, Collected>>
}

/** No place honours it. */
const noToken = new Uint8Array()
/** A batch that places say is gone is made anew so often. */
const mostRounds = 2
const notCertain =
  "something that the account needs was about to be deleted there. Look with `holdfast check --deep --repair`, then collect again."

/** How a collection begins. */
export interface BeginOptions {
  /** False for one that takes nothing away: it asks for no tokens, so it writes nothing and any device may begin it. */
  readonly takes?: boolean
}

/** Asks every place for its token. Throws ERR_REFUSED when all refuse: this profile may take nothing away. */
export async function beginCollection(deps: CollectDeps, { takes = true }: BeginOptions = {}): Promise<Collection> {
  const { env, backends, holders, coding } = deps
  const ofShares = <T>(places: readonly (readonly [Backend, T])[]) => places.filter(([backend]) => holders.has(backend))
  const tokens = new Map<Backend, Uint8Array>(takes ? [] : backends.map((backend) => [backend, noToken]))
  const leftOut = new Map<string, string>()
  const refused = new Map<string, Refusal>()
  const onRefused = ({ id }: Backend, refusal: Refusal) => void refused.set(id, refusal)
  const part = () => [...tokens.keys()].filter(({ id }) => !leftOut.has(id))
  /** Does `work` at each place that takes part; one that fails is left out. */
  const each = async <T>(
    work: (backend: Backend) => Promise<T>,
    places: readonly Backend[] = part(),
  ): Promise<Map<Backend, T>> => {
    const results = new Map<Backend, T>()
    await Promise.all(
      places.map((backend) =>
        work(backend).then(
          (result) => void results.set(backend, result),
          (error) => void leftOut.set(backend.id, messageOf(error)),
        ),
      ),
    )
    return results
  }
  if (takes) {
    const answers: Answer[] = []
    const ask = (backend: Backend) =>
      backend.collectToken().catch((error: unknown) => {
        answers.push(answerOf(backend.id, error))
        throw error
      })
    for (const [backend, token] of await each(ask, backends)) tokens.set(backend, token)
    const refused = refusedByServers(answers, { servers: backends.length, needed: 1, reached: tokens.size })
    if (refused) throw refused
  }
  /** Marks what is missing and makes that certain; a place where it is not is left out, and tried again by the next collection. */
  const adoptAll = async ({ live, registers, list }: AdoptOptions, tallies: ReadonlyMap<Backend, Tally>) => {
    const total = new Map<Backend, number>()
    let open = [...tallies]
    for (let round = 0; open.length > 0; round++) {
      const batch = env.crypto.random(16)
      const adopted = await adopt(ofShares(open), { live, batch, n: coding.n, onRefused })
      const settled = await each(
        async (backend) => {
          const added = await adoptRegisters(backend, { tally: tallies.get(backend)!, registers, batch, onRefused })
          const chunks = adopted.get(backend) ?? 0
          const isCertain = chunks + added === 0 || (await settle(backend, list, batch))
          if (isCertain) total.set(backend, chunks)
          return isCertain
        },
        open.map(([backend]) => backend),
      )
      open = open.filter(([backend]) => settled.get(backend) === false)
      if (round < mostRounds) continue
      for (const [{ id }] of open) leftOut.set(id, notCertain)
      break
    }
    return total
  }
  return {
    leftOut,
    refused,
    leaveOut: (place, why) => void leftOut.set(place, why),
    async ownValues(keys) {
      const values = await each((backend) => ownValues(env, backend, keys))
      return new Map([...values].map(([{ id }, own]) => [id, own]))
    },
    async release(collector, chunks) {
      const done = await each((backend) => {
        const garbage = concat(...(chunks.get(backend.id) ?? []).toSorted(compare))
        const order = { collector, token: tokens.get(backend)!, graceMs: 0, trims: [] }
        return unmarkGarbage(backend, { garbage, more: undefined, garbageRegisters: [] }, order)
      })
      return [...done.values()].reduce((sum, { shares }) => sum + shares, 0)
    },
    async adopt({ dryRun = false, ...options }) {
      const { live, registers } = options
      const tallies = await each((backend) => listGarbage(backend, { live, registers, isLive: () => true }))
      const adopted = dryRun ? await missingAt(ofShares([...tallies]), live) : await adoptAll(options, tallies)
      return new Map([...adopted].map(([{ id }, count]) => [id, count]))
    },
    async run(options) {
      const { live, liveAt, registers, dryRun = false } = options
      assert(takes || dryRun, "this collection takes nothing away")
      const isLiveAt =
        ({ id: place }: Backend) =>
        (id: ChunkId) =>
          live.has(id) || liveAt?.get(place)?.has(id) === true
      const tallies: Map<Backend, Tally> = await each((backend) => {
        return listGarbage(backend, { live, registers, isLive: isLiveAt(backend) })
      })
      const adopted = dryRun ? new Map<Backend, number>() : await adoptAll(options, tallies)
      const removed = await each((backend) => {
        const tally = tallies.get(backend)!
        const order = {
          ...options,
          isLive: isLiveAt(backend),
          token: tokens.get(backend)!,
          trims: options.trims?.get(backend.id) ?? [],
        }
        return dryRun ? Promise.resolve(planned(tally)) : unmarkGarbage(backend, tally, order)
      })
      // What went has made room, perhaps.
      const full = [...tallies].filter(([{ id }]) => refused.get(id)?.isQuota)
      for (const [{ id }] of full) refused.delete(id)
      if (full.length > 0)
        for (const [backend, count] of await adoptAll(options, new Map(full)))
          adopted.set(backend, (adopted.get(backend) ?? 0) + count)
      return new Map(
        [...removed].map(([backend, done]) => [backend.id, { ...done, adopted: adopted.get(backend) ?? 0 }]),
      )
    },
  }
}

function planned({ shares, bytes, garbageRegisters }: Tally): Omit<Collected, "adopted"> {
  return { shares, bytes, marks: shares, young: 0, registers: garbageRegisters.length }
}

async function ownValues(env: Env, backend: Backend, keys: CareKeys | RegisterKeys): Promise<OwnValue[]> {
  const id = registerIdOf(keys.publicKey)
  const open = async (value: RegisterValue): Promise<OpenedCare & Partial<OpenedParts>> => {
    if (!("readKey" in keys)) return openCare(env, keys, value)
    return openParts(env, keys, value).catch((error: unknown) => {
      if (!isHoldfastError(error)) throw error
      return openCare(env, { verifyKey: verifyKeyOf(keys.readKey) }, value) // content that is nonsense still needs what its care names
    })
  }
  const all: OwnValue[] = []
  for (let page = await backend.keptValues(id); page.length > 0; ) {
    for (const { bytes, receivedMs } of page) {
      const { value } = await decodeHeld(env.crypto, bytes)
      const sequence = rankOf(value)
      if (!equal(value.publicKey, keys.publicKey) || sequence >= (all.at(-1)?.sequence ?? Number.POSITIVE_INFINITY))
        throw new HoldfastError("ERR_CORRUPT", `${backend.id} gave something else than the values of a register.`)
      // A writer may leave behind a good value what no key opens: that must not keep others from collecting, and trimming it.
      const opened = await open(value).catch((error: unknown) => {
        if (!isHoldfastError(error)) throw error
      })
      const { history, ...rest } = opened ?? {}
      all.push({ sequence, receivedMs, ...rest, ...(history && { levels: history.levels }) })
    }
    page = await backend.keptValues(id, { below: all.at(-1)!.sequence })
  }
  return all
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export type { Collector }
