/**
 * The index of a storage directory: one SQLite database that also holds small shares and registers. A share exists when
 * its row does; a large share's row names its file. Write-ahead log with full synchronisation: a commit is durable.
 */
import type { SQLInputValue } from "node:sqlite"
import { HoldfastError } from "@holdfast/core"
import type { ChunkId, RegisterId } from "@holdfast/protocol"
import type { Disk, DiskDatabase } from "./disk.ts"

const schemaVersion = 1
const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tenants (
    tenant INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL DEFAULT 0, shares INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE IF NOT EXISTS shares (
    row INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, chunk BLOB NOT NULL, idx INTEGER NOT NULL,
    size INTEGER NOT NULL, touched INTEGER NOT NULL, file TEXT, UNIQUE (tenant, chunk, idx)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS small (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS registers (
    tenant INTEGER NOT NULL, register BLOB NOT NULL, sequence INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (tenant, register)
  ) STRICT, WITHOUT ROWID;
`

/** A share's row. */
export interface ShareRow {
  readonly row: number
  readonly chunk: Uint8Array
  readonly idx: number
  readonly size: number
  readonly touched: number
  /** Name of its file; null when its bytes are in the table of small shares. */
  readonly file: string | null
}

/** A register's row. */
export interface RegisterRow {
  readonly register: Uint8Array
  readonly sequence: number
  readonly value: Uint8Array
}

/** A tenant's row. */
export interface TenantRow {
  readonly tenant: number
  readonly name: string
  readonly bytes: number
  readonly shares: number
}

/** The index's statements. Those that change it are called inside a transaction of the Committer. */
export type ShareIndex = ReturnType<typeof openIndex>

/** Opens or makes the index at `path`, for this process alone. Throws ERR_IO. */
export function openIndex(disk: Disk, path: string) {
  const database = openDatabase(disk, path)
  const one = <T>(sql: string) => {
    const statement = database.prepare(sql)
    return (...values: SQLInputValue[]) => statement.get(...values) as T | undefined
  }
  const all = <T>(sql: string) => {
    const statement = database.prepare(sql)
    return (...values: SQLInputValue[]) => statement.all(...values) as T[]
  }
  const change = (sql: string) => {
    const statement = database.prepare(sql)
    return (...values: SQLInputValue[]) => Number(statement.run(...values).changes)
  }
  const insertShare = database.prepare(
    "INSERT INTO shares (tenant, chunk, idx, size, touched, file) VALUES (?, ?, ?, ?, ?, ?)",
  )
  const insertSmall = change("INSERT INTO small (row, bytes) VALUES (?, ?)")
  const deleteShare = change("DELETE FROM shares WHERE row = ?")
  const deleteSmall = change("DELETE FROM small WHERE row = ?")
  const smallBytes = one<{ bytes: Uint8Array }>("SELECT bytes FROM small WHERE row = ?")
  const addUsage = change("UPDATE tenants SET bytes = bytes + ?, shares = shares + ? WHERE tenant = ?")
  const readMeta = one<{ value: number }>("SELECT value FROM meta WHERE name = ?")
  const fields = "row, chunk, idx, size, touched, file"
  return {
    exec: (sql: string) => database.exec(sql),
    close: () => database.close(),
    meta: (name: string) => readMeta(name)?.value,
    setMeta: change("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"),
    tenants: all<TenantRow>("SELECT tenant, name, bytes, shares FROM tenants ORDER BY name"),
    addTenant: change("INSERT OR IGNORE INTO tenants (name) VALUES (?)"),
    tenantNamed: one<TenantRow>("SELECT tenant, name, bytes, shares FROM tenants WHERE name = ?"),
    share: one<ShareRow>(`SELECT ${fields} FROM shares WHERE tenant = ? AND chunk = ? AND idx = ?`),
    sharesOf: all<ShareRow>(`SELECT ${fields} FROM shares WHERE tenant = ? AND chunk = ? ORDER BY idx`),
    sharesAfter: all<ShareRow>(
      `SELECT ${fields} FROM shares WHERE tenant = ? AND (chunk, idx) > (?, ?) ORDER BY chunk, idx LIMIT ?`,
    ),
    touchShare: change("UPDATE shares SET touched = ? WHERE tenant = ? AND chunk = ? AND idx = ?"),
    touchChunk: change("UPDATE shares SET touched = ? WHERE tenant = ? AND chunk = ?"),
    small: (row: number) => smallBytes(row)?.bytes,
    /** Adds a share whose bytes are given, or in the file named. */
    addShare(
      tenant: number,
      id: ChunkId,
      idx: number,
      size: number,
      touched: number,
      place: Uint8Array | string,
    ): void {
      const file = typeof place === "string" ? place : null
      const { lastInsertRowid } = insertShare.run(tenant, id, idx, size, touched, file)
      if (typeof place !== "string") insertSmall(Number(lastInsertRowid), place)
      addUsage(size, 1, tenant)
    },
    /** Forgets a share; its file, if it has one, is the caller's to remove after the commit. */
    dropShare(tenant: number, share: ShareRow): void {
      deleteShare(share.row)
      if (share.file === null) deleteSmall(share.row)
      addUsage(-share.size, -1, tenant)
    },
    register: one<RegisterRow>("SELECT register, sequence, value FROM registers WHERE tenant = ? AND register = ?"),
    registersAfter: all<RegisterRow>(
      "SELECT register, sequence, value FROM registers WHERE tenant = ? AND register > ? ORDER BY register LIMIT ?",
    ),
    putRegister: registerWriter(change, addUsage),
    dropRegister: registerDropper(change, addUsage),
  }
}

type Change = (sql: string) => (...values: SQLInputValue[]) => number
type AddUsage = (...values: SQLInputValue[]) => number

function registerWriter(change: Change, addUsage: AddUsage) {
  const write = change("INSERT OR REPLACE INTO registers (tenant, register, sequence, value) VALUES (?, ?, ?, ?)")
  return (tenant: number, id: RegisterId, sequence: number, value: Uint8Array, heldBytes: number): void => {
    write(tenant, id, sequence, value)
    addUsage(value.length - heldBytes, 0, tenant)
  }
}

function registerDropper(change: Change, addUsage: AddUsage) {
  const drop = change("DELETE FROM registers WHERE tenant = ? AND register = ?")
  return (tenant: number, held: RegisterRow): void => {
    drop(tenant, held.register)
    addUsage(-held.value.length, 0, tenant)
  }
}

function openDatabase(disk: Disk, path: string): DiskDatabase {
  try {
    const database = disk.openDatabase(path)
    database.exec("PRAGMA page_size = 8192; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL")
    database.exec("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536")
    database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`)
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number }
    if (version > schemaVersion)
      throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `The storage index ${path} needs a newer Holdfast.`, { path })
    database.exec(`PRAGMA user_version = ${schemaVersion}`)
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
