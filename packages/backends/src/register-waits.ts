/**
 * Who waits for registers of a place to change. Whatever changes one, in this process, wakes them: nothing is asked for again and again.
 * However many wait for one register, and however often they come back, it is read and hashed once for each change: a request of 4 KB
 * may name 64 values of 96 KiB.
 */
import { type CryptoProvider, equal } from "@holdfast/core"
import { hashRegisterValue, type WatchedRegister } from "@holdfast/protocol"

/** What waiting works with. */
export interface WaitsOptions {
  readonly crypto: CryptoProvider
  /** The value held of the register that `key` names. */
  readonly read: (key: string) => Uint8Array | undefined
  /** Lets others have their turn while many are woken, or much is hashed. */
  readonly turn?: () => Promise<void>
  /** Of so many registers that nobody waits for just now the hash is remembered; 0 unless told. Every change must be told then. */
  readonly mostIdle?: number
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
  /** What it costs to ask for it again; what is not there costs nothing. */
  isThere: boolean
  readonly waiting: Set<Waiter>
}

/** Woken, and hashed, one after another without a turn for others. */
const wokenAtOnce = 64
const hashedAtOnce = 4

/** The waiting of one place. */
export class RegisterWaits {
  readonly #options: WaitsOptions
  readonly #entries = new Map<string, Entry>()
  /** Of those that nobody waits for, who was left last at the end. */
  readonly #idle = new Map<string, Entry>()
  readonly #closed = new AbortController()

  constructor(options: WaitsOptions) {
    this.#options = options
  }

  /** How many registers are waited for, or remembered. */
  get size(): number {
    return this.#entries.size + this.#idle.size
  }

  /** Another value is held of a register, or none any more. */
  changed(key: string): void {
    this.#idle.delete(key)
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
        const hashes = await this.#hashes(registers, entries)
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
    const entry = this.#entries.get(key) ??
      this.#idle.get(key) ?? { held: undefined, isThere: false, waiting: new Set() }
    this.#idle.delete(key)
    this.#entries.set(key, entry)
    entry.waiting.add(waiter)
    return entry
  }

  #leave(key: string, waiter: Waiter): void {
    const entry = this.#entries.get(key)
    if (!entry?.waiting.delete(waiter) || entry.waiting.size > 0) return
    this.#entries.delete(key)
    if (!entry.held || !entry.isThere) return
    this.#idle.set(key, entry)
    for (const oldest of this.#idle.keys()) {
      if (this.#idle.size <= (this.#options.mostIdle ?? 0)) break
      this.#idle.delete(oldest)
    }
  }

  async #hashes(registers: readonly Awaited[], entries: readonly Entry[]): Promise<(Uint8Array | undefined)[]> {
    const hashes: Promise<Uint8Array | undefined>[] = []
    let hashed = 0
    for (const [i, { key }] of registers.entries()) {
      if (!entries[i]!.held && ++hashed % hashedAtOnce === 0) {
        await Promise.all(hashes)
        await this.#options.turn?.()
      }
      hashes.push(this.#hash(key, entries[i]!))
    }
    return Promise.all(hashes)
  }

  #hash(key: string, entry: Entry): Promise<Uint8Array | undefined> {
    if (entry.held) return entry.held
    const held = this.#hashOf(key)
    entry.held = held
    held.then(
      (hash) => {
        entry.isThere = hash !== undefined
      },
      () => {
        if (entry.held === held) entry.held = undefined // the next to ask tries again
      },
    )
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
