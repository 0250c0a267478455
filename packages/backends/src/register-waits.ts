/**
 * Who waits for registers of a place to change. Whatever changes one, in this process, wakes them: nothing is asked for again and again.
 * However many wait for one register, it is read and hashed once for each change.
 */
import { type CryptoProvider, equal } from "@holdfast/core"
import { hashRegisterValue, type WatchedRegister } from "@holdfast/protocol"

/** What waiting works with. */
export interface WaitsOptions {
  readonly crypto: CryptoProvider
  /** The value held of the register that `key` names. */
  readonly read: (key: string) => Uint8Array | undefined
  /** Lets others have their turn while many are woken. */
  readonly turn?: () => Promise<void>
}

/** A register that is waited for. */
export interface Awaited extends Pick<WatchedRegister, "hash"> {
  /** Its name within the place. */
  readonly key: string
}

/** When waiting ends without a change. */
export interface WaitEnd {
  /** Rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Answers what is held when it aborts. */
  readonly until?: AbortSignal | undefined
}

interface Entry {
  /** The hash of what is held, as far as it was asked for since the last change. */
  held: Promise<Uint8Array | undefined> | undefined
  readonly waiting: Set<Waiter>
}

/** Woken one after another without a turn for others. */
const wokenAtOnce = 64

/** The waiting of one place. */
export class RegisterWaits {
  readonly #options: WaitsOptions
  readonly #entries = new Map<string, Entry>()
  readonly #closed = new AbortController()

  constructor(options: WaitsOptions) {
    this.#options = options
  }

  /** How many registers are waited for. */
  get size(): number {
    return this.#entries.size
  }

  /** Another value is held of a register, or none any more. */
  changed(key: string): void {
    const entry = this.#entries.get(key)
    if (!entry) return
    entry.held = undefined
    void this.#wake([...entry.waiting])
  }

  /** Hashes of what is held, as soon as one is another than the waiter knows. Throws the signal's reason, and why it was closed. */
  async wait(
    registers: readonly Awaited[],
    { signal, until }: WaitEnd = {},
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const waiter = new Waiter([this.#closed.signal, signal, until])
    const entries = registers.map(({ key }) => this.#enter(key, waiter))
    try {
      for (;;) {
        this.#closed.signal.throwIfAborted()
        signal?.throwIfAborted()
        const { change } = waiter // from before it is read, so that none is missed
        const hashes = await Promise.all(registers.map(({ key }, i) => this.#hash(key, entries[i]!)))
        if (until?.aborted || registers.some(({ hash }, i) => isOther(hash, hashes[i]))) return hashes
        await change
      }
    } finally {
      waiter.leave()
      for (const { key } of registers) this.#leave(key, waiter)
    }
  }

  /** Ends all waiting with `reason`. */
  close(reason: unknown): void {
    this.#closed.abort(reason)
  }

  #enter(key: string, waiter: Waiter): Entry {
    const entry = this.#entries.get(key) ?? { held: undefined, waiting: new Set() }
    this.#entries.set(key, entry)
    entry.waiting.add(waiter)
    return entry
  }

  #leave(key: string, waiter: Waiter): void {
    const entry = this.#entries.get(key)
    if (entry?.waiting.delete(waiter) && entry.waiting.size === 0) this.#entries.delete(key)
  }

  #hash(key: string, entry: Entry): Promise<Uint8Array | undefined> {
    if (entry.held) return entry.held
    const held = this.#hashOf(key)
    entry.held = held
    held.catch(() => {
      if (entry.held === held) entry.held = undefined // the next to ask tries again
    })
    return held
  }

  async #hashOf(key: string): Promise<Uint8Array | undefined> {
    const value = this.#options.read(key)
    return value && hashRegisterValue(this.#options.crypto, value)
  }

  async #wake(waiters: readonly Waiter[]): Promise<void> {
    for (const [i, waiter] of waiters.entries()) {
      if (i > 0 && i % wokenAtOnce === 0) await this.#options.turn?.()
      waiter.wake()
    }
  }
}

/** One who waits, for registers and for the ends of its waiting. */
class Waiter {
  #next = Promise.withResolvers<void>()
  readonly #ends: readonly AbortSignal[]

  constructor(ends: readonly (AbortSignal | undefined)[]) {
    this.#ends = ends.filter((end) => end !== undefined)
    for (const end of this.#ends) end.addEventListener("abort", this.wake)
  }

  /** Resolves at the next change or end. */
  get change(): Promise<void> {
    return this.#next.promise
  }

  readonly wake = (): void => {
    this.#next.resolve()
    this.#next = Promise.withResolvers()
  }

  leave(): void {
    for (const end of this.#ends) end.removeEventListener("abort", this.wake)
  }
}

function isOther(known: Uint8Array | undefined, held: Uint8Array | undefined): boolean {
  return known && held ? !equal(known, held) : known !== held
}
