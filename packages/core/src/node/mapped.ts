/** Large memory that lies in pages of its own. */
import { posix } from "./posix.ts"

/** What is smaller hardly has a large page (2 MiB, at an even address) in it. */
const largeFromBytes = 4 * 1024 * 1024

/**
 * An array buffer of its own pages, which the system has back as soon as it is freed. The usual ones come from `malloc`, which keeps much
 * of what is freed between smaller pieces: of a hundred megabytes that pass through pieces of some megabytes, a fifth. Large ones lie in
 * large pages where the system has them: on a virtual machine the first touch of each usual page of 4 KiB can cost 20 us.
 */
export function mappedMemory(bytes: number): ArrayBuffer {
  const memory = new ArrayBuffer(bytes, { maxByteLength: bytes }) // what may change its length is mapped, see V8's BackingStore
  // Another thread keeps so little memory that loading the bridge would cost it as much.
  if (bytes >= largeFromBytes && process.getBuiltinModule("node:worker_threads").isMainThread)
    posix()?.adviseLargePages(memory)
  return memory
}
