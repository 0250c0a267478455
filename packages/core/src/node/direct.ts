/**
 * Writing past the page cache (O_DIRECT). Large files that are written once and read much later need it not, and it costs more of the
 * processor than all else that is done with their bytes. See open(2), "O_DIRECT".
 */
import * as fs from "node:fs"
import { Semaphore } from "../pool.ts"
import { hasProc } from "./folder.ts"

/** What file systems want addresses, positions and lengths to be multiples of. */
const blockBytes = 4096
/** Enough for a disk to be busy. */
const scratchBytes = 2 * 1024 * 1024
/** Pieces that are written at once, by as many threads as Node has for it; each has memory of its own. */
const scratches = 4
/** Less is not worth a copy. */
const leastBytes = 512 * 1024
/** What a file system says that has no such way. */
const refusals: ReadonlySet<unknown> = new Set(["EINVAL", "EOPNOTSUPP", "ENOTSUP"])

/**
 * Memory that begins at a page, as WebAssembly's alone does: from elsewhere in a page some disks take it, at a tenth of the speed. It
 * takes gigabytes of addresses, of which there may be fewer (`ulimit -v`): throws RangeError then.
 */
function newScratch(): Uint8Array {
  const wasmPageBytes = 64 * 1024
  return new Uint8Array(new WebAssembly.Memory({ initial: scratchBytes / wasmPageBytes }).buffer)
}

const idle: Uint8Array[] = []
const turns = new Semaphore(scratches)
/** Devices whose file systems have no such way. */
const without = new Set<number>()

/** Writes to an open file past the page cache, where the system can. */
export interface DirectFile {
  /**
   * Writes the beginning of `bytes` at `position`, as much as can go so; gives how much, 0 where nothing can. Throws what the system
   * throws when it could not write.
   */
  write(bytes: Uint8Array, position: number): Promise<number>
  /** Ends it; the file itself stays open. */
  close(): void
}

/** For the file that is open as `file`. Where there is no such way, it writes nothing. */
export function openDirect(file: number): DirectFile {
  let descriptor: number | undefined
  let device: number | undefined
  let [hasWritten, isOff] = [false, false]
  /** The rest of this file goes the usual way, and where the file system has no other, all files there. */
  const stop = (error: unknown) => {
    isOff = true
    if (!hasWritten && refusals.has((error as NodeJS.ErrnoException).code)) without.add(device!)
  }
  /** Writes `end` bytes from memory that no other file uses meanwhile; gives how many it could. */
  const writePieces = async (bytes: Uint8Array, end: number, position: number): Promise<number> => {
    let scratch: Uint8Array | undefined
    try {
      try {
        scratch = idle.pop() ?? newScratch()
        // The file that is open, whatever its name leads to by now.
        descriptor ??= fs.openSync(`/proc/self/fd/${file}`, fs.constants.O_WRONLY | fs.constants.O_DIRECT)
      } catch (error) {
        stop(error) // no memory, or too many files are open: that is no reason to write nothing
        return 0
      }
      for (let done = 0; done < end; done += scratchBytes) {
        const piece = bytes.subarray(done, Math.min(end, done + scratchBytes))
        scratch.set(piece)
        try {
          await writeWhole(descriptor, scratch.subarray(0, piece.length), position + done)
          hasWritten = true
        } catch (error) {
          if (!refusals.has((error as NodeJS.ErrnoException).code)) throw error
          stop(error) // or, after a part of the piece, the rest does not begin at a block
          return done
        }
      }
      return end
    } finally {
      if (scratch) idle.push(scratch)
    }
  }
  return {
    async write(bytes, position) {
      if (!hasProc || isOff || bytes.length < leastBytes || position % blockBytes !== 0) return 0
      device ??= fs.fstatSync(file).dev
      if (without.has(device)) return 0
      return turns.run(() => writePieces(bytes, bytes.length - (bytes.length % blockBytes), position))
    },
    close() {
      if (descriptor !== undefined) fs.closeSync(descriptor)
      descriptor = undefined
    },
  }
}

/** Writes all of `bytes` at `position` of an open file. Throws what the system throws. */
export function writeWhole(descriptor: number, bytes: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (offset: number) => {
      if (offset >= bytes.length) return resolve()
      fs.write(descriptor, bytes, offset, bytes.length - offset, position + offset, (error, written) =>
        error ? reject(error) : step(offset + written),
      )
    }
    step(0)
  })
}
