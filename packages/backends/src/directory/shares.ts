/** Rows of shares, and the bytes of small ones. */
import type { SQLInputValue } from "node:sqlite"
import type { ChunkId } from "@holdfast/protocol"
import { rowBytes, smallShareBytes } from "../rules.ts"
import { beginning, bounded } from "./schema.ts"
import type { Statements } from "./statements.ts"

/** A share's row. */
export interface ShareRow {
  readonly row: number
  readonly chunk: Uint8Array
  readonly idx: number
  readonly size: number
  /** Name of its file; null when its bytes are in the table of small shares. */
  readonly file: string | null
}

/** The statements of shares. `addUsage` charges a tenant: bytes, shares, bytes with what rows cost. */
export function shareTable({ one, all, change, insert }: Statements, addUsage: (...values: SQLInputValue[]) => number) {
  const fields = "row, chunk, idx, size, file"
  const insertShare = insert("INSERT INTO shares (tenant, chunk, idx, size, file) VALUES (?, ?, ?, ?, ?)")
  const insertSmall = change("INSERT OR REPLACE INTO small (row, bytes) VALUES (?, ?)")
  const deleteShare = change("DELETE FROM shares WHERE row = ?")
  const deleteSmall = change("DELETE FROM small WHERE row = ?")
  const updateShare = change("UPDATE shares SET size = ?, file = ? WHERE row = ?")
  // With its share in one statement: another process may take that away at any time, and its number goes to the next.
  const smallBytes = one<{ bytes: Uint8Array }>(
    `SELECT ${bounded("bytes", smallShareBytes)} FROM small JOIN shares USING (row) WHERE row = ? AND chunk = ? AND idx = ?`,
  )
  const smallHead = one<{ head: Uint8Array }>(
    `SELECT ${beginning("bytes")} FROM small JOIN shares USING (row) WHERE row = ? AND chunk = ? AND idx = ?`,
  )
  return {
    share: one<ShareRow>(`SELECT ${fields} FROM shares WHERE tenant = ? AND chunk = ? AND idx = ?`),
    sharesOf: all<ShareRow>(`SELECT ${fields} FROM shares WHERE tenant = ? AND chunk = ? ORDER BY idx`),
    sharesFrom: all<ShareRow>(
      `SELECT ${fields} FROM shares WHERE tenant = ? AND chunk = ? AND idx >= ? ORDER BY idx LIMIT ?`,
    ),
    firstShareOf: one<ShareRow>(`SELECT ${fields} FROM shares WHERE tenant = ? AND chunk = ? ORDER BY idx LIMIT 1`),
    sharesAfter: all<ShareRow>(
      `SELECT ${fields} FROM shares WHERE tenant = ? AND (chunk, idx) > (?, ?) ORDER BY chunk, idx LIMIT ?`,
    ),
    small: ({ row, chunk, idx }: ShareRow) => smallBytes(row, chunk, idx)?.bytes,
    /** How the bytes begin, of whatever length they are. */
    smallHead: ({ row, chunk, idx }: ShareRow) => smallHead(row, chunk, idx)?.head,
    /** Adds a share whose bytes are given, or in the file named. It needs a mark in the same transaction. */
    addShare(tenant: number, id: ChunkId, idx: number, size: number, place: Uint8Array | string): ShareRow {
      const file = typeof place === "string" ? place : null
      const row = insertShare(tenant, id, idx, size, file)
      if (typeof place !== "string") insertSmall(row, place)
      addUsage(size, 1, size + rowBytes, tenant)
      return { row, chunk: id, idx, size, file }
    },
    /** Gives a share whose bytes were wrong good ones; who holds it does not change. */
    replaceShare(tenant: number, share: ShareRow, size: number, place: Uint8Array | string): void {
      updateShare(size, typeof place === "string" ? place : null, share.row)
      if (typeof place !== "string") insertSmall(share.row, place)
      else if (share.file === null) deleteSmall(share.row)
      addUsage(size - share.size, 0, size - share.size, tenant)
    },
    /** Forgets a share without marks; its file, if it has one, is the caller's to remove after the commit. */
    dropShare(tenant: number, share: ShareRow): void {
      deleteShare(share.row)
      if (share.file === null) deleteSmall(share.row)
      addUsage(-share.size, -1, -share.size - rowBytes, tenant)
    },
  }
}
