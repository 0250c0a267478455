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
  /** All n payloads of ceil(data.length / k) bytes; the first k are views of `data`, the last of them zero-padded. */
  split(data: Uint8Array, coding: ErasureCoding): Uint8Array[]
  /** The first `length` bytes of what was split, from any k payloads by index. */
  join(payloads: ReadonlyMap<number, Uint8Array>, coding: ErasureCoding, length: number): Uint8Array
  /** The payloads with the `wanted` indices, from any k payloads by index. */
  reconstruct(payloads: ReadonlyMap<number, Uint8Array>, coding: ErasureCoding, wanted: readonly number[]): Uint8Array[]
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
  return {
    split(data, coding) {
      checkCoding(coding)
      const { k, n } = coding
      const payloadBytes = Math.ceil(data.length / k)
      const slices = Array.from({ length: k }, (_, i) => slice(data, i, payloadBytes))
      const parity = Array.from({ length: n - k }, () => new Uint8Array(payloadBytes))
      const rows = parity.map((_, i) => codingRow(k + i, k))
      if (n > k) combine(slices, rows, parity)
      return [...slices, ...parity]
    },
    join(payloads, coding, length) {
      checkCoding(coding)
      const { k } = coding
      const held = choose(payloads, k)
      const payloadBytes = payloads.get(held[0]!)!.length
      const whole = new Uint8Array(k * payloadBytes)
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
    reconstruct(payloads, coding, wanted) {
      checkCoding(coding)
      const held = choose(payloads, coding.k)
      const payloadBytes = payloads.get(held[0]!)!.length
      const outputs = wanted.map(() => new Uint8Array(payloadBytes))
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

function slice(data: Uint8Array, index: number, payloadBytes: number): Uint8Array {
  const piece = data.subarray(index * payloadBytes, (index + 1) * payloadBytes)
  if (piece.length === payloadBytes) return piece
  const padded = new Uint8Array(payloadBytes)
  padded.set(piece)
  return padded
}
