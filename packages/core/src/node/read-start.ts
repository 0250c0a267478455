/** Reading up to a bound, whatever a file says of its length. */
import * as fs from "node:fs"

/**
 * The next bytes of an open file, a pipe or a terminal, up to `mostBytes`: fewer only where it ends. Who asks for one more than may be
 * there learns that it is too long. Throws what the system answers.
 */
export function readStart(file: number, mostBytes: number): Buffer {
  const bytes = Buffer.alloc(mostBytes)
  let filled = 0
  for (let read = -1; read !== 0 && filled < mostBytes; filled += read) read = readSome(file, bytes.subarray(filled))
  return bytes.subarray(0, filled)
}

/** Waits for who writes into a pipe, which Node may have made one that does not wait. */
function readSome(file: number, into: Uint8Array): number {
  for (;;) {
    try {
      return fs.readSync(file, into)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === "EOF") return 0 // the end of a pipe, on Windows
      if (code !== "EAGAIN") throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}
