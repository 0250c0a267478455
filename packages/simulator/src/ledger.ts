/**
 * What a node has acknowledged for each account and was not told, by that account, to give up since. A crash must leave all of
 * it, whatever other nodes hold; and nothing goes that is younger than the least grace, whatever an order says.
 */
import type { TenantBackend } from "@holdfast/backends/directory"
import { type CryptoProvider, fromHex, toHex } from "@holdfast/core"
import {
  type AccountAccess,
  type AccountId,
  type ChunkId,
  decodeRegisterValue,
  decodeShare,
  type MarkOptions,
  type RegisterId,
  registerIdOf,
  type SignedUnmark,
} from "@holdfast/protocol"
import { checkShare } from "@holdfast/store"

/** Where to look for what was acknowledged. */
export interface LedgerSource {
  storedShares(id: ChunkId): Uint8Array[]
  storedRegister(id: RegisterId): Uint8Array | undefined
}

/** When something was marked last, by account. */
type Holders = Map<string, number>

/** For whom, and when at the latest it was not yet marked. */
interface Promised {
  readonly accounts: readonly string[]
  readonly atMs: number
}

/** The specification's, not the product's: docs/protocols/marks.md. */
const leastGraceMs = 3_600_000

/** The clock of a node, which may be set back. */
interface NodeClock {
  nowMs(): number
  /** The latest time that it has shown. */
  readonly latestMs: number
}

/** The promises of one node. */
export class Ledger {
  readonly #crypto: CryptoProvider
  readonly #clock: NodeClock
  /** Holders by share, as `chunk.index`. */
  readonly #shares = new Map<string, Map<number, Holders>>()
  /** Sequences by register. */
  readonly #registers = new Map<string, { sequence: number; readonly holders: Holders }>()
  #newestMs = 0

  constructor(crypto: CryptoProvider, clock: NodeClock) {
    this.#crypto = crypto
    this.#clock = clock
  }

  /** `backend`, taking down what it acknowledges to a caller. */
  watch(backend: TenantBackend, access: AccountAccess): TenantBackend {
    const holdersOf = ({ accounts = [] }: Partial<MarkOptions>) => [access.account, ...accounts].map(toHex)
    return {
      ...backend,
      putShares: async (shares, options) => {
        const atMs = this.#nowMs() // the node's own stamp is later, so what it may take away is younger than we think
        const outcomes = await backend.putShares(shares, options)
        for (const [i, { ok }] of outcomes.entries())
          if (ok) {
            const { id, index } = decodeShare(shares[i]!)
            this.#promise(id, [index], { accounts: holdersOf(options), atMs })
          }
        return outcomes
      },
      markShares: async (ids, options) => {
        const atMs = this.#nowMs()
        const outcomes = await backend.markShares(ids, options)
        for (const [i, outcome] of outcomes.entries())
          if (outcome.ok) this.#promise(ids[i]!, outcome.held, { accounts: holdersOf(options), atMs })
        return outcomes
      },
      unmark: async (order) => {
        const account = toHex(access.account)
        this.#release(account, order)
        const outcome = await backend.unmark(order)
        this.#release(account, order) // what was marked meanwhile may have come before or after
        return outcome
      },
      proposeRegisters: async (values, options = {}) => {
        const atMs = this.#nowMs()
        const outcomes = await backend.proposeRegisters(values, options)
        for (const [i, { accepted }] of outcomes.entries())
          if (accepted) await this.#promiseRegister(values[i]!, { accounts: holdersOf(options), atMs })
        return outcomes
      },
    }
  }

  /** What was promised to an account is owed no more. */
  release(account: AccountId): void {
    const name = toHex(account)
    for (const shares of this.#shares.values()) for (const holders of shares.values()) holders.delete(name)
    for (const { holders } of this.#registers.values()) holders.delete(name)
  }

  /** What was acknowledged and is not there; undefined when all is. */
  async broken(source: LedgerSource): Promise<string | undefined> {
    for (const [name, indices] of this.#shares) {
      const id = fromHex(name)
      const stored = source.storedShares(id)
      for (const [index, holders] of indices) {
        if (holders.size === 0) continue
        const bytes = stored.find((share) => share[4] === index)
        const isGood = bytes !== undefined && (await checkShare(this.#crypto, id, bytes)) !== undefined
        if (!isGood) return `share ${name.slice(0, 12)}.${index} is ${bytes ? "damaged" : "gone"}`
      }
    }
    for (const [name, { sequence, holders }] of this.#registers) {
      if (holders.size === 0) continue
      const bytes = source.storedRegister(fromHex(name))
      const stored = bytes ? (await decodeRegisterValue(this.#crypto, bytes)).sequence : 0
      if (stored < sequence) return `a register is at ${stored}, ${sequence} was acknowledged`
    }
    return undefined
  }

  /** A time by the node's clock that its stamps are not behind. */
  #nowMs(): number {
    this.#newestMs = Math.max(this.#newestMs, this.#clock.nowMs())
    return this.#newestMs
  }

  #promise(id: ChunkId, indices: readonly number[], { accounts, atMs }: Promised): void {
    const name = toHex(id)
    const shares = this.#shares.get(name) ?? new Map<number, Holders>()
    this.#shares.set(name, shares)
    for (const index of indices) {
      const holders = shares.get(index) ?? new Map()
      shares.set(index, holders)
      for (const account of accounts) holders.set(account, atMs)
    }
  }

  #release(account: string, { chunks, registers, graceMs }: SignedUnmark): void {
    // Its stamps may have followed the clock by other ways before that was set back.
    const youngMs = Math.max(this.#nowMs(), this.#clock.latestMs) - Math.max(leastGraceMs, graceMs)
    const drop = (holders: Holders | undefined) => {
      if ((holders?.get(account) ?? Number.POSITIVE_INFINITY) <= youngMs) holders!.delete(account)
    }
    for (const id of chunks) for (const holders of this.#shares.get(toHex(id))?.values() ?? []) drop(holders)
    for (const id of registers) drop(this.#registers.get(toHex(id))?.holders)
  }

  async #promiseRegister(bytes: Uint8Array, { accounts, atMs }: Promised): Promise<void> {
    const { publicKey, sequence } = await decodeRegisterValue(this.#crypto, bytes)
    const name = toHex(registerIdOf(publicKey))
    const found = this.#registers.get(name)
    // Once nobody holds it, it may be collected, and begun anew by who comes to hold it later.
    const known = found && found.holders.size > 0 ? found : { sequence: 0, holders: new Map() }
    this.#registers.set(name, known)
    known.sequence = Math.max(sequence, known.sequence)
    for (const account of accounts) known.holders.set(account, atMs)
  }
}
