/**
 * Writing past the page cache (O_DIRECT). Large files that are written once and read much later need it not, and it costs more of the
 * processor than all else that is done with their bytes. See open(2), "O_DIRECT".
 */
import * as fs from "node:fs"
import { hasProc } from "./folder.ts"

/** What disks and file systems want addresses, positions and lengths to be multiples of. */
const blockBytes = 4096
const scratchBytes = 4 * 1024 * 1024
/** Less is not worth a copy. */
const leastBytes = 512 * 1024
/** Node allocates what is large with a head of 16 bytes before a page; others might not. */
const offsets = [blockBytes - 16, 0]
const mostIdle = 4

/** Memory whose address is a multiple of a block, perhaps. */
const idle: ArrayBuffer[] = []

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

/** For the file that is open as `file`. Where there is no such way, what it writes is nothing. */
export function openDirect(file: number): DirectFile {
  let descriptor: number | undefined
  let isOff = !hasProc
  let known = 0
  const scratch = isOff ? new ArrayBuffer(0) : (idle.pop() ?? new ArrayBuffer(scratchBytes + blockBytes))

  const writeAt = async (bytes: Uint8Array, position: number): Promise<boolean> => {
    for (; known < offsets.length; known++) {
      const aligned = new Uint8Array(scratch, offsets[known], bytes.length)
      aligned.set(bytes)
      try {
        await writeWhole(descriptor!, aligned, position)
        return true
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error
      }
    }
    return false
  }
  return {
    async write(bytes, position) {
      if (isOff || bytes.length < leastBytes || position % blockBytes !== 0) return 0
      try {
        // The file that is open, whatever its name leads to by now.
        descriptor ??= fs.openSync(`/proc/self/fd/${file}`, fs.constants.O_WRONLY | fs.constants.O_DIRECT)
      } catch {
        isOff = true // a file system that has no such way
        return 0
      }
      let done = 0
      while (bytes.length - done >= blockBytes) {
        const length = Math.min(scratchBytes, bytes.length - done)
        const whole = length - (length % blockBytes)
        if (!(await writeAt(bytes.subarray(done, done + whole), position + done))) {
          isOff = true
          return done
        }
        done += whole
      }
      return done
    },
    close() {
      if (descriptor !== undefined) fs.closeSync(descriptor)
      descriptor = undefined
      isOff = true
      if (scratch.byteLength > 0 && idle.length < mostIdle) idle.push(scratch)
    },
  }
}

function writeWhole(descriptor: number, bytes: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const step = (offset: number) =>
      fs.write(descriptor, bytes, offset, bytes.length - offset, position + offset, (error, written) => {
        if (error) reject(error)
        else if (offset + written < bytes.length) step(offset + written)
        else resolve()
      })
    step(0)
  })
}
