/** What a liar knows, and what a lie is made of. */
import { type Clock, type CryptoProvider, toHex } from "@holdfast/core"
import { type Backend, decodeRegisterValue, registerIdOf } from "@holdfast/protocol"

/** What liars stand on. */
export interface LiarOptions {
  readonly crypto: CryptoProvider
  readonly clock: Clock
  /** How late a slow server answers. Default 200 ms. */
  readonly slowMs?: number
}

/** What a liar has heard. */
export interface Heard extends Required<LiarOptions> {
  /** Shares as they came. */
  readonly shares: Uint8Array[]
  /** Values of each register in the order they came. */
  values(registerId: Uint8Array): readonly Uint8Array[]
  /** Values of other registers. */
  otherValues(registerId: Uint8Array): readonly Uint8Array[]
  /** The id of the register that a value is of. */
  registerOf(value: Uint8Array): Promise<Uint8Array>
}

/** What a lie replaces of the honest backend; `client` tells who asks. */
export type LieMaker = (honest: Backend, heard: Heard, client: number) => Partial<Backend>

const mostHeard = 64

/** Ears of a liar that has heard nothing yet. */
export function createHeard(options: LiarOptions) {
  const shares: Uint8Array[] = []
  const values = new Map<string, Uint8Array[]>()
  const registerOf = async (value: Uint8Array) =>
    registerIdOf((await decodeRegisterValue(options.crypto, value)).publicKey)
  const heard: Heard = {
    slowMs: 200,
    ...options,
    shares,
    values: (id) => values.get(toHex(id)) ?? [],
    otherValues: (id) => [...values].flatMap(([register, held]) => (register === toHex(id) ? [] : held)),
    registerOf,
  }
  return {
    heard,
    hearShares(some: readonly Uint8Array[]) {
      shares.push(...some.map((share) => share.slice()))
      shares.splice(0, shares.length - mostHeard)
    },
    async hearValues(some: readonly Uint8Array[]) {
      for (const value of some) {
        const key = toHex(await registerOf(value))
        values.set(key, [...(values.get(key) ?? []), value.slice()].slice(-mostHeard))
      }
    },
  }
}
