/**
 * Names of objects in a bucket. Specification: docs/formats/bucket.md.
 * Shares sort by (chunk id, index); the values of a register sort newest first.
 */
import { fromHex, toHex } from "@holdfast/core"
import type { ChunkId, RegisterId } from "@holdfast/protocol"

/** What all shares begin with. */
export const sharesPrefix = "shares/"

/** The key of a share. */
export function shareKey(id: ChunkId, index: number): string {
  return `${chunkPrefix(id)}${String(index).padStart(3, "0")}`
}

/** What the keys of all shares of a chunk begin with. */
export function chunkPrefix(id: ChunkId): string {
  return `${sharesPrefix}${toHex(id)}.`
}

/** The share that a key names; undefined when it is none of ours. */
export function parseShareKey(key: string): { id: ChunkId; index: number } | undefined {
  const match = /^shares\/([0-9a-f]{64})\.([0-9]{3})$/.exec(key)
  if (!match || Number(match[2]) > 254) return undefined
  return { id: fromHex(match[1]!), index: Number(match[2]) }
}

/** The key of a register's value: numbers count down, so that the newest comes first in a list; later epochs before all of them. */
export function registerKey(id: RegisterId, sequence: number, epoch = 0): string {
  return `${registerPrefix(id)}${epoch > 0 ? `!${countDown(epoch)}-` : ""}${countDown(sequence)}`
}

function countDown(number: number): string {
  return (Number.MAX_SAFE_INTEGER - number).toString(16).padStart(14, "0")
}

/** What the keys of all values of a register begin with. */
export function registerPrefix(id: RegisterId): string {
  return `registers/${toHex(id)}/`
}
