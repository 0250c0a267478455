/** Cutting a stream of bytes into pieces of a fixed size. */

/** Cuts `source` into pieces of `pieceBytes`, the last may be shorter. The receiver owns each piece; one is held at a time. */
export async function* cut(
  source: AsyncIterable<Uint8Array>,
  pieceBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  let piece = new Uint8Array(pieceBytes)
  let filled = 0
  for await (const bytes of source) {
    for (let offset = 0; offset < bytes.length; ) {
      const step = Math.min(pieceBytes - filled, bytes.length - offset)
      piece.set(bytes.subarray(offset, offset + step), filled)
      offset += step
      filled += step
      if (filled < pieceBytes) continue
      yield piece
      piece = new Uint8Array(pieceBytes) // a fresh one: what was yielded is no longer ours
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}
