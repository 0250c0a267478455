import { dirname } from "node:path"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import type { Disk, DiskDatabase } from "./disk.ts"
import { markTable } from "./marks.ts"
import { type OnRegister, registerTable } from "./registers.ts"
import { checkSchema, prepareSchema } from "./schema.ts"
import { shareTable } from "./shares.ts"
import { statementsOf } from "./statements.ts"

/** A tenant's row. */
export interface TenantRow {
  readonly tenant: number
  readonly name: string
  readonly bytes: number
  readonly shares: number
  /** Bytes with what rows cost. */
  readonly cost: number
}

/** The index's statements. Those that change it are called inside a transaction of the Committer. */
export type ShareIndex = ReturnType<typeof openIndex>

/** How an index is opened. */
export interface IndexOptions {
  /** For this process alone, or together with others. */
  readonly access: "alone" | "shared"
  /** Hears of each register whose value a transaction changes, before that is committed. */
  readonly onRegister: OnRegister
}

/** Opens or makes the index at `path`. Throws ERR_IO; `isBusy` tells when that may work later. */
export function openIndex(disk: Disk, path: string, { access, onRegister }: IndexOptions) {
  const database = openDatabase(disk, path, access)
  const statements = statementsOf(database)
  const { one, all, change } = statements
  const readMeta = one<{ value: number }>("SELECT value FROM meta WHERE name = ?")
  const addUsage = change("UPDATE tenants SET bytes = bytes + ?, shares = shares + ?, cost = cost + ? WHERE tenant = ?")
  const countTenants = one<{ count: number }>("SELECT count(*) AS count FROM tenants")
  return {
    exec: (sql: string) => database.exec(sql),
    /** Begins a transaction that writes; false when another process is in one. */
    begin: access === "alone" ? () => beginAlone(database) : () => beginShared(database),
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
    registers: registerTable(statements, addUsage, onRegister),
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

function openDatabase(disk: Disk, path: string, access: IndexOptions["access"]): DiskDatabase {
  let database: DiskDatabase | undefined
  try {
    database = disk.openDatabase(path)
    database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0")
    // Before the first read: who is alone needs no file of shared memory, for which a full disk has no room.
    if (access === "alone") database.exec("PRAGMA locking_mode = EXCLUSIVE")
    if (access === "shared") database.exec("BEGIN") // another may be making the tables: all or none of that is looked at
    checkSchema(database, path)
    if (access === "shared") database.exec("ROLLBACK")
    database.exec("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL")
    database.exec("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536")
    if (access === "alone") database.exec("BEGIN IMMEDIATE; COMMIT") // takes the lock: a second process fails here
    prepareSchema(database, path)
    if (access === "shared") database.exec(`PRAGMA busy_timeout = ${readWaitMs}`)
    return database
  } catch (cause) {
    database?.close() // its lock would keep the next from opening it
    if (cause instanceof HoldfastError) throw cause
    if (isDiskFull(cause))
      throw new HoldfastError(
        "ERR_DISK_FULL",
        `The storage directory ${dirname(path)} cannot be used, since its disk is full. Free some space there, then try again.`,
        { path },
        { cause },
      )
    const why = isLocked(cause) ? inUse : `${path} cannot be opened: ${(cause as Error).message}.`
    throw new HoldfastError(
      "ERR_IO",
      `The storage directory ${dirname(path)} cannot be used. ${why}`,
      { path },
      { cause },
    )
  }
}

const inUse =
  "It is in use by another process: a storage node, or a Holdfast of an earlier version; and where other machines may see the folder as well, one command at a time uses it. Try again when that is done."

/** Reading waits only while another process opens the index for the first time, closes it as the last, or mends it after a crash. */
const readWaitMs = 10_000

function beginAlone(database: DiskDatabase): true {
  database.exec("BEGIN IMMEDIATE")
  return true
}

/** SQLite would wait without letting anything else run, so it must not. */
function beginShared(database: DiskDatabase): boolean {
  database.exec("PRAGMA busy_timeout = 0")
  try {
    database.exec("BEGIN IMMEDIATE")
    return true
  } catch (error) {
    if (isLocked(error)) return false
    throw error
  } finally {
    database.exec(`PRAGMA busy_timeout = ${readWaitMs}`)
  }
}

/** True for what is thrown when another process has the index open in a way that leaves no room for this one. */
export function isBusy(error: unknown): boolean {
  return error instanceof HoldfastError && isLocked(error.cause)
}

/** True when an index could not be opened as the system could not read or write, such as a file of shared memory on a full disk. */
export function isUnreadable(error: unknown): boolean {
  const code = error instanceof HoldfastError && (error.cause as { errcode?: unknown } | undefined)?.errcode
  return typeof code === "number" && (code & 0xff) === 10
}

/** SQLITE_BUSY, and what SQLite adds to it in the higher bits. */
function isLocked(error: unknown): boolean {
  const code = (error as { errcode?: unknown } | undefined)?.errcode
  return typeof code === "number" && (code & 0xff) === 5
}

/** True when SQLite or the file system reports a full disk. */
export function isDiskFull(error: unknown): boolean {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  return code === "ENOSPC" || code === "EDQUOT" || errcode === 13
}

/** Undefined for the error of a full disk, of what may as well be done another time. Throws all others. */
export function unlessFull(error: unknown): undefined {
  if (isDiskFull(error) || isHoldfastError(error, "ERR_SERVER_FULL")) return undefined
  throw error
}
