/**
 * Bodies of the storage-node protocol. Specification: docs/protocols/storage-node.md. Shares and register values travel
 * as frames (a count, the lengths, the bytes), so that nothing large is copied; all else is CBOR. Decoders are strict:
 * what they return has the types and counts asked for, anything else throws ERR_BAD_FORMAT or ERR_LIMIT.
 */
import { type CborValue, concat, decodeCbor, encodeCbor, FieldReader, HoldfastError, limits } from "@holdfast/core"
import type { ListOptions, MarkInfo, ProposeOutcome, ProposeRefusal, PutOutcome, ShareQuery, Usage } from "./backend.ts"
import type { ChunkId, RegisterId } from "./ids.ts"

/** Most registers in one request, so that their values fit into one answer. */
export const registersPerRequest = Math.floor(limits.requestBytes / (limits.registerValueBytes + 64))

const absentLength = 0xffff_ffff

/** Bounds on frames from outside. */
export interface FrameLimits {
  readonly maxItems: number
  readonly maxItemBytes: number
}

/** Frames as parts to send one after another: the header, then the items themselves, not copied. */
export function encodeFrames(items: readonly (Uint8Array | undefined)[]): Uint8Array[] {
  const header = new Uint8Array(4 + 4 * items.length)
  const view = new DataView(header.buffer)
  view.setUint32(0, items.length)
  for (const [i, item] of items.entries()) view.setUint32(4 + 4 * i, item ? item.length : absentLength)
  return [header, ...items.filter((item) => item !== undefined)]
}

/** Items of frames: views of `bytes`, undefined for an absent one. */
export function decodeFrames(bytes: Uint8Array, { maxItems, maxItemBytes }: FrameLimits): (Uint8Array | undefined)[] {
  if (bytes.length < 4) throw badFrames("they are cut short")
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = view.getUint32(0)
  if (count > maxItems) throw tooMany(count, maxItems)
  let offset = 4 + 4 * count
  if (offset > bytes.length) throw badFrames("they are cut short")
  const items = new Array<Uint8Array | undefined>(count).fill(undefined)
  for (let i = 0; i < count; i++) {
    const length = view.getUint32(4 + 4 * i)
    if (length === absentLength) continue
    if (length > maxItemBytes)
      throw new HoldfastError("ERR_LIMIT", `An item of ${length} bytes is over the limit of ${maxItemBytes}.`)
    if (length > bytes.length - offset) throw badFrames("they are cut short")
    items[i] = bytes.subarray(offset, offset + length)
    offset += length
  }
  if (offset !== bytes.length) throw badFrames("bytes follow the last item")
  return items
}

/** Like decodeFrames, but every item must be there. */
export function decodeWholeFrames(bytes: Uint8Array, bounds: FrameLimits): Uint8Array[] {
  return decodeFrames(bytes, bounds).map((item) => {
    if (!item) throw badFrames("an item is absent")
    return item
  })
}

/** Which shares to get: a list of [id, index or null]. */
export function encodeQueries(queries: readonly ShareQuery[]): Uint8Array {
  return encodeCbor(queries.map(({ id, index }) => [id, index ?? null]))
}

/** Inverse of encodeQueries. */
export function decodeQueries(bytes: Uint8Array): ShareQuery[] {
  return listOf(bytes, "share queries", limits.requestItems).map((item) => {
    const fields = new FieldReader(item, "share query")
    const id = fields.bytes(32)
    const index = optionalInteger(fields, limits.maxShares - 1)
    fields.end()
    return index === undefined ? { id } : { id, index }
  })
}

/** Ids asked for: [false, ids one after another]. */
export function encodeIds(ids: readonly Uint8Array[]): Uint8Array {
  return encodeCbor([false, concat(...ids)])
}

/** Inverse of encodeIds. The flag said in version 1 that shares are confirmed, which no longer means anything. */
export function decodeIds(bytes: Uint8Array, maxItems: number): (ChunkId & RegisterId)[] {
  const fields = new FieldReader(decodeCbor(bytes, "ids"), "ids")
  if (typeof fields.any() !== "boolean") throw new HoldfastError("ERR_BAD_FORMAT", "ids are damaged: expected a flag.")
  const ids = decodeIdList(fields.bytes(), maxItems)
  fields.end()
  return ids
}

/** Ids that follow one another without anything between them. */
export function decodeIdList(all: Uint8Array, maxItems: number): Uint8Array[] {
  if (all.length % 32 !== 0)
    throw new HoldfastError("ERR_BAD_FORMAT", "A list of ids is damaged: expected 32 bytes for each.")
  if (all.length / 32 > maxItems) throw tooMany(all.length / 32, maxItems)
  return Array.from({ length: all.length / 32 }, (_, i) => all.subarray(32 * i, 32 * i + 32))
}

/** What became of shares: true (it existed), false (new), or [code, message]. */
export function encodePutOutcomes(outcomes: readonly PutOutcome[]): Uint8Array {
  return encodeCbor(outcomes.map((outcome) => (outcome.ok ? outcome.existed : [outcome.code, outcome.message])))
}

const refusalCodes = ["bad-share", "full", "quota", "io"] as const

/** Inverse of encodePutOutcomes, for `count` shares. */
export function decodePutOutcomes(bytes: Uint8Array, count: number): PutOutcome[] {
  return exactly(listOf(bytes, "put answer", count), count).map((item) => {
    if (typeof item === "boolean") return { ok: true, existed: item }
    const fields = new FieldReader(item, "put outcome")
    const text = fields.text(32)
    const message = fields.text(maxMessage)
    fields.end()
    return { ok: false, code: refusalCodes.find((code) => code === text) ?? "io", message }
  })
}

/** Indices held of each chunk: a byte string for each, one byte an index. */
export function encodeHeld(held: readonly (readonly number[])[]): Uint8Array {
  return encodeCbor(held.map((indices) => Uint8Array.from(indices)))
}

/** Inverse of encodeHeld, for `count` chunks. */
export function decodeHeld(bytes: Uint8Array, count: number): number[][] {
  return exactly(listOf(bytes, "has answer", count), count).map((item) => {
    if (!(item instanceof Uint8Array) || item.length > limits.maxShares)
      throw new HoldfastError("ERR_BAD_FORMAT", "has answer is damaged: expected indices.")
    return [...item]
  })
}

/** Where a listing starts: [limit, null or [id, index]]. */
export function encodeListRequest({ after, limit }: ListOptions): Uint8Array {
  return encodeCbor([limit, after ? [after.id, after.index] : null])
}

/** Inverse of encodeListRequest. */
export function decodeListRequest(bytes: Uint8Array): ListOptions {
  const fields = new FieldReader(decodeCbor(bytes, "list request"), "list request")
  const limit = fields.integer(1, limits.requestItems)
  const start = fields.any()
  fields.end()
  if (start === null) return { limit }
  const position = new FieldReader(start, "list position")
  const after = { id: position.bytes(32), index: position.integer(0, limits.maxShares - 1) }
  position.end()
  return { limit, after }
}

/** Lines of a listing: [id, index, bytes]. */
export function encodeMarkInfos(infos: readonly MarkInfo[]): Uint8Array {
  return encodeCbor(infos.map(({ id, index, sizeBytes }) => [id, index, sizeBytes]))
}

/** Inverse of encodeMarkInfos. */
export function decodeMarkInfos(bytes: Uint8Array, maxItems: number): MarkInfo[] {
  return listOf(bytes, "list answer", maxItems).map((item) => {
    const fields = new FieldReader(item, "listed share")
    const info = {
      id: fields.bytes(32),
      index: fields.integer(0, limits.maxShares - 1),
      sizeBytes: fields.integer(),
    }
    fields.end()
    return info
  })
}

/**
 * What became of register values: whether the place vouches, or [message, value held or null, marks are gone, code or null]. The
 * code is left out for who does not know it.
 */
export function encodeProposeOutcomes(
  outcomes: readonly ProposeOutcome[],
  { isCoded }: { readonly isCoded: boolean },
): Uint8Array {
  return encodeCbor(
    outcomes.map((outcome) => {
      if (outcome.accepted) return outcome.vouches
      const { message, current = null, marksGone = false, code = null } = outcome
      return isCoded ? [message, current, marksGone, code] : [message, current, marksGone]
    }),
  )
}

const proposeRefusals = ["quota", "full", "refused", "moved"] as const satisfies readonly ProposeRefusal[]

/** Inverse of encodeProposeOutcomes, for `count` values. */
export function decodeProposeOutcomes(bytes: Uint8Array, count: number): ProposeOutcome[] {
  return exactly(listOf(bytes, "propose answer", count), count).map((item) => {
    if (typeof item === "boolean") return { accepted: true, vouches: item }
    const fields = new FieldReader(item, "propose outcome")
    const message = fields.text(maxMessage)
    const [current, gone] = [fields.any(), fields.any()]
    const text = fields.remaining > 0 ? fields.any() : null // nodes from before codes have none
    fields.end()
    if (typeof gone !== "boolean" || !(text === null || (typeof text === "string" && text.length <= 32)))
      throw new HoldfastError("ERR_BAD_FORMAT", "propose answer is damaged: expected a flag and a code.")
    const code = proposeRefusals.find((known) => known === text)
    const refusal = {
      accepted: false,
      message,
      ...(gone && { marksGone: true as const }),
      ...(code && { code }),
    } as const
    if (current === null) return refusal
    if (!(current instanceof Uint8Array) || current.length > limits.registerValueBytes)
      throw new HoldfastError("ERR_BAD_FORMAT", "propose answer is damaged: expected a register value.")
    return { ...refusal, current }
  })
}

/** Usage: [bytes used, shares, quota or null, bytes available or null]. */
export function encodeUsage({ usedBytes, shareCount, quotaBytes, availableBytes }: Usage): Uint8Array {
  return encodeCbor([usedBytes, shareCount, quotaBytes ?? null, availableBytes ?? null])
}

/** Inverse of encodeUsage. */
export function decodeUsage(bytes: Uint8Array): Usage {
  const fields = new FieldReader(decodeCbor(bytes, "usage"), "usage")
  const usage = { usedBytes: fields.integer(), shareCount: fields.integer() }
  const quotaBytes = optionalInteger(fields)
  const availableBytes = optionalInteger(fields)
  fields.end()
  return {
    ...usage,
    ...(quotaBytes !== undefined && { quotaBytes }),
    ...(availableBytes !== undefined && { availableBytes }),
  }
}

/** Why a request failed: [code, message]. */
export function encodeFailure(code: string, message: string): Uint8Array {
  return encodeCbor([code, message.slice(0, maxMessage)])
}

/** Inverse of encodeFailure. */
export function decodeFailure(bytes: Uint8Array): { code: string; message: string } {
  const fields = new FieldReader(decodeCbor(bytes, "failure"), "failure")
  const failure = { code: fields.text(64), message: fields.text(maxMessage) }
  fields.end()
  return failure
}

/** Most characters of a message for people. */
export const maxMessage = 1024

/** No item of a list of this protocol has more in it, itself counted. */
const mostInItem = 8

/** The list that `bytes` encode, of at most `maxItems`. */
export function listOf(bytes: Uint8Array, what: string, maxItems: number): readonly CborValue[] {
  const value = decodeCbor(bytes, what, { maxItems: 1 + mostInItem * maxItems })
  if (!Array.isArray(value)) throw new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: expected a list.`)
  if (value.length > maxItems) throw tooMany(value.length, maxItems)
  return value
}

/** Throws unless there is one item for each thing asked. */
export function exactly(items: readonly CborValue[], count: number): readonly CborValue[] {
  if (items.length === count) return items
  throw new HoldfastError("ERR_BAD_FORMAT", `An answer has ${items.length} items instead of ${count}.`)
}

/** The next field as null or an integer. */
export function optionalInteger(fields: FieldReader, max = Number.MAX_SAFE_INTEGER): number | undefined {
  const value = fields.any()
  if (value === null) return undefined
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= max) return value
  throw new HoldfastError("ERR_BAD_FORMAT", `A message is damaged: expected null or an integer up to ${max}.`)
}

function badFrames(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `Frames are damaged: ${why}.`)
}

function tooMany(count: number, maxItems: number): HoldfastError {
  return new HoldfastError("ERR_LIMIT", `A message has ${count} items; the limit is ${maxItems}.`, { count, maxItems })
}
