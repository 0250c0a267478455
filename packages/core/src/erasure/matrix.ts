/**
 * The coding matrix and its inverses. Rows 0..k-1 are the identity (data shares are plain slices); parity row i >= k has
 * in column j the inverse of (i xor j): a Cauchy matrix, so every k rows are independent. Specification: docs/formats/erasure.md.
 */
import { assert } from "../errors.ts"
import { inverse, multiply } from "./gf256.ts"

/** A row of k coefficients. */
export type Row = Uint8Array

/** Coefficients of share `index` over the k data shares. */
export function codingRow(index: number, k: number): Row {
  const row = new Uint8Array(k)
  if (index < k) row[index] = 1
  else for (let j = 0; j < k; j++) row[j] = inverse(index ^ j)
  return row
}

/** Rows that give the `wanted` shares from the shares `held` (k different indices). */
export function recoveryRows(held: readonly number[], wanted: readonly number[], k: number): Row[] {
  assert(held.length === k, "recovery needs exactly k shares")
  const toData = invert(held.map((index) => codingRow(index, k)))
  return wanted.map((index) => {
    const row = codingRow(index, k)
    const product = new Uint8Array(k)
    for (let j = 0; j < k; j++)
      if (row[j] !== 0) for (let c = 0; c < k; c++) product[c]! ^= multiply(row[j]!, toData[j]![c]!)
    return product
  })
}

/** Inverse of a regular k x k matrix by Gauss-Jordan elimination. */
function invert(rows: readonly Row[]): Row[] {
  const k = rows.length
  const work = rows.map((row, i) => {
    const wide = new Uint8Array(2 * k)
    wide.set(row)
    wide[k + i] = 1
    return wide
  })
  for (let column = 0; column < k; column++) {
    const pivot = work.findIndex((row, i) => i >= column && row[column] !== 0)
    assert(pivot >= 0, "any k rows of the coding matrix are independent")
    const swapped = work[column]!
    work[column] = work[pivot]!
    work[pivot] = swapped
    const lead = work[column]!
    const factor = inverse(lead[column]!)
    for (let c = 0; c < 2 * k; c++) lead[c] = multiply(lead[c]!, factor)
    for (const [i, row] of work.entries()) {
      const coefficient = row[column]!
      if (i === column || coefficient === 0) continue
      for (let c = 0; c < 2 * k; c++) row[c]! ^= multiply(coefficient, lead[c]!)
    }
  }
  return work.map((row) => row.slice(k))
}
