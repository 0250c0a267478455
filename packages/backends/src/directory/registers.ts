/** Rows of registers: the newest value of each, who holds it, and values kept behind it. Rules: docs/protocols/marks.md. */
import type { SQLInputValue } from "node:sqlite"
import { limits } from "@holdfast/core"
import type { RegisterId } from "@holdfast/protocol"
import { markBytes, rowBytes } from "../rules.ts"
import { beginning, bounded } from "./schema.ts"
import type { Statements } from "./statements.ts"

/** A register's row. */
export interface RegisterRow {
  readonly register: Uint8Array
  readonly sequence: number
  readonly value: Uint8Array
  readonly received: number
}

/** Who holds a register. */
export interface RegisterMarkRow {
  readonly account: number
  readonly payer: number
  readonly stamp: number
}

/** A value kept behind the newest. */
export interface KeptRow {
  readonly sequence: number
  readonly value: Uint8Array
  readonly received: number
  readonly stamp: number
  readonly payer: number
}

/** The same without the value. */
export type KeptSize = Pick<KeptRow, "sequence" | "stamp" | "payer"> & { readonly size: number }

/** The registers of a storage directory. */
export type RegisterTable = ReturnType<typeof registerTable>

/** Hears of a register whose value is replaced or goes. */
export type OnRegister = (tenant: number, id: RegisterId) => void

/** Statements over registers. Those that change them are called inside a transaction. */
export function registerTable(
  statements: Statements,
  addUsage: (...values: SQLInputValue[]) => number,
  onRegister: OnRegister,
) {
  const { one, all, change } = statements
  const value = bounded("value", limits.registerValueBytes)
  const fields = `register, sequence, ${value}, received`
  const charge = change("UPDATE accounts SET bytes = bytes + ? WHERE account = ?")
  const write = change(
    "INSERT OR REPLACE INTO registers (tenant, register, sequence, value, received) VALUES (?, ?, ?, ?, ?)",
  )
  const drop = change("DELETE FROM registers WHERE tenant = ? AND register = ?")
  const marksOf = all<RegisterMarkRow>(
    "SELECT account, payer, stamp FROM register_marks WHERE tenant = ? AND register = ?",
  )
  const writeMark = change(
    "INSERT OR REPLACE INTO register_marks (tenant, register, account, payer, stamp) VALUES (?, ?, ?, ?, ?)",
  )
  const deleteMark = change("DELETE FROM register_marks WHERE account = ? AND register = ?")
  const settle = (
    tenant: number,
    size: number,
    before: readonly RegisterMarkRow[],
    after: readonly RegisterMarkRow[],
  ) => {
    const payers = new Set([...before, ...after].map(({ payer }) => payer))
    for (const payer of payers) {
      const count = (marks: readonly RegisterMarkRow[]) => marks.filter((mark) => mark.payer === payer).length
      const held = Math.sign(count(after)) - Math.sign(count(before))
      charge(held * (size + rowBytes) + (count(after) - count(before)) * markBytes, payer)
    }
    addUsage(0, 0, (after.length - before.length) * markBytes, tenant)
  }
  return {
    get: one<RegisterRow>(`SELECT ${fields} FROM registers WHERE tenant = ? AND register = ?`),
    /** How the value begins, of whatever length it is. */
    head: one<{ head: Uint8Array }>(`SELECT ${beginning("value")} FROM registers WHERE tenant = ? AND register = ?`),
    after: all<RegisterRow>(
      `SELECT ${fields} FROM registers WHERE tenant = ? AND register > ? ORDER BY register LIMIT ?`,
    ),
    ofAccount: all<{ register: Uint8Array }>(
      "SELECT register FROM register_marks WHERE account = ? AND register > ? ORDER BY register LIMIT ?",
    ),
    marksOf,
    /** Takes a value; who holds the register pays for what it is longer. */
    put(tenant: number, id: RegisterId, value: Omit<RegisterRow, "register">, held: RegisterRow | undefined): void {
      write(tenant, id, value.sequence, value.value, value.received)
      onRegister(tenant, id)
      const moreBytes = value.value.length - (held?.value.length ?? 0)
      addUsage(moreBytes, 0, moreBytes + (held ? 0 : rowBytes), tenant)
      for (const payer of new Set(marksOf(tenant, id).map((mark) => mark.payer))) charge(moreBytes, payer)
    },
    drop(tenant: number, held: RegisterRow): void {
      drop(tenant, held.register)
      onRegister(tenant, held.register)
      addUsage(-held.value.length, 0, -held.value.length - rowBytes, tenant)
    },
    /** Marks a register. Whoever marked it first for an account pays, until that account itself marks it. */
    mark(tenant: number, held: RegisterRow, accounts: readonly number[], by: { payer: number; stamp: number }): void {
      const before = marksOf(tenant, held.register)
      for (const account of accounts) {
        const known = before.find((mark) => mark.account === account)
        const payer = known && account !== by.payer ? known.payer : by.payer
        writeMark(tenant, held.register, account, payer, by.stamp)
      }
      settle(tenant, held.value.length, before, marksOf(tenant, held.register))
    },
    /** Takes marks away; gives those that are left. */
    unmark(tenant: number, held: RegisterRow, goes: (mark: RegisterMarkRow) => boolean): RegisterMarkRow[] {
      const before = marksOf(tenant, held.register)
      const after = before.filter((mark) => !goes(mark))
      for (const { account } of before.filter(goes)) deleteMark(account, held.register)
      settle(tenant, held.value.length, before, after)
      return after
    },
    ...keptTable(statements, (tenant, bytes, payer) => {
      charge(bytes, payer)
      addUsage(0, 0, bytes, tenant)
    }),
  }
}

function keptTable({ all, change }: Statements, charge: (tenant: number, bytes: number, payer: number) => void) {
  const fields = `sequence, ${bounded("value", limits.registerValueBytes)}, received, stamp, payer`
  const keep = change(
    "INSERT OR IGNORE INTO kept (account, register, sequence, value, received, stamp, payer) VALUES (?, ?, ?, ?, ?, ?, ?)",
  )
  const forget = change("DELETE FROM kept WHERE account = ? AND register = ? AND sequence = ?")
  const below = all<KeptRow>(
    `SELECT ${fields} FROM kept WHERE account = ? AND register = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?`,
  )
  // All of them at once would be much more than one request may take.
  const sizesBelow = all<KeptSize>(
    "SELECT sequence, length(value) AS size, stamp, payer FROM kept WHERE account = ? AND register = ? AND sequence < ?",
  )
  return {
    /** Keeps a value that is superseded, for an account that holds the register. */
    keep(tenant: number, account: number, held: RegisterRow, by: { payer: number; stamp: number }): void {
      const kept = keep(account, held.register, held.sequence, held.value, held.received, by.stamp, by.payer)
      if (kept > 0) charge(tenant, held.value.length + rowBytes, by.payer)
    },
    kept: below,
    /** Forgets values kept for an account. */
    trim(tenant: number, account: number, id: RegisterId, sequence: number, goes: (kept: KeptSize) => boolean): void {
      for (const row of sizesBelow(account, id, sequence).filter(goes)) {
        forget(account, id, row.sequence)
        charge(tenant, -row.size - rowBytes, row.payer)
      }
    },
  }
}
