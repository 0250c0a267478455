/**
 * Bodies of the storage-node protocol that concern marks: who holds what, orders to unmark, values kept behind the newest.
 * Specification: docs/protocols/storage-node.md. Decoders are strict, as those of wire.ts are.
 */
import { concat, decodeCbor, encodeCbor, FieldReader, HoldfastError, limits } from "@holdfast/core"
import type { SignedUnmark } from "./account.ts"
import type { BatchState, KeptValue, ListRegistersOptions, MarkOptions, MarkOutcome, UnmarkOutcome } from "./backend.ts"
import type { AccountId, BatchToken, ChunkId, RegisterId } from "./ids.ts"
import {
  decodeIdList,
  decodeWholeFrames,
  encodeFrames,
  exactly,
  type FrameLimits,
  listOf,
  maxMessage,
  optionalInteger,
} from "./wire.ts"

/** For whom something is stored: what of MarkOptions travels. */
export interface MarkHeader {
  readonly batch?: BatchToken
  readonly accounts: readonly AccountId[]
}

/** Bytes of a batch token. */
export const batchTokenBytes = 16
/** Most bytes of a collection token. */
export const collectTokenBytes = 64
/** Most values kept behind the newest in one answer. */
export const keptPerAnswer = 128

const placeLength = 256

/** A mark header and items as frames: [batch or null, accounts], then the items. */
export function encodeMarked(options: Partial<MarkOptions>, items: readonly Uint8Array[]): Uint8Array[] {
  return encodeFrames([encodeCbor([options.batch ?? null, concat(...(options.accounts ?? []))]), ...items])
}

/** Inverse of encodeMarked; `bounds` are those of the items. */
export function decodeMarked(bytes: Uint8Array, bounds: FrameLimits): { header: MarkHeader; items: Uint8Array[] } {
  const [first, ...items] = decodeWholeFrames(bytes, { ...bounds, maxItems: bounds.maxItems + 1 })
  if (!first) throw new HoldfastError("ERR_BAD_FORMAT", "Frames are damaged: they have no header.")
  const fields = new FieldReader(decodeCbor(first, "mark header"), "mark header")
  const header = readMarkHeader(fields)
  fields.end()
  return { header, items }
}

/** Chunks to mark: [batch, accounts, ids]. */
export function encodeMarkRequest(ids: readonly ChunkId[], { batch, accounts = [] }: MarkOptions): Uint8Array {
  return encodeCbor([batch, concat(...accounts), concat(...ids)])
}

/** Inverse of encodeMarkRequest. */
export function decodeMarkRequest(bytes: Uint8Array): { header: MarkHeader; ids: ChunkId[] } {
  const fields = new FieldReader(decodeCbor(bytes, "mark request"), "mark request")
  const header = readMarkHeader(fields)
  const ids = decodeIdList(fields.bytes(), limits.requestItems)
  fields.end()
  return { header, ids }
}

/** What became of chunks to mark: the indices held, one byte each, or [code, message]. */
export function encodeMarkOutcomes(outcomes: readonly MarkOutcome[]): Uint8Array {
  return encodeCbor(
    outcomes.map((outcome) => (outcome.ok ? Uint8Array.from(outcome.held) : [outcome.code, outcome.message])),
  )
}

/** Inverse of encodeMarkOutcomes, for `count` chunks. */
export function decodeMarkOutcomes(bytes: Uint8Array, count: number): MarkOutcome[] {
  return exactly(listOf(bytes, "mark answer", count), count).map((item) => {
    if (item instanceof Uint8Array && item.length <= limits.maxShares) return { ok: true, held: [...item] }
    const fields = new FieldReader(item, "mark outcome")
    const code = fields.text(32) === "quota" ? "quota" : "io"
    const message = fields.text(maxMessage)
    fields.end()
    return { ok: false, code, message }
  })
}

/** What a place says of a batch: true, false when something is gone, null when it marked nothing here. */
export function encodeBatchState(state: BatchState): Uint8Array {
  return encodeCbor(state === "unknown" ? null : state === "held")
}

/** Inverse of encodeBatchState. */
export function decodeBatchState(bytes: Uint8Array): BatchState {
  const state = decodeCbor(bytes, "batch state")
  if (state === null) return "unknown"
  if (typeof state !== "boolean")
    throw new HoldfastError("ERR_BAD_FORMAT", "batch state is damaged: expected a flag or null.")
  return state ? "held" : "gone"
}

/** Where a listing of registers starts: [limit, null or id]. */
export function encodeRegistersRequest({ after, limit }: ListRegistersOptions): Uint8Array {
  return encodeCbor([limit, after ?? null])
}

/** Inverse of encodeRegistersRequest. */
export function decodeRegistersRequest(bytes: Uint8Array): ListRegistersOptions {
  const fields = new FieldReader(decodeCbor(bytes, "list request"), "list request")
  const limit = fields.integer(1, limits.requestItems)
  const after = optionalId(fields)
  fields.end()
  return after ? { limit, after } : { limit }
}

/** Which values are asked for: [register, null or the sequence they are below]. */
export function encodeKeptRequest(id: RegisterId, below?: number): Uint8Array {
  return encodeCbor([id, below ?? null])
}

/** Inverse of encodeKeptRequest. */
export function decodeKeptRequest(bytes: Uint8Array): { id: RegisterId; below?: number } {
  const fields = new FieldReader(decodeCbor(bytes, "kept request"), "kept request")
  const id = fields.bytes(32)
  const below = optionalInteger(fields)
  fields.end()
  return below === undefined ? { id } : { id, below }
}

/** Values kept as frames: [[sequence, received], …], then the values. */
export function encodeKept(values: readonly KeptValue[]): Uint8Array[] {
  const header = encodeCbor(values.map(({ sequence, receivedMs }) => [sequence, receivedMs]))
  return encodeFrames([header, ...values.map(({ bytes }) => bytes)])
}

/** Inverse of encodeKept. */
export function decodeKept(bytes: Uint8Array): KeptValue[] {
  const bounds = { maxItems: keptPerAnswer + 1, maxItemBytes: limits.registerValueBytes }
  const [header, ...values] = decodeWholeFrames(bytes, bounds)
  const lines = exactly(listOf(header ?? new Uint8Array(), "kept answer", keptPerAnswer), values.length)
  return lines.map((line, i) => {
    const fields = new FieldReader(line, "kept value")
    const kept = { sequence: fields.integer(), receivedMs: fields.integer(), bytes: values[i]! }
    fields.end()
    return kept
  })
}

/** An order: [public key, place, token, grace, chunks, registers, [[register, below], …], signature]. */
export function encodeUnmark(order: SignedUnmark): Uint8Array {
  const { publicKey, place, token, graceMs, chunks, registers, trims, signature } = order
  const kept = trims.map(({ register, below }) => [register, below])
  return encodeCbor([publicKey, place, token, graceMs, concat(...chunks), concat(...registers), kept, signature])
}

/** Inverse of encodeUnmark; the signature is not checked. */
export function decodeUnmark(bytes: Uint8Array): SignedUnmark {
  const fields = new FieldReader(decodeCbor(bytes, "order to unmark"), "order to unmark")
  const order = {
    publicKey: fields.bytes(32),
    place: fields.text(placeLength),
    token: fields.bytes(undefined, collectTokenBytes),
    graceMs: fields.integer(),
    chunks: decodeIdList(fields.bytes(), limits.requestItems),
    registers: decodeIdList(fields.bytes(), limits.requestItems),
    trims: fields.array(limits.requestItems).map((item) => {
      const trim = new FieldReader(item, "trim")
      const fieldsOfTrim = { register: trim.bytes(32), below: trim.integer() }
      trim.end()
      return fieldsOfTrim
    }),
    signature: fields.bytes(64),
  }
  fields.end()
  return order
}

/** What an order did: [marks, shares, bytes, young]. */
export function encodeUnmarkOutcome({ marks, shares, bytes, young }: UnmarkOutcome): Uint8Array {
  return encodeCbor([marks, shares, bytes, young])
}

/** Inverse of encodeUnmarkOutcome. */
export function decodeUnmarkOutcome(encoded: Uint8Array): UnmarkOutcome {
  const fields = new FieldReader(decodeCbor(encoded, "unmark answer"), "unmark answer")
  const [marks, shares, bytes, young] = [fields.integer(), fields.integer(), fields.integer(), fields.integer()]
  fields.end()
  return { marks, shares, bytes, young }
}

function readMarkHeader(fields: FieldReader): MarkHeader {
  const batch = fields.any()
  if (batch !== null && !(batch instanceof Uint8Array && batch.length === batchTokenBytes))
    throw new HoldfastError("ERR_BAD_FORMAT", `A mark header is damaged: expected null or ${batchTokenBytes} bytes.`)
  const accounts = decodeIdList(fields.bytes(), limits.careAccounts)
  return batch === null ? { accounts } : { batch, accounts }
}

function optionalId(fields: FieldReader): Uint8Array | undefined {
  const id = fields.any()
  if (id === null) return undefined
  if (id instanceof Uint8Array && id.length === 32) return id
  throw new HoldfastError("ERR_BAD_FORMAT", "A message is damaged: expected null or 32 bytes.")
}
