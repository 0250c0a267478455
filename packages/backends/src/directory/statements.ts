/** Prepared statements over the index. */
import type { SQLInputValue } from "node:sqlite"
import { HoldfastError } from "@holdfast/core"
import type { DiskDatabase } from "./disk.ts"

/** Prepared statements, by what they give. */
export interface Statements {
  one<T>(sql: string): (...values: SQLInputValue[]) => T | undefined
  all<T>(sql: string): (...values: SQLInputValue[]) => T[]
  /** How many rows it changed. */
  change(sql: string): (...values: SQLInputValue[]) => number
  /** The row that it made. */
  insert(sql: string): (...values: SQLInputValue[]) => number
}

/** Prepares statements of `database`. */
export function statementsOf(database: DiskDatabase): Statements {
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
