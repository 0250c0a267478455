/**
 * Bodies of the request that waits until a register changes. Specification: docs/protocols/storage-node.md, section Waiting for
 * changes. Values are named by their hashes, so that neither side holds more than 64 bytes of a register while it waits.
 */
import { concat, decodeCbor, encodeCbor, equal, FieldReader, HoldfastError } from "@holdfast/core"
import type { WatchedRegister } from "./backend.ts"
import { decodeIdList } from "./wire.ts"

/** Most registers that one request waits for. */
export const registersPerWait = 64
/** Longest time that a request may wait, in ms: less than any silence that clients, nodes or what lies between them end. */
export const longestWaitMs = 25_000
/** Most bytes of a request to wait. */
export const waitRequestBytes = 64 * registersPerWait + 64

const hashBytes = 32
/** In place of the hash of a value that is not there. */
const noHash = new Uint8Array(hashBytes)

/** What is waited for, and how long at most. */
export interface WaitRequest {
  /** From 0 (answered at once) to `longestWaitMs`. */
  readonly waitMs: number
  readonly watched: readonly WatchedRegister[]
}

/** A request to wait: [ms, ids one after another, hashes one after another]. Takes 1 to `registersPerWait` registers. */
export function encodeWaitRequest({ waitMs, watched }: WaitRequest): Uint8Array {
  return encodeCbor([waitMs, concat(...watched.map(({ id }) => id)), hashesInOne(watched.map(({ hash }) => hash))])
}

/** Inverse of encodeWaitRequest, whose ids and hashes are copies. Throws ERR_BAD_FORMAT, ERR_LIMIT. */
export function decodeWaitRequest(bytes: Uint8Array): WaitRequest {
  const fields = new FieldReader(decodeCbor(bytes, "request to wait", { maxItems: 8 }), "request to wait")
  const waitMs = fields.integer(0, longestWaitMs)
  const ids = decodeIdList(copyOf(fields.bytes()), registersPerWait)
  if (ids.length === 0) throw new HoldfastError("ERR_BAD_FORMAT", "A request to wait names no register.")
  const hashes = hashesOf(copyOf(fields.bytes(hashBytes * ids.length)))
  fields.end()
  return { waitMs, watched: ids.map((id, i) => (hashes[i] ? { id, hash: hashes[i] } : { id })) }
}

/** What is held of the registers waited for: one byte string, 32 bytes for each, zeros where there is none. */
export function encodeHashes(hashes: readonly (Uint8Array | undefined)[]): Uint8Array {
  return encodeCbor(hashesInOne(hashes))
}

/** Inverse of encodeHashes, for `count` registers. Throws ERR_BAD_FORMAT. */
export function decodeHashes(bytes: Uint8Array, count: number): (Uint8Array | undefined)[] {
  const all = decodeCbor(bytes, "hashes", { maxItems: 1 })
  if (all instanceof Uint8Array && all.length === hashBytes * count) return hashesOf(copyOf(all))
  throw new HoldfastError("ERR_BAD_FORMAT", `hashes are damaged: expected ${hashBytes} bytes for each of ${count}.`)
}

function hashesInOne(hashes: readonly (Uint8Array | undefined)[]): Uint8Array {
  return concat(...hashes.map((hash) => hash ?? noHash))
}

function hashesOf(all: Uint8Array): (Uint8Array | undefined)[] {
  return Array.from({ length: all.length / hashBytes }, (_, i) => {
    const hash = all.subarray(hashBytes * i, hashBytes * (i + 1))
    return equal(hash, noHash) ? undefined : hash
  })
}

/** Of its own memory: what was decoded lies in that of the request, and a Buffer's slice is no copy. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}
