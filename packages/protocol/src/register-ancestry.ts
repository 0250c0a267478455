/**
 * Ancestry of register values: a Merkle mountain range over the levels of a history, so that any value is told ancestor of
 * another or not, at any distance, with O(log n) hashes. Level i is the list of values with sequence i that the spine's value
 * i + 1 follows. Specification: docs/formats/register.md, section Ancestry.
 */
import { assert, concat, equal, hashSmall } from "@holdfast/core"

/** Hashes of the values of one sequence that the next one of the spine follows: the spine's first, the others ascending. */
export type Level = readonly Uint8Array[]

/** A level, and the nodes beside its way up to a peak, the lowest first. */
export interface LevelProof {
  readonly level: Level
  readonly path: readonly Uint8Array[]
}

/** What a value says of the levels before it. */
export interface Ancestry {
  /** The value's own number; it has levels `base` to `sequence - 1`. */
  readonly sequence: number
  readonly base: number
  /** The largest mountain first. */
  readonly peaks: readonly Uint8Array[]
}

/** A mountain of the range: 2^height levels from the `from`-th on. */
export interface Mountain {
  readonly from: number
  readonly height: number
}

const leafDomain = "holdfast/lineage-leaf/1"
const nodeDomain = "holdfast/lineage-node/1"

/** The leaf of the level with number `sequence`. */
export function levelLeaf(sequence: number, level: Level): Uint8Array {
  const number = new Uint8Array(8)
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence))
  return hashSmall(leafDomain, number, ...level)
}

/** The node above two. */
export function levelNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return hashSmall(nodeDomain, left, right)
}

/** The mountains over `count` levels, the largest first: one for each bit set. */
export function mountainsOf(count: number): Mountain[] {
  const mountains: Mountain[] = []
  let from = 0
  for (let height = 52; height >= 0; height--) {
    const size = 2 ** height
    if (Math.floor(count / size) % 2 === 0) continue
    mountains.push({ from, height })
    from += size
  }
  return mountains
}

/** The peaks over one level more than the `count` that `peaks` are over. */
export function appendLevel(peaks: readonly Uint8Array[], count: number, leaf: Uint8Array): Uint8Array[] {
  const result = [...peaks]
  let node = leaf
  for (let rest = count; rest % 2 === 1; rest = (rest - 1) / 2) {
    const left = result.pop()
    assert(left, "a mountain range lacks a peak")
    node = levelNode(left, node)
  }
  return [...result, node]
}

/** The peaks over `levels`, the first of which has number `base`. */
export function peaksOver(base: number, levels: readonly Level[]): Uint8Array[] {
  let peaks: Uint8Array[] = []
  for (const [i, level] of levels.entries()) peaks = appendLevel(peaks, i, levelLeaf(base + i, level))
  return peaks
}

/** The root over leaves whose number is a power of two. */
export function rootOver(leaves: readonly Uint8Array[]): Uint8Array {
  let nodes = leaves
  while (nodes.length > 1)
    nodes = Array.from({ length: nodes.length / 2 }, (_, i) => levelNode(nodes[2 * i]!, nodes[2 * i + 1]!))
  assert(nodes[0], "a tree without leaves has no root")
  return nodes[0]
}

/** True when the proof's level is the one with number `sequence` of the value's history. */
export function provesLevel(value: Ancestry, sequence: number, { level, path }: LevelProof): boolean {
  const at = sequence - value.base
  if (at < 0) return false
  const mountains = mountainsOf(value.sequence - value.base)
  const which = mountains.findIndex(({ from, height }) => at < from + 2 ** height)
  const mountain = mountains[which]
  // Without a mountain the number is the value's own, or above.
  if (!mountain || path.length !== mountain.height) return false
  let node = levelLeaf(sequence, level)
  for (const [i, other] of path.entries()) {
    const isRight = Math.floor((at - mountain.from) / 2 ** i) % 2 === 1
    node = isRight ? levelNode(other, node) : levelNode(node, other)
  }
  return equal(node, value.peaks[which]!)
}

/** The proof of one of `levels`, all those of a value, the first of which has number `base`. */
export function proveLevel(base: number, levels: readonly Level[], sequence: number): LevelProof {
  const at = sequence - base
  const mountain = mountainsOf(levels.length).find(({ from, height }) => at < from + 2 ** height)
  assert(mountain && at >= 0, "a level is proven that a history does not have")
  const { from, height } = mountain
  let nodes = levels.slice(from, from + 2 ** height).map((level, i) => levelLeaf(base + from + i, level))
  const path: Uint8Array[] = []
  for (let i = at - from; nodes.length > 1; i = Math.floor(i / 2)) {
    path.push(nodes[i % 2 === 0 ? i + 1 : i - 1]!)
    nodes = Array.from({ length: nodes.length / 2 }, (_, j) => levelNode(nodes[2 * j]!, nodes[2 * j + 1]!))
  }
  return { level: levels[at]!, path }
}

/** A level as one string of bytes. */
export function joinLevel(level: Level): Uint8Array {
  return concat(...level)
}
