/** The tables of a storage directory from before there were accounts. */
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
