/**
 * What one server says of registers that are watched: asked by one request for all of them, again and again. It may say what it likes: its
 * word only makes its hearer look. A server whose words lead to nothing is asked ever more rarely, so that a liar cannot keep a
 * client busy.
 */
import { type Env, equal, isHoldfastError } from "@holdfast/core"
import { type Backend, type RegisterId, readHashes, registersPerWait } from "@holdfast/protocol"
import { type Activity, quietSleep, unlessAborted } from "./activity.ts"
import { Changes } from "./changes.ts"

/** The hash of the value that a server says to hold, if any; "refused" when it does not let itself be asked. */
export type Word = Uint8Array | undefined | "refused"

/** A register as it is watched at one server. */
export interface WatchedThere {
  /**
   * Says what came of the last word: it was of a value that had to be told, or of nothing. Until then the server is not asked for this
   * register.
   */
  judged(isGood: boolean): void
  stop(): void
}

interface Entry {
  readonly id: RegisterId
  hash: Uint8Array | undefined
  readonly onWord: (word: Word) => void
  /** A word was given and not judged yet. */
  isOpen: boolean
}

/** What a watch of servers stands on. */
export interface ServerWatchDeps {
  readonly env: Env
  readonly activity: Activity
}

/** Pauses after a failure, and after a word that led to nothing: the first and the longest. */
const failurePause = { firstMs: 1_000, longestMs: 15_000 }
const falsePause = { firstMs: 250, longestMs: 30_000 }
/** A server that answers sooner, and nothing new, does not wait: it is looked at now and then. */
const waitedMs = 1_000
/** Judgements are waited for so long, so that one request asks for all again. */
const judgementMs = 1_000
/** What says that the server will not be asked, rather than that it is away. */
const refusals = new Set<string>(["ERR_REFUSED", "ERR_MOVED"])

/** At most `registersPerWait` registers at one server. */
class ServerWatch {
  readonly #deps: ServerWatchDeps
  readonly #backend: Backend
  readonly #entries = new Set<Entry>()
  readonly #changes = new Changes()
  /** Of the loop that asks while there is something to ask for. */
  #run: AbortController | undefined
  /** Of the request under way. */
  #asking: AbortController | undefined
  #failures = 0
  #falseWords = 0
  /** So long it is not asked, for false words. */
  #leftAloneMs = 0

  constructor(backend: Backend, deps: ServerWatchDeps) {
    this.#backend = backend
    this.#deps = deps
  }

  get hasRoom(): boolean {
    return this.#entries.size < registersPerWait
  }

  /** Watches a register, of which a value with this hash is known. */
  watch(id: RegisterId, hash: Uint8Array | undefined, onWord: (word: Word) => void): WatchedThere {
    const entry: Entry = { id, hash, onWord, isOpen: false }
    this.#entries.add(entry)
    this.#askAnew()
    return {
      judged: (isGood) => {
        this.#falseWords = isGood ? 0 : this.#falseWords + 1
        this.#leftAloneMs = isGood ? 0 : pauseOf(falsePause, this.#falseWords)
        entry.isOpen = false
        this.#changes.notify()
        this.#asking?.abort()
      },
      stop: () => {
        this.#entries.delete(entry)
        this.#changes.notify()
        if (this.#entries.size > 0) return
        this.#run?.abort()
        this.#asking?.abort()
      },
    }
  }

  /** Asks for what is watched now, in place of what was asked for. */
  #askAnew(): void {
    this.#asking?.abort()
    this.#changes.notify()
    if (this.#run && !this.#run.signal.aborted) return
    const run = new AbortController()
    this.#run = run
    void this.#askAll(run.signal)
  }

  async #askAll(ended: AbortSignal): Promise<void> {
    const isOver = () => ended.aborted
    await Promise.resolve() // those that begin together are asked for together
    while (!isOver()) {
      const leftAloneMs = this.#leftAloneMs
      this.#leftAloneMs = 0
      if (leftAloneMs > 0) await quietSleep(this.#deps.env, leftAloneMs, ended)
      if (isOver()) return
      const asked = [...this.#entries].filter(({ isOpen }) => !isOpen)
      if (asked.length === 0) await this.#changes.until(() => isOver() || this.#hasClosed())
      else await this.#ask(asked, ended)
    }
  }

  #hasClosed(): boolean {
    return [...this.#entries].some(({ isOpen }) => !isOpen)
  }

  async #ask(asked: readonly Entry[], ended: AbortSignal): Promise<void> {
    const { env, activity } = this.#deps
    const stop = new AbortController()
    this.#asking = stop
    const startMs = env.clock.nowMs()
    // Not every place heeds the signal at once, and others are to be asked for meanwhile.
    const asking = unlessAborted(this.#hashes(asked, stop.signal), stop.signal)
    const words = await asking.catch((error: unknown) => ({ error }))
    if (this.#asking === stop) this.#asking = undefined
    if (ended.aborted || !words) return
    if ("error" in words) {
      if (stop.signal.aborted) return
      if (isHoldfastError(words.error) && refusals.has(words.error.code))
        for (const entry of asked) this.#tell(entry, "refused")
      return quietSleep(env, pauseOf(failurePause, ++this.#failures), ended)
    }
    this.#failures = 0
    const news = asked.filter((entry, i) => isOther(entry.hash, words[i]))
    for (const [i, entry] of asked.entries()) if (news.includes(entry)) this.#tell(entry, words[i])
    if (news.length > 0) return this.#judgement(news, ended)
    if (env.clock.nowMs() - startMs < waitedMs) await activity.pause(ended)
  }

  #hashes(asked: readonly Entry[], signal: AbortSignal): Promise<readonly (Uint8Array | undefined)[]> {
    const watched = asked.map(({ id, hash }) => (hash ? { id, hash } : { id }))
    if (this.#backend.watchRegisters) return this.#backend.watchRegisters(watched, { signal })
    return readHashes(this.#backend, watched, { signal })
  }

  #tell(entry: Entry, word: Word): void {
    if (word !== "refused") entry.hash = word
    entry.isOpen = true
    if (this.#entries.has(entry)) entry.onWord(word)
  }

  /** Waits for what becomes of words, but not for those who take long. */
  async #judgement(news: readonly Entry[], ended: AbortSignal): Promise<void> {
    const { env } = this.#deps
    const isJudged = () => ended.aborted || news.every((entry) => !entry.isOpen || !this.#entries.has(entry))
    await this.#changes.until(isJudged, { clock: env.clock, graceMs: judgementMs })
  }
}

/** The watch of one server, however many registers. */
export class ServerWatches {
  readonly backend: Backend
  readonly #deps: ServerWatchDeps
  readonly #parts: ServerWatch[] = []

  constructor(backend: Backend, deps: ServerWatchDeps) {
    this.backend = backend
    this.#deps = deps
  }

  /** As `ServerWatch.watch`. */
  watch(...args: Parameters<ServerWatch["watch"]>): WatchedThere {
    const part = this.#parts.find(({ hasRoom }) => hasRoom) ?? new ServerWatch(this.backend, this.#deps)
    if (!this.#parts.includes(part)) this.#parts.push(part)
    return part.watch(...args)
  }
}

function isOther(known: Uint8Array | undefined, said: Uint8Array | undefined): boolean {
  return known && said ? !equal(known, said) : known !== said
}

function pauseOf({ firstMs, longestMs }: { readonly firstMs: number; readonly longestMs: number }, times: number) {
  return Math.min(longestMs, firstMs * 2 ** (times - 1))
}
