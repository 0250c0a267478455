/** Making encoded shares of a chunk anew from others, which are proven to belong together by the same work; needs no key. */
import { assert } from "@holdfast/core"
import {
  type CodewordDeps,
  encodeDescriptor,
  encodeShareHeader,
  isCodeword,
  leavesIn,
  leavesLength,
  leavesOf,
  type Share,
} from "@holdfast/protocol"

/** Bytes that the encoded shares with the `wanted` indices of the chunk of `share` take together. */
export function rebuiltBytes(share: Share, wanted: readonly number[]): number {
  return encodedLengths(share, wanted).reduce((sum, length) => sum + length, 0)
}

/**
 * Makes the encoded shares with the `wanted` indices from verified ones (`checkShare`), at least k of one chunk with different indices.
 * They lie one after another in `target`, which has `rebuiltBytes`. Undefined when the shares that the descriptor names do not all follow
 * from the same data: what is made from some contradicts the others then.
 */
export async function rebuildShares(
  deps: CodewordDeps,
  shares: readonly Share[],
  wanted: readonly number[],
  target: Uint8Array = new Uint8Array(rebuiltBytes(shares[0]!, wanted)),
): Promise<Uint8Array[] | undefined> {
  const { descriptor, payload } = shares[0]!
  let end = 0
  const made = encodedLengths(shares[0]!, wanted).map((length) => {
    end += length
    return target.subarray(end - length, end)
  })
  assert(end === target.length, "the array for rebuilt shares")
  const placeOf = (bytes: Uint8Array) => bytes.subarray(bytes.length - payload.length)
  const places = new Map(wanted.map((index, i) => [index, placeOf(made[i]!)]))
  if (!(await isCodeword(deps, shares, places))) return undefined
  for (const [i, index] of wanted.entries()) await fillHead(deps, shares[0]!, { index, bytes: made[i]! })
  return made
}

/** Writes all that comes before the payload, which is there. */
async function fillHead(
  { crypto }: CodewordDeps,
  first: Share,
  { index, bytes }: { readonly index: number; readonly bytes: Uint8Array },
): Promise<void> {
  const { descriptor, payload } = first
  const header = encodeShareHeader(index, encodeDescriptor(descriptor))
  bytes.set(header)
  if (leavesLength(descriptor, index) === 0) return
  let at = header.length
  for (let slice = 0; slice < descriptor.k; slice++) {
    const leaves = leavesIn(first, slice)!
    bytes.set(leaves, at)
    at += leaves.length
  }
  if (index >= descriptor.k) bytes.set(await leavesOf(crypto, bytes.subarray(bytes.length - payload.length)), at)
}

function encodedLengths({ descriptor, payload }: Share, wanted: readonly number[]): number[] {
  const rest = encodeShareHeader(0, encodeDescriptor(descriptor)).length + payload.length
  return wanted.map((index) => rest + leavesLength(descriptor, index))
}
