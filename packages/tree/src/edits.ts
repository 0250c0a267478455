/** Changes of a file, as whoever patches it tells them: checked, and taken apart into pieces of bytes in the order of the file. */
import { HoldfastError } from "@holdfast/core"

/** Bytes from `offset` on, in place of what is there; the file grows when they go beyond its end. */
export interface WriteEdit {
  readonly offset: number
  /** Never changed, and not looked at any more once the next is asked for. */
  readonly bytes: Uint8Array | AsyncIterable<Uint8Array>
}

/** So many zeros from `offset` on: what is whole pages of them becomes a hole and costs nothing. */
export interface ZeroEdit {
  readonly offset: number
  readonly zeros: number
}

/** A change of a file. */
export type FileEdit = WriteEdit | ZeroEdit

/** Bytes of a change, or how many zeros. */
export type EditPart = { readonly start: number; readonly end: number; readonly bytes?: Uint8Array }

/**
 * The parts of `edits`, which are in the order of the file and apart from each other, and end at `mostSize` or before. Throws
 * ERR_INVALID_ARGUMENT when they are not so.
 */
export async function* partsOf(
  edits: Iterable<FileEdit> | AsyncIterable<FileEdit>,
  mostSize: number,
): AsyncGenerator<EditPart, void, void> {
  let position = 0
  const next = (start: number, length: number): number => {
    if (!isCount(start) || !isCount(length) || !isCount(start + length))
      throw badEdit(`${length} bytes at byte ${start} are no part of a file`)
    if (start < position) throw badEdit(`the change at byte ${start} comes after one that ends at byte ${position}`)
    if (start + length > mostSize) throw badEdit(`the change at byte ${start} goes beyond the end, ${mostSize} bytes`)
    position = start + length
    return position
  }
  for await (const edit of edits) {
    const { offset } = edit
    if ("zeros" in edit) {
      const end = next(offset, edit.zeros)
      if (end > offset) yield { start: offset, end }
    } else if (edit.bytes instanceof Uint8Array) {
      const end = next(offset, edit.bytes.length)
      if (end > offset) yield { start: offset, end, bytes: edit.bytes }
    } else {
      let start = offset
      next(start, 0)
      for await (const bytes of edit.bytes) {
        const end = next(start, bytes.length)
        if (end > start) yield { start, end, bytes }
        start = end
      }
    }
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function badEdit(why: string): HoldfastError {
  return new HoldfastError("ERR_INVALID_ARGUMENT", `A file cannot be changed so: ${why}.`)
}
