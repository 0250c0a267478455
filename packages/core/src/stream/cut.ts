/** Cutting a stream of bytes into pieces of a fixed size. */

/**
 * Cuts `source` into pieces of `pieceBytes`, the last may be shorter. The receiver owns each piece; one is held at a time.
 * What has the right size already is passed on as it is, other pieces are copied into arrays that `allocate` makes.
 */
export async function* cut(
  source: AsyncIterable<Uint8Array>,
  pieceBytes: number,
  allocate: (length: number) => Uint8Array = (length) => new Uint8Array(length),
): AsyncGenerator<Uint8Array, void, void> {
  let piece: Uint8Array = new Uint8Array()
  let filled = 0
  for await (const bytes of source) {
    if (filled === 0 && bytes.length === pieceBytes) {
      yield bytes
      continue
    }
    for (let offset = 0; offset < bytes.length; ) {
      if (filled === 0) piece = allocate(pieceBytes) // a fresh one: what was yielded is no longer ours
      const step = Math.min(pieceBytes - filled, bytes.length - offset)
      piece.set(bytes.subarray(offset, offset + step), filled)
      offset += step
      filled += step
      if (filled < pieceBytes) continue
      yield piece
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}
