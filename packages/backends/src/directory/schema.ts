/**
 * The tables of a storage directory and how older ones become these. A share exists when its row does; a large share's row names
 * its file. Whose it is stands in `marks`: rules in docs/protocols/marks.md. `cost` is what bytes and rows take of the disk.
 */
import { DatabaseSync } from "node:sqlite"
import { HoldfastError, toHex } from "@holdfast/core"
import { legacyAccount, newerHeadBytes } from "@holdfast/protocol"
import { markBytes, rowBytes } from "../rules.ts"
import type { DiskDatabase } from "./disk.ts"

const schemaVersion = 2

/** The tables from before there were accounts. */
export const version1 = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE tenants (
    tenant INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL DEFAULT 0, shares INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE shares (
    row INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, chunk BLOB NOT NULL, idx INTEGER NOT NULL,
    size INTEGER NOT NULL, touched INTEGER NOT NULL, file TEXT, UNIQUE (tenant, chunk, idx)
  ) STRICT;
  CREATE TABLE small (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE registers (
    tenant INTEGER NOT NULL, register BLOB NOT NULL, sequence INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (tenant, register)
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = 1;
`

const tables = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE tenants (
    tenant INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL DEFAULT 0, shares INTEGER NOT NULL DEFAULT 0, cost INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE shares (
    row INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, chunk BLOB NOT NULL, idx INTEGER NOT NULL,
    size INTEGER NOT NULL, file TEXT, UNIQUE (tenant, chunk, idx)
  ) STRICT;
  CREATE TABLE small (row INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE registers (
    tenant INTEGER NOT NULL, register BLOB NOT NULL, sequence INTEGER NOT NULL, value BLOB NOT NULL,
    received INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, register)
  ) STRICT, WITHOUT ROWID;
`

/** `cut` is the beginning of the chunk's id: it orders an account's marks as a listing has them. */
const ownership = `
  CREATE TABLE accounts (
    account INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, id BLOB NOT NULL, record BLOB, epoch INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, shares INTEGER NOT NULL DEFAULT 0, UNIQUE (tenant, id)
  ) STRICT;
  CREATE TABLE batches (
    batch INTEGER PRIMARY KEY, payer INTEGER NOT NULL, token BLOB NOT NULL, stamp INTEGER NOT NULL,
    broken INTEGER NOT NULL DEFAULT 0, used INTEGER NOT NULL DEFAULT 0, UNIQUE (payer, token)
  ) STRICT;
  CREATE TABLE marks (
    share INTEGER NOT NULL, account INTEGER NOT NULL, batch INTEGER NOT NULL, cut BLOB NOT NULL,
    PRIMARY KEY (share, account, batch)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX marks_of_account ON marks (account, cut);
  CREATE TABLE register_marks (
    tenant INTEGER NOT NULL, register BLOB NOT NULL, account INTEGER NOT NULL, payer INTEGER NOT NULL, stamp INTEGER NOT NULL,
    PRIMARY KEY (account, register)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX marks_of_register ON register_marks (tenant, register);
  CREATE TABLE kept (
    account INTEGER NOT NULL, register BLOB NOT NULL, sequence INTEGER NOT NULL, value BLOB NOT NULL,
    received INTEGER NOT NULL, stamp INTEGER NOT NULL, payer INTEGER NOT NULL, PRIMARY KEY (account, register, sequence)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE statements (
    tenant INTEGER NOT NULL, id BLOB NOT NULL, serial INTEGER NOT NULL, drops INTEGER NOT NULL, stamp INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE removing (tenant TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (tenant, file)) STRICT, WITHOUT ROWID;
`

/** What there was before accounts belongs to the account that nobody is: see docs/protocols/marks.md. */
const toVersion2 = `
  ALTER TABLE shares DROP COLUMN touched;
  ALTER TABLE registers ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE tenants ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
  ${ownership}
  INSERT INTO accounts (tenant, id) SELECT tenant, x'${toHex(legacyAccount)}' FROM tenants;
  INSERT INTO batches (payer, token, stamp, used) SELECT account, zeroblob(16), 0, 1 FROM accounts;
  INSERT INTO marks (share, account, batch, cut)
    SELECT s.row, a.account, b.batch, substr(s.chunk, 1, 6)
    FROM shares s JOIN accounts a USING (tenant) JOIN batches b ON b.payer = a.account;
  INSERT INTO register_marks (tenant, register, account, payer, stamp)
    SELECT r.tenant, r.register, a.account, a.account, 0 FROM registers r JOIN accounts a USING (tenant);
  UPDATE tenants SET cost = bytes + ${rowBytes + markBytes}
    * (shares + (SELECT count(*) FROM registers r WHERE r.tenant = tenants.tenant));
  UPDATE accounts SET (bytes, shares) = (SELECT cost, shares FROM tenants t WHERE t.tenant = accounts.tenant);
`

/**
 * Makes the tables, or brings older ones up to date in one transaction. Nothing is written before it is sure that the database is
 * ours: somebody else may have written the directory. Throws ERR_UNSUPPORTED_VERSION for newer ones, ERR_CORRUPT for others.
 */
export function prepareSchema(database: DiskDatabase, path: string): void {
  const version = versionOf(database)
  if (version > schemaVersion)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `The storage index ${path} needs a newer Holdfast.`, { path })
  if (version === schemaVersion) return
  database.exec("BEGIN IMMEDIATE")
  checkSchema(database, path) // another process may have made the tables meanwhile
  if (versionOf(database) !== version) {
    database.exec("ROLLBACK")
    prepareSchema(database, path)
    return
  }
  const change = version === 0 ? tables + ownership : toVersion2
  database.exec(`${change}; PRAGMA user_version = ${schemaVersion}; COMMIT`)
}

/**
 * Throws ERR_CORRUPT unless the database holds our tables and nothing else: no trigger, view, generated column or index that
 * would compute something on our behalf. Only reads.
 */
export function checkSchema(database: DiskDatabase, path: string): void {
  const version = versionOf(database)
  const found = objectsIn(database)
  if (version > schemaVersion || (version === 0 && found.length === 0)) return
  const isOurs = (ours: readonly string[]) => ours.length === found.length && ours.every((one, i) => one === found[i])
  if (!ourSchemas.some((ours) => ours.version === version && isOurs(objectsOf(ours.sql))))
    throw new HoldfastError(
      "ERR_CORRUPT",
      `${path} is no storage index of Holdfast's, or somebody changed its tables: it is not used. Restore it from a backup, or empty the directory and let \`check --deep --repair\` fill it again.`,
      { path },
    )
}

function versionOf(database: DiskDatabase): number {
  return (database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version
}

/** What a database defines, in words that are compared. */
function objectsIn(database: DiskDatabase): string[] {
  const rows = database.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT 100").all()
  return (rows as Record<string, unknown>[])
    .map(({ type, name, tbl_name, sql }) => [type, name, tbl_name, String(sql).replaceAll(/\s+/g, " ")].join("|"))
    .sort()
}

/** Those of new directories, the usual ones, and of ones that began with an older version. */
const ourSchemas = [
  { version: 2, sql: tables + ownership },
  { version: 2, sql: version1 + toVersion2 },
  { version: 1, sql: version1 },
]
const known = new Map<string, readonly string[]>()

/** What a database defines that was made by `sql`. */
function objectsOf(sql: string): readonly string[] {
  const before = known.get(sql)
  if (before) return before
  const database = new DatabaseSync(":memory:")
  database.exec(sql)
  const objects = objectsIn(database)
  database.close()
  known.set(sql, objects)
  return objects
}

/** A column of bytes; one with more than we ever put there counts as empty, and is not read. */
export function bounded(column: string, mostBytes: number): string {
  return `CASE WHEN typeof(${column}) = 'blob' AND length(${column}) <= ${mostBytes} THEN ${column} ELSE x'' END AS ${column}`
}

/** How a column of bytes begins, whatever its length. */
export function beginning(column: string): string {
  return `CASE WHEN typeof(${column}) = 'blob' THEN substr(${column}, 1, ${newerHeadBytes}) ELSE x'' END AS head`
}
