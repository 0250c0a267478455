/**
 * The lists that lie in a bucket beside shares and values: what an account marked, which mark objects are about to go, what
 * is condemned. Each ends in a hash of all before it: a list that rotted must stop whoever deletes, not mislead him.
 * Specification: docs/formats/bucket.md.
 */
import { type CryptoProvider, concat, domainPrefix, equal, fromHex, HoldfastError, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { idBytes, isAscending, recordAt } from "./ids.ts"
import { markName, numberOf, registerKey, type ShareKey, shareKey } from "./keys.ts"

/** Most ids that one mark object names, and most keys of one list of condemned. */
export const mostListed = 131_072

/** What one mark object says. */
export interface Marks {
  /** Ids of chunks, packed and ascending. */
  readonly chunks: Uint8Array
  /** Ids of registers, packed and ascending. */
  readonly registers: Uint8Array
  /** When the youngest mark in it was made, by the bucket's clock; 0 when that is the object's own time. */
  readonly sinceMs: number
}

/** What the checksum of each kind of list begins with. */
const domains = {
  marks: "holdfast/bucket-marks/1",
  retire: "holdfast/bucket-retire/1",
  condemned: "holdfast/bucket-condemned/1",
} as const
const hashBytes = 32
const headBytes = { marks: 20, retire: 8, condemned: 8 } as const
/** kind, id, number */
const condemnedWidth = 1 + idBytes + 8
const nameWidth = 16

/** Most bytes of any list. */
export const mostListBytes = headBytes.marks + mostListed * condemnedWidth + hashBytes

/** The bytes of a mark object. */
export async function encodeMarks(crypto: CryptoProvider, { chunks, registers, sinceMs }: Marks): Promise<Uint8Array> {
  const head = new Uint8Array(headBytes.marks)
  head.set([0x48, 0x46, 0x4d, 1])
  const view = new DataView(head.buffer)
  view.setBigUint64(4, BigInt(sinceMs))
  view.setUint32(12, chunks.length / idBytes)
  view.setUint32(16, registers.length / idBytes)
  return sealed(crypto, domains.marks, concat(head, chunks, registers))
}

/** What a mark object says. Throws ERR_BAD_FORMAT, ERR_CORRUPT, ERR_UNSUPPORTED_VERSION. */
export async function decodeMarks(crypto: CryptoProvider, bytes: Uint8Array, key: string): Promise<Marks> {
  const body = await opened(crypto, domains.marks, "HFM", { bytes, key, least: headBytes.marks })
  const view = new DataView(body.buffer, body.byteOffset)
  const [sinceMs, chunkCount, registerCount] = [Number(view.getBigUint64(4)), view.getUint32(12), view.getUint32(16)]
  const at = headBytes.marks + chunkCount * idBytes
  const [chunks, registers] = [body.slice(headBytes.marks, at), body.slice(at)]
  const isWhole = chunkCount + registerCount <= mostListed && body.length === at + registerCount * idBytes
  if (!isWhole || !isAscending(chunks) || !isAscending(registers) || !Number.isSafeInteger(sinceMs)) throw badList(key)
  return { chunks, registers, sinceMs }
}

/** The bytes of a list of mark objects that are about to go. */
export function encodeRetired(crypto: CryptoProvider, names: readonly string[]): Promise<Uint8Array> {
  const records = names.map((name) => {
    const record = new Uint8Array(nameWidth)
    new DataView(record.buffer).setBigUint64(0, BigInt(numberOf(name)!))
    record.set(fromHex(name.slice(15)), 8)
    return record
  })
  return sealed(crypto, domains.retire, concat(counted("HFR", records.length), ...records))
}

/** The names of mark objects that are about to go. Throws like `decodeMarks`. */
export async function decodeRetired(crypto: CryptoProvider, bytes: Uint8Array, key: string): Promise<string[]> {
  const list = await openedList(crypto, domains.retire, "HFR", { bytes, key, width: nameWidth })
  return Array.from({ length: list.length / nameWidth }, (_, i) => {
    const record = recordAt(list, i, nameWidth)
    const number = Number(new DataView(record.buffer, record.byteOffset).getBigUint64(0))
    return markName(number, record.subarray(8))
  })
}

/** An object that is about to be deleted. */
export type Condemned =
  | ({ readonly kind: "share" } & ShareKey)
  | { readonly kind: "value"; readonly id: Uint8Array; readonly sequence: number }

/** Lists of condemned objects, packed and ascending. */
export type CondemnedList = Uint8Array & { readonly __list?: "condemned" }

/** One record of a list of condemned. */
export function condemnedRecord(object: Condemned): Uint8Array {
  const record = new Uint8Array(condemnedWidth)
  record.set(object.id, 1)
  const view = new DataView(record.buffer)
  if (object.kind === "share") {
    view.setUint32(33, object.index)
    view.setUint32(37, object.generation)
  } else {
    record[0] = 1
    view.setBigUint64(33, BigInt(object.sequence))
  }
  return record
}

/** Bytes of one record. */
export const condemnedRecordBytes = condemnedWidth

/** What a record names. */
export function condemnedOf(record: Uint8Array): Condemned {
  const view = new DataView(record.buffer, record.byteOffset)
  const id = record.slice(1, 33) as ChunkId
  return record[0] === 0
    ? { kind: "share", id, index: view.getUint32(33), generation: view.getUint32(37) }
    : { kind: "value", id, sequence: Number(view.getBigUint64(33)) }
}

/** The key of a condemned object. */
export function keyOfCondemned(object: Condemned): string {
  return object.kind === "share"
    ? shareKey(object.id, object.index, object.generation)
    : registerKey(object.id, object.sequence)
}

/** The bytes of a list of condemned objects. */
export function encodeCondemned(crypto: CryptoProvider, list: CondemnedList): Promise<Uint8Array> {
  return sealed(crypto, domains.condemned, concat(counted("HFC", list.length / condemnedWidth), list))
}

/** A list of condemned objects. Throws like `decodeMarks`. */
export async function decodeCondemned(crypto: CryptoProvider, bytes: Uint8Array, key: string): Promise<CondemnedList> {
  const source = { bytes, key, width: condemnedWidth }
  const list = await openedList(crypto, domains.condemned, "HFC", source)
  if (!isAscending(list, condemnedWidth)) throw badList(key)
  for (let at = 0; at < list.length; at += condemnedWidth) if (list[at]! > 1) throw badList(key)
  return list
}

function counted(magic: string, count: number): Uint8Array {
  const head = new Uint8Array(8)
  head.set([...magic].map((letter) => letter.charCodeAt(0)))
  head[3] = 1
  new DataView(head.buffer).setUint32(4, count)
  return head
}

interface ListSource {
  readonly bytes: Uint8Array
  readonly key: string
  readonly width: number
}

async function openedList(crypto: CryptoProvider, domain: string, magic: string, { bytes, key, width }: ListSource) {
  const body = await opened(crypto, domain, magic, { bytes, key, least: 8 })
  const count = new DataView(body.buffer, body.byteOffset).getUint32(4)
  if (count > mostListed || body.length !== 8 + count * width) throw badList(key)
  return body.slice(8)
}

async function sealed(crypto: CryptoProvider, domain: string, body: Uint8Array): Promise<Uint8Array> {
  return concat(body, await crypto.sha256(domainPrefix(domain), body))
}

interface Source {
  readonly bytes: Uint8Array
  readonly key: string
  readonly least: number
}

async function opened(crypto: CryptoProvider, domain: string, magic: string, { bytes, key, least }: Source) {
  if (bytes.length < least + hashBytes || toHex(bytes.subarray(0, 3)) !== toHex(counted(magic, 0).subarray(0, 3)))
    throw badList(key)
  if (bytes[3] !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `The object ${key} was made by a newer Holdfast.`, { key })
  const body = bytes.subarray(0, -hashBytes)
  if (!equal(await crypto.sha256(domainPrefix(domain), body), bytes.subarray(-hashBytes)))
    throw new HoldfastError("ERR_CORRUPT", `The object ${key} of the bucket is damaged.`, { key })
  return body
}

function badList(key: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `The object ${key} of the bucket is not a list as Holdfast makes it.`, {
    key,
  })
}
