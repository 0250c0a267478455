/** Large memory that lies in pages of its own. */

/**
 * An array buffer of its own pages, which the system has back as soon as it is freed. The usual ones come from `malloc`, which keeps much
 * of what is freed between smaller pieces: of a hundred megabytes that pass through pieces of some megabytes, a fifth.
 */
export function mappedMemory(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes, { maxByteLength: bytes }) // what may change its length is mapped, see V8's BackingStore
}
