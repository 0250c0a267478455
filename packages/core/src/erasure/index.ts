/**
 * Systematic Reed-Solomon coding: data in k slices and n - k parity payloads, any k of which restore it.
 * Specification: docs/formats/erasure.md.
 */
import { assert } from "../errors.ts"
import { type Combine, createSimdCombine, scalarCombine } from "./kernel.ts"
import { codingRow, recoveryRows } from "./matrix.ts"

/** k of n, 1 <= k <= n <= 255. */
export interface ErasureCoding {
  readonly k: number
  readonly n: number
}

/** Encodes and restores. All methods are synchronous; the results belong to the caller. */
export interface Erasure {
  /**
   * All n payloads of ceil(data.length / k) bytes: k slices of `data`, the last of them zero-padded, and the parity. They
   * are in `target` when that is given: n arrays of that length.
   */
  split(data: Uint8Array, coding: ErasureCoding, target?: readonly Uint8Array[]): readonly Uint8Array[]
  /** Makes the parity of payloads of which the first k are there, in the n - k others; all have one length. */
  addParity(payloads: readonly Uint8Array[], coding: ErasureCoding): void
  /**
   * The first `length` bytes of what was split, from any k payloads by index; in `target` when that is given: an array of
   * k payloads' length.
   */
  join(
    payloads: ReadonlyMap<number, Uint8Array>,
    coding: ErasureCoding,
    length: number,
    target?: Uint8Array,
  ): Uint8Array
  /**
   * The payloads with the `wanted` indices, from any k payloads by index; in `target` when that is given: an array of a payload's length
   * for each.
   */
  reconstruct(
    payloads: ReadonlyMap<number, Uint8Array>,
    coding: ErasureCoding,
    wanted: readonly number[],
    target?: readonly Uint8Array[],
  ): readonly Uint8Array[]
}

/** The fastest coding that this platform runs. */
export async function createErasure(): Promise<Erasure> {
  return erasureOver((await createSimdCombine()) ?? scalarCombine)
}

/** Coding in plain JavaScript: the fallback, and what tests compare with. */
export function createScalarErasure(): Erasure {
  return erasureOver(scalarCombine)
}

function erasureOver(combine: Combine): Erasure {
  const addParity = (payloads: readonly Uint8Array[], coding: ErasureCoding): void => {
    checkCoding(coding)
    const { k, n } = coding
    const [first] = payloads as [Uint8Array]
    assert(payloads.length === n && payloads.every(({ length }) => length === first.length), "arrays for parity")
    const parity = payloads.slice(k)
    const rows = parity.map((_, i) => codingRow(k + i, k))
    if (n > k) combine(payloads.slice(0, k), rows, parity)
  }
  return {
    addParity,
    split(data, coding, target) {
      checkCoding(coding)
      const { k, n } = coding
      const payloadBytes = Math.ceil(data.length / k)
      const payloads = target ?? Array.from({ length: n }, () => new Uint8Array(payloadBytes))
      assert(payloads.length === n && payloads.every(({ length }) => length === payloadBytes), "arrays to split into")
      for (let index = 0; index < k; index++) {
        const slice = data.subarray(index * payloadBytes, (index + 1) * payloadBytes)
        payloads[index]!.set(slice)
        payloads[index]!.fill(0, slice.length)
      }
      addParity(payloads, coding)
      return payloads
    },
    join(payloads, coding, length, target) {
      checkCoding(coding)
      const { k } = coding
      const held = choose(payloads, k)
      const payloadBytes = payloads.get(held[0]!)!.length
      const whole = target ?? new Uint8Array(k * payloadBytes)
      assert(whole.length === k * payloadBytes, "the array to join into")
      const part = (index: number) => whole.subarray(index * payloadBytes, (index + 1) * payloadBytes)
      const missing: number[] = []
      for (let index = 0; index < k; index++) {
        const payload = payloads.get(index)
        if (payload) part(index).set(payload)
        else missing.push(index)
      }
      if (missing.length > 0)
        combine(
          held.map((i) => payloads.get(i)!),
          recoveryRows(held, missing, k),
          missing.map(part),
        )
      return whole.subarray(0, length)
    },
    reconstruct(payloads, coding, wanted, target) {
      checkCoding(coding)
      const held = choose(payloads, coding.k)
      const payloadBytes = payloads.get(held[0]!)!.length
      const outputs = target ?? wanted.map(() => new Uint8Array(payloadBytes))
      const isFit = outputs.length === wanted.length && outputs.every(({ length }) => length === payloadBytes)
      assert(isFit, "arrays to reconstruct into")
      combine(
        held.map((i) => payloads.get(i)!),
        recoveryRows(held, wanted, coding.k),
        outputs,
      )
      return outputs
    },
  }
}

function checkCoding({ k, n }: ErasureCoding): void {
  assert(Number.isInteger(k) && Number.isInteger(n) && 1 <= k && k <= n && n <= 255, `coding ${k}/${n} is out of range`)
}

/** k of the indices at hand, data shares first. */
function choose(payloads: ReadonlyMap<number, Uint8Array>, k: number): number[] {
  const held = [...payloads.keys()].sort((a, b) => a - b).slice(0, k)
  assert(held.length === k, `restoring needs ${k} payloads, got ${held.length}`)
  return held
}
