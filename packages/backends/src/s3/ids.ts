/**
 * Sorted lists of records of one length, packed into one array: what a bucket names by the hundred thousand costs its bytes
 * and nothing more.
 */

/** Bytes of a chunk id and of a register id. */
export const idBytes = 32

/** Order of the record `i` of `a` and `j` of `b`. */
function compareAt(a: Uint8Array, i: number, b: Uint8Array, j: number, width: number): number {
  const [from, other] = [i * width, j * width]
  for (let k = 0; k < width; k++) {
    const difference = a[from + k]! - b[other + k]!
    if (difference !== 0) return difference
  }
  return 0
}

/** Packs records, sorted and each once. */
export function pack(records: Iterable<Uint8Array>, width = idBytes): Uint8Array {
  const sorted = [...records].sort((a, b) => compareAt(a, 0, b, 0, width))
  const packed = new Uint8Array(sorted.length * width)
  let count = 0
  for (const record of sorted) {
    if (count > 0 && compareAt(packed, count - 1, record, 0, width) === 0) continue
    packed.set(record, count++ * width)
  }
  return packed.subarray(0, count * width)
}

/** How many records of `packed` are less than `record`. */
export function countBelow(packed: Uint8Array, record: Uint8Array, width = idBytes): number {
  let [low, high] = [0, packed.length / width]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareAt(packed, middle, record, 0, width) < 0) low = middle + 1
    else high = middle
  }
  return low
}

/** True when `packed` has `record`. */
export function hasRecord(packed: Uint8Array, record: Uint8Array, width = idBytes): boolean {
  const at = countBelow(packed, record, width)
  return at * width < packed.length && compareAt(packed, at, record, 0, width) === 0
}

/** The record `i`. */
export function recordAt(packed: Uint8Array, i: number, width = idBytes): Uint8Array {
  return packed.subarray(i * width, (i + 1) * width)
}

/** Every record. */
export function* records(packed: Uint8Array, width = idBytes): Generator<Uint8Array> {
  for (let at = 0; at < packed.length; at += width) yield packed.subarray(at, at + width)
}

/** True when the records ascend and none is there twice. */
export function isAscending(packed: Uint8Array, width = idBytes): boolean {
  for (let i = 1; i * width < packed.length; i++) if (compareAt(packed, i - 1, packed, i, width) >= 0) return false
  return true
}

/** The records of both, each once; of more than `most` the lowest. */
export function union(a: Uint8Array, b: Uint8Array, most = Number.POSITIVE_INFINITY, width = idBytes): Uint8Array {
  const all = new Uint8Array(Math.min(a.length + b.length, most * width))
  let [i, j, count] = [0, 0, 0]
  while (count < most && (i * width < a.length || j * width < b.length)) {
    const order = j * width >= b.length ? -1 : i * width >= a.length ? 1 : compareAt(a, i, b, j, width)
    all.set(order <= 0 ? recordAt(a, i, width) : recordAt(b, j, width), count++ * width)
    if (order <= 0) i++
    if (order >= 0) j++
  }
  return all.subarray(0, count * width)
}

/** The records of `packed` that `gone` does not have. */
export function without(packed: Uint8Array, gone: Uint8Array, width = idBytes): Uint8Array {
  const left = new Uint8Array(packed.length)
  let [count, j] = [0, 0]
  for (let i = 0; i * width < packed.length; i++) {
    while (j * width < gone.length && compareAt(gone, j, packed, i, width) < 0) j++
    if (j * width < gone.length && compareAt(gone, j, packed, i, width) === 0) continue
    left.set(recordAt(packed, i, width), count++ * width)
  }
  return left.subarray(0, count * width)
}
