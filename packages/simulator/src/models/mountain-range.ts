/** The Merkle mountain range of the model of ancestry: values with peaks, proofs of a level, and their verification. */
import { createHash } from "node:crypto"

interface Peak {
  readonly height: number
  readonly hash: string
}

/** A register's value as far as ancestry goes. */
export interface HistoryValue {
  readonly hash: string
  readonly sequence: number
  /** Hashes of values of the sequence before; the first is the spine's. */
  readonly follows: readonly string[]
  /** Over all levels before, the largest mountain first. */
  readonly peaks: readonly Peak[]
}

/** That a level belongs to a value's history. */
export interface Proof {
  /** What the spine's value of the next level follows. */
  readonly follows: readonly string[]
  readonly path: readonly string[]
}

/** The value that `content` makes after `parents`, which are all of one sequence; the first value when there are none. */
export function nextValue(parents: readonly HistoryValue[], content: string): HistoryValue {
  const [spine, ...others] = parents
  const follows = spine ? [spine.hash, ...others.map(({ hash }) => hash).sort()] : []
  return {
    hash: sha256("value\0", content, ...follows),
    sequence: (spine?.sequence ?? 0) + 1,
    follows,
    peaks: spine ? append(spine.peaks, leafOf(spine.sequence, follows)) : [],
  }
}

/** The proof for the values of `sequence`; `levels[i]` is the list of level i + 1. */
export function prove(levels: readonly (readonly string[])[], sequence: number): Proof {
  const { from, size } = mountainOf(levels.length, sequence - 1)
  let hashes = levels.slice(from, from + size).map((follows, i) => leafOf(from + i + 1, follows))
  const path: string[] = []
  for (let at = sequence - 1 - from; hashes.length > 1; at >>= 1) {
    path.push(hashes[at ^ 1]!)
    hashes = Array.from({ length: hashes.length / 2 }, (_, i) => nodeOf(hashes[2 * i]!, hashes[2 * i + 1]!))
  }
  return { follows: levels[sequence - 1]!, path }
}

/** True when `value` is proven to follow `before`, directly or through others. */
export function follows(value: HistoryValue, before: HistoryValue, proof: Proof): boolean {
  const { sequence } = before
  if (sequence < 1 || sequence >= value.sequence || !proof.follows.includes(before.hash)) return false
  const { from, size } = mountainOf(value.sequence - 1, sequence - 1)
  const peak = value.peaks.find(({ height }) => 2 ** height === size)
  if (!peak || proof.path.length !== peak.height) return false
  let [at, hash] = [sequence - 1 - from, leafOf(sequence, proof.follows)]
  for (const other of proof.path) {
    hash = at & 1 ? nodeOf(other, hash) : nodeOf(hash, other)
    at >>= 1
  }
  return hash === peak.hash
}

/** The mountain over `count` leaves in which leaf `at` is. */
function mountainOf(count: number, at: number): { readonly from: number; readonly size: number } {
  let from = 0
  for (let size = 2 ** Math.floor(Math.log2(count)); size > 1; size /= 2) {
    if (count - from < size) continue
    if (at < from + size) return { from, size }
    from += size
  }
  return { from, size: 1 }
}

function append(peaks: readonly Peak[], leaf: string): Peak[] {
  const result = [...peaks]
  let peak: Peak = { height: 0, hash: leaf }
  while (result.at(-1)?.height === peak.height)
    peak = { height: peak.height + 1, hash: nodeOf(result.pop()!.hash, peak.hash) }
  return [...result, peak]
}

function leafOf(level: number, follows: readonly string[]): string {
  return sha256("holdfast/lineage-leaf/1\0", `${level}:`, Buffer.from(follows.join(""), "hex"))
}

function nodeOf(left: string, right: string): string {
  return sha256("holdfast/lineage-node/1\0", Buffer.from(left + right, "hex"))
}

function sha256(...parts: readonly (Uint8Array | string)[]): string {
  return parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex")
}
