/**
 * The SQLite databases of a simulated disk: real ones, in memory. Commits are durable when the database was told to wait for
 * the disk (PRAGMA synchronous); otherwise a crash takes back those since the disk was last written to by itself.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import type { DiskDatabase, DiskStatement } from "@holdfast/backends/directory"
import type { Random } from "./random.ts"

const fullSynchronous = 2

/** What a database asks before a commit and tells after it: either may throw. */
export interface CommitHooks {
  beforeCommit(): void
  afterCommit(): void
  /** Throws when the process that uses it is dead. */
  check(): void
}

/** A database as it lies on a disk. */
export class StoredDatabase {
  #live = new DatabaseSync(":memory:")
  /** What a crash leaves; undefined while that is all. */
  #durable: DatabaseSync | undefined
  readonly #random: Random
  /** Of `query`, over what is live. */
  readonly #statements = new Map<string, StatementSync>()

  constructor(random: Random) {
    this.#random = random
  }

  /** Another with the same rows. */
  copy(): StoredDatabase {
    const copy = new StoredDatabase(this.#random.fork("copy"))
    this.#rollback()
    copy.#live = copyOf(this.#live)
    return copy
  }

  /** Rows, whatever process runs over it. */
  query<T>(sql: string, ...values: SQLInputValue[]): T[] {
    let statement = this.#statements.get(sql)
    if (!statement) {
      statement = this.#live.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement.all(...values) as T[]
  }

  /** Changes rows behind the back of the process. */
  tamper(sql: string, ...values: SQLInputValue[]): void {
    this.#live.prepare(sql).run(...values)
  }

  /** The database as a process sees it. */
  open(hooks: CommitHooks): DiskDatabase {
    const database = this.#live
    const guarded = (statement: DiskStatement): DiskStatement => ({
      get: (...values) => {
        hooks.check()
        return statement.get(...values)
      },
      all: (...values) => {
        hooks.check()
        return statement.all(...values)
      },
      run: (...values) => {
        hooks.check()
        return statement.run(...values)
      },
    })
    return {
      exec: (sql) => {
        hooks.check()
        if (/\bCOMMIT;?\s*$/.test(sql)) {
          hooks.beforeCommit()
          database.exec(sql)
          this.#committed()
          hooks.afterCommit()
        } else database.exec(sql)
      },
      prepare: (sql) => guarded(database.prepare(sql)),
      close: () => hooks.check(),
    }
  }

  /** What was not durable is gone. */
  crash(): void {
    this.#rollback()
    if (!this.#durable) return
    this.#live = copyOf(this.#durable)
    this.#statements.clear()
  }

  /** Ends the transaction of a process that died in it. */
  #rollback(): void {
    if (this.#live.isTransaction) this.#live.exec("ROLLBACK")
  }

  #committed(): void {
    const { synchronous } = this.#live.prepare("PRAGMA synchronous").get() as { synchronous: number }
    if (synchronous >= fullSynchronous) this.#durable = undefined
    else if (!this.#durable) this.#durable = copyOf(this.#live)
    else if (this.#random.chance(0.1)) this.#durable = copyOf(this.#live)
  }
}

function copyOf(source: DatabaseSync): DatabaseSync {
  const copy = new DatabaseSync(":memory:")
  const tables = source.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table'").all() as {
    name: string
    sql: string
  }[]
  for (const { name, sql } of tables) {
    copy.exec(sql)
    const all = source.prepare(`SELECT * FROM ${name}`)
    all.setReadBigInts(true) // somebody may have put numbers there that JavaScript does not have
    const rows = all.all() as Record<string, SQLInputValue>[]
    for (const row of rows) {
      const values = Object.values(row)
      copy.prepare(`INSERT INTO ${name} VALUES (${values.map(() => "?").join()})`).run(...values)
    }
  }
  const indexes = source.prepare("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").all()
  for (const { sql } of indexes as { sql: string }[]) copy.exec(sql)
  const { user_version: version } = source.prepare("PRAGMA user_version").get() as { user_version: number }
  copy.exec(`PRAGMA user_version = ${version}`)
  return copy
}
