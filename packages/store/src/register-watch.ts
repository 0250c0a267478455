/**
 * Tells of each new version of a register. All servers of registers are asked to say when theirs changes; whatever one says is only a
 * reason to read by quorum, and what that gives is told once. So one honest server that hears of a version is enough to be told of it,
 * and no
 * server can make anybody believe in one. Specification: docs/formats/register.md, section Watching.
 */
import { type Env, equal, fromHex, isHoldfastError } from "@holdfast/core"
import { type Backend, compareOrder, type RegisterId, type RegisterOrder } from "@holdfast/protocol"
import { Activity, quietSleep, unlessAborted } from "./activity.ts"
import { Changes } from "./changes.ts"
import type { HeldValue } from "./register-quorum.ts"
import { ServerWatches, type WatchedThere, type Word } from "./server-watch.ts"
import type { WatchOptions } from "./types.ts"

/** Pauses before a read without a quorum is tried again: the first and the longest. */
const firstPauseMs = 500
const longestPauseMs = 5_000

/** The servers as they are watched, for all registers of a store. */
export class Watches {
  readonly activity: Activity
  readonly env: Env
  readonly #closed = new AbortController()
  readonly #followers = new Set<() => void>()
  #servers: readonly ServerWatches[] = []

  constructor(env: Env, backends: readonly Backend[], activity = new Activity(env)) {
    this.env = env
    this.activity = activity
    this.follow(backends)
  }

  get servers(): readonly ServerWatches[] {
    return this.#servers
  }

  /** From now on these are asked; of those that stay nothing is asked anew. */
  follow(backends: readonly Backend[]): void {
    const { env, activity } = this
    const known = new Map(this.#servers.map((server) => [server.backend, server]))
    this.#servers = backends.map((backend) => known.get(backend) ?? new ServerWatches(backend, { env, activity }))
    for (const follower of this.#followers) follower()
  }

  /** Calls `follower` whenever other servers are asked; what is returned ends that. */
  onServers(follower: () => void): () => void {
    this.#followers.add(follower)
    return () => void this.#followers.delete(follower)
  }

  /** Aborts when all watching is to end. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** Ends all watching. */
  close(): void {
    this.#closed.abort()
  }
}

/** A register to watch. */
export interface Watched {
  readonly id: RegisterId
  /** The newest values, read by quorum and judged; none when there are none. */
  readonly read: () => Promise<readonly HeldValue[]>
}

/**
 * The newest values now, if there are any, and each time that there are newer ones. Ends with the signal or the watches; throws what
 * reading throws but ERR_NO_QUORUM, after which it is tried again.
 */
export async function* watchValues(
  watches: Watches,
  { id, read }: Watched,
  { signal, onFailure }: WatchOptions = {},
): AsyncGenerator<readonly HeldValue[], void, void> {
  const ending = new AbortController()
  const end = () => ending.abort()
  const ends = [watches.closed, ...(signal ? [signal] : [])]
  for (const one of ends) one.addEventListener("abort", end)
  if (ends.some(({ aborted }) => aborted)) end()
  const hearing = new Hearing(id)
  let unfollow = () => {}
  ending.signal.addEventListener("abort", () => hearing.changes.notify())
  const readAgain = () => untilRead(watches.env, read, { signal: ending.signal, onFailure })
  try {
    watches.activity.touch() // whoever begins to watch wants to hear soon
    const first = await readAgain()
    if (!first) return
    hearing.begin(watches.servers, first)
    unfollow = watches.onServers(() => hearing.follow(watches.servers))
    if (first.length > 0) yield first
    for (;;) {
      await hearing.changes.until(() => hearing.hasWords || ending.signal.aborted)
      if (ending.signal.aborted) return
      if (!hearing.judgeKnown()) continue
      const heard = hearing.heard()
      const values = await readAgain()
      if (!values) return
      const isNew = hearing.judge(heard, values)
      if (!isNew) continue
      watches.activity.touch()
      yield values
    }
  } finally {
    unfollow()
    hearing.end()
    for (const one of ends) one.removeEventListener("abort", end)
  }
}

/** One server of a watch. */
interface Speaker {
  readonly server: ServerWatches
  readonly there: WatchedThere
  /** What it said last, until that is judged. */
  word: { readonly hash: Word } | undefined
  /** It has said what is told now: once that is to its credit. */
  hasSaid: boolean
}

/** What is told, and what servers say beside it. */
class Hearing {
  readonly changes = new Changes()
  readonly #id: RegisterId
  #speakers: readonly Speaker[] = []
  #order: RegisterOrder = { epoch: 0, sequence: 0 }
  #hashes: Uint8Array[] = []

  constructor(id: RegisterId) {
    this.#id = id
  }

  get hasWords(): boolean {
    return this.#speakers.some(({ word }) => word)
  }

  /** Asks all servers for what differs from `values`. */
  begin(servers: readonly ServerWatches[], values: readonly HeldValue[]): void {
    this.#take(values)
    this.follow(servers)
  }

  /** Asks these servers from now on. */
  follow(servers: readonly ServerWatches[]): void {
    for (const { server, there } of this.#speakers) if (!servers.includes(server)) there.stop()
    this.#speakers = servers.map((server) => this.#speakers.find((one) => one.server === server) ?? this.#ask(server))
  }

  #ask(server: ServerWatches): Speaker {
    const speaker: Speaker = {
      server,
      there: server.watch(this.#id, this.#hashes[0], (hash) => {
        speaker.word = { hash }
        this.changes.notify()
      }),
      word: undefined,
      hasSaid: false,
    }
    return speaker
  }

  /** Judges the words that say what is told already; true when others are left. */
  judgeKnown(): boolean {
    for (const speaker of this.#speakers) if (speaker.word && this.#isTold(speaker.word.hash)) this.#judge(speaker)
    return this.hasWords
  }

  /** Who has said something. */
  heard(): readonly Speaker[] {
    return this.#speakers.filter(({ word }) => word)
  }

  /** Judges what was heard before `values` were read; true when they are new. */
  judge(heard: readonly Speaker[], values: readonly HeldValue[]): boolean {
    const isNew = this.#take(values)
    for (const speaker of heard) this.#judge(speaker)
    return isNew
  }

  end(): void {
    for (const { there } of this.#speakers) there.stop()
  }

  #judge(speaker: Speaker): void {
    const isGood = this.#isTold(speaker.word?.hash) && !speaker.hasSaid
    if (isGood) speaker.hasSaid = true
    speaker.word = undefined
    speaker.there.judged(isGood)
  }

  #isTold(word: Word): boolean {
    return word instanceof Uint8Array && this.#hashes.some((hash) => equal(hash, word))
  }

  /** Takes values down as told; false when they were, or are older. */
  #take(values: readonly HeldValue[]): boolean {
    const [first] = values
    if (!first) return false
    const step = compareOrder(first.value, this.#order)
    const hashes = values.map(({ hash }) => fromHex(hash))
    const isNew = step > 0 || (step === 0 && hashes.some((hash) => !this.#isTold(hash)))
    if (!isNew) return false
    this.#order = first.value
    this.#hashes = step > 0 ? hashes : [...this.#hashes, ...hashes.filter((hash) => !this.#isTold(hash))]
    for (const speaker of this.#speakers) speaker.hasSaid = false
    return true
  }
}

/** Reads until a quorum answers; undefined when the signal aborts first. */
async function untilRead(
  env: Env,
  read: Watched["read"],
  { signal, onFailure }: { readonly signal: AbortSignal; readonly onFailure: WatchOptions["onFailure"] },
): Promise<readonly HeldValue[] | undefined> {
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(longestPauseMs, 2 * pauseMs))
    try {
      return await unlessAborted(read(), signal)
    } catch (error) {
      if (signal.aborted) return undefined
      if (!isHoldfastError(error, "ERR_NO_QUORUM")) throw error
      onFailure?.(error)
      await quietSleep(env, pauseMs, signal)
    }
  return undefined
}
