/**
 * The index of a storage directory: one SQLite database that also holds small shares and registers. Write-ahead log with full
 * synchronisation: a commit is durable. Tables: schema.ts.
 */
import type { SQLInputValue } from "node:sqlite"
import { HoldfastError } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { rowBytes, smallShareBytes } from "../rules.ts"
import type { Disk, DiskDatabase } from "./disk.ts"
import { markTable } from "./marks.ts"
import { registerTable } from "./registers.ts"
import { bounded, checkSchema, prepareSchema } from "./schema.ts"

/** A share's row. */
export interface ShareRow {
  readonly row: number
  readonly chunk: Uint8Array
  readonly idx: number
  readonly size: number
  /** Name of its file; null when its bytes are in the table of small shares. */
  readonly file: string | null
}

/** A tenant's row. */
export interface TenantRow {
  readonly tenant: number
  readonly name: string
  readonly bytes: number
  readonly shares: number
  /** Bytes with what rows cost. */
  readonly cost: number
}

/** Prepared statements, by what they give. */
export interface Statements {
  one<T>(sql: string): (...values: SQLInputValue[]) => T | undefined
  all<T>(sql: string): (...values: SQLInputValue[]) => T[]
  /** How many rows it changed. */
  change(sql: string): (...values: SQLInputValue[]) => number
  /** The row that it made. */
  insert(sql: string): (...values: SQLInputValue[]) => number
}

/** The index's statements. Those that change it are called inside a transaction of the Committer. */
export type ShareIndex = ReturnType<typeof openIndex>

/** Opens or makes the index at `path`, for this process alone. Throws ERR_IO. */
export function openIndex(disk: Disk, path: string) {
  const database = openDatabase(disk, path)
  const statements = statementsOf(database)
  const { one, all, change } = statements
  const readMeta = one<{ value: number }>("SELECT value FROM meta WHERE name = ?")
  const addUsage = change("UPDATE tenants SET bytes = bytes + ?, shares = shares + ?, cost = cost + ? WHERE tenant = ?")
  const countTenants = one<{ count: number }>("SELECT count(*) AS count FROM tenants")
  return {
    exec: (sql: string) => database.exec(sql),
    close: () => database.close(),
    meta: (name: string) => readMeta(name)?.value,
    setMeta: change("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"),
    tenants: all<TenantRow>("SELECT tenant, name, bytes, shares, cost FROM tenants ORDER BY name"),
    addTenant: change("INSERT OR IGNORE INTO tenants (name) VALUES (?)"),
    tenantNamed: one<TenantRow>("SELECT tenant, name, bytes, shares, cost FROM tenants WHERE name = ?"),
    tenantCount: () => countTenants()!.count,
    /** Counts what takes space beside shares and registers. */
    chargeTenant: (moreBytes: number, tenant: number) => addUsage(0, 0, moreBytes, tenant),
    ...shareTable(statements, addUsage),
    marks: markTable(statements, addUsage),
    registers: registerTable(statements, addUsage),
    statements: {
      get: one<{ serial: number; drops: 0 | 1; stamp: number }>(
        "SELECT serial, drops, stamp FROM statements WHERE tenant = ? AND id = ?",
      ),
      put: change("INSERT OR REPLACE INTO statements (tenant, id, serial, drops, stamp) VALUES (?, ?, ?, ?, ?)"),
      dropsUntil: all<{ tenant: number; name: string; id: Uint8Array }>(
        "SELECT s.tenant, t.name, s.id FROM statements s JOIN tenants t USING (tenant) WHERE s.drops = 1 AND s.stamp <= ?",
      ),
    },
    removing: all<{ tenant: string; file: string }>("SELECT tenant, file FROM removing"),
    willRemove: change("INSERT OR IGNORE INTO removing (tenant, file) VALUES (?, ?)"),
    removed: change("DELETE FROM removing WHERE tenant = ? AND file = ?"),
  }
}

function shareTable({ one, all, change, insert }: Statements, addUsage: (...values: SQLInputValue[]) => number) {
  const fields = "row, chunk, idx, size, file"
  const insertShare = insert("INSERT INTO shares (tenant, chunk, idx, size, file) VALUES (?, ?, ?, ?, ?)")
  const insertSmall = change("INSERT OR REPLACE INTO small (row, bytes) VALUES (?, ?)")
  const deleteShare = change("DELETE FROM shares WHERE row = ?")
  const deleteSmall = change("DELETE FROM small WHERE row = ?")
  const updateShare = change("UPDATE shares SET size = ?, file = ? WHERE row = ?")
  const smallBytes = one<{ bytes: Uint8Array }>(`SELECT ${bounded("bytes", smallShareBytes)} FROM small WHERE row = ?`)
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
    small: (row: number) => smallBytes(row)?.bytes,
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

function statementsOf(database: DiskDatabase): Statements {
  return {
    one<T>(sql: string) {
      const statement = database.prepare(sql)
      return (...values) => inRange(() => statement.get(...values)) as T | undefined
    },
    all<T>(sql: string) {
      const statement = database.prepare(sql)
      return (...values) => inRange(() => statement.all(...values)) as T[]
    },
    change(sql) {
      const statement = database.prepare(sql)
      return (...values) => Number(statement.run(...values).changes)
    },
    insert(sql) {
      const statement = database.prepare(sql)
      return (...values) => Number(statement.run(...values).lastInsertRowid)
    },
  }
}

/** Somebody else may have written the index: a number that JavaScript does not have is no number of ours. */
function inRange<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ERR_OUT_OF_RANGE") throw cause
    throw new HoldfastError(
      "ERR_CORRUPT",
      "The storage index has a number that Holdfast never writes: somebody changed it. Restore it from a backup, or empty the directory and let `check --deep --repair` fill it again.",
      {},
      { cause },
    )
  }
}

function openDatabase(disk: Disk, path: string): DiskDatabase {
  try {
    const database = disk.openDatabase(path)
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0")
    checkSchema(database, path)
    database.exec("PRAGMA page_size = 8192; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL")
    database.exec("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536")
    database.exec("BEGIN IMMEDIATE; COMMIT") // takes the lock: a second process fails here
    prepareSchema(database, path)
    return database
  } catch (cause) {
    if (cause instanceof HoldfastError) throw cause
    throw new HoldfastError(
      "ERR_IO",
      `The storage index ${path} cannot be opened: ${(cause as Error).message}. Is another node running over this folder?`,
      { path },
      { cause },
    )
  }
}

/** True when SQLite or the file system reports a full disk. */
export function isDiskFull(error: unknown): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  return code === "ENOSPC" || code === "EDQUOT" || errcode === 13
}
