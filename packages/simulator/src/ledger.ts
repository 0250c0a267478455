/**
 * What a node has acknowledged and was not told to remove since. A crash must leave all of it, whatever other nodes hold.
 */
import type { TenantBackend } from "@holdfast/backends/node"
import { type CryptoProvider, fromHex, toHex } from "@holdfast/core"
import { type ChunkId, decodeRegisterValue, decodeShare, type RegisterId, registerIdOf } from "@holdfast/protocol"
import { checkShare } from "@holdfast/store"

/** Where to look for what was acknowledged. */
export interface LedgerSource {
  storedShares(id: ChunkId): Uint8Array[]
  storedRegister(id: RegisterId): Uint8Array | undefined
}

/** The promises of one node. */
export class Ledger {
  readonly #crypto: CryptoProvider
  /** Share indices by chunk. */
  readonly #shares = new Map<string, Set<number>>()
  /** Sequences by register. */
  readonly #registers = new Map<string, number>()

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
  }

  /** `backend`, taking down what it acknowledges. */
  watch(backend: TenantBackend): TenantBackend {
    return {
      ...backend,
      putShares: async (shares) => {
        const outcomes = await backend.putShares(shares)
        for (const [i, { ok }] of outcomes.entries()) if (ok) this.#promise(shares[i]!)
        return outcomes
      },
      removeShares: async (queries) => {
        const release = () => {
          for (const { id, index } of queries)
            if (index === undefined) this.#shares.delete(toHex(id))
            else this.#shares.get(toHex(id))?.delete(index)
        }
        release()
        await backend.removeShares(queries)
        release() // what was put meanwhile may have come before or after
      },
      proposeRegisters: async (values) => {
        const outcomes = await backend.proposeRegisters(values)
        for (const [i, { accepted }] of outcomes.entries()) if (accepted) await this.#promiseRegister(values[i]!)
        return outcomes
      },
    }
  }

  /** What was acknowledged and is not there; undefined when all is. */
  async broken(source: LedgerSource): Promise<string | undefined> {
    for (const [name, indices] of this.#shares) {
      const id = fromHex(name)
      const stored = source.storedShares(id)
      for (const index of indices) {
        const bytes = stored.find((share) => share[4] === index)
        const isGood = bytes !== undefined && (await checkShare(this.#crypto, id, bytes)) !== undefined
        if (!isGood) return `share ${name.slice(0, 12)}.${index} is ${bytes ? "damaged" : "gone"}`
      }
    }
    for (const [name, sequence] of this.#registers) {
      const bytes = source.storedRegister(fromHex(name))
      const stored = bytes ? (await decodeRegisterValue(this.#crypto, bytes)).sequence : 0
      if (stored < sequence) return `a register is at ${stored}, ${sequence} was acknowledged`
    }
    return undefined
  }

  #promise(bytes: Uint8Array): void {
    const { id, index } = decodeShare(bytes)
    const indices = this.#shares.get(toHex(id)) ?? new Set()
    this.#shares.set(toHex(id), indices.add(index))
  }

  async #promiseRegister(bytes: Uint8Array): Promise<void> {
    const { publicKey, sequence } = await decodeRegisterValue(this.#crypto, bytes)
    const name = toHex(registerIdOf(publicKey))
    this.#registers.set(name, Math.max(sequence, this.#registers.get(name) ?? 0))
  }
}
