import { HoldfastError } from "@holdfast/core"
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

/**
 * Opens or makes the index at `path`, for this process alone. `onRegister` hears of each register whose value a transaction changes,
 * before that is committed. Throws ERR_IO.
 */
export function openIndex(disk: Disk, path: string, onRegister: OnRegister) {
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
