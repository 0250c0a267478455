/** Rows that say whose shares are: accounts, the batches of their commands, marks, and who pays. Rules: docs/protocols/marks.md. */
import type { SQLInputValue } from "node:sqlite"
import { type AccountId, type BatchToken, type MarkInfo, recordBytes } from "@holdfast/protocol"
import { batchBytes, markBytes, rowBytes } from "../rules.ts"
import type { ShareRow } from "./shares.ts"
import type { Statements } from "./statements.ts"

/** An account's row. */
export interface AccountRow {
  readonly account: number
  readonly id: Uint8Array
  /** What it is charged. */
  readonly bytes: number
  readonly shares: number
  /** The newest record of its devices. */
  readonly record: Uint8Array | null
  readonly epoch: number
  /** The day when it was last here, since the epoch. */
  readonly seen: number
}

/** What one command has marked. */
export interface BatchRow {
  readonly batch: number
  readonly payer: number
  readonly stamp: number
  /** 1 when something of it was taken away, or joined with the row of another batch, or may be elsewhere: its command must begin anew. */
  readonly broken: 0 | 1
  /** 1 when a value was accepted with it: most likely its command has ended. */
  readonly used: 0 | 1
}

/** A mark with its batch. */
export interface MarkRow extends BatchRow {
  readonly account: number
}

/** The marks of a storage directory. */
export type MarkTable = ReturnType<typeof markTable>

/** Marks on one share from which on each account has one of its own on it, and nobody makes more on behalf of others. */
export const marksPerShare = 1_024
/** Commands of one payer under way that a share is marked by for one account; the oldest must begin anew. */
const commandsPerMark = 32

/** Bytes of a chunk's id that order marks in their index. */
const cutBytes = 6

/** Statements over marks. Those that change them are called inside a transaction. */
export function markTable(statements: Statements, addUsage: (...values: SQLInputValue[]) => number) {
  const { one, all, change } = statements
  const fields = `account, id, bytes, shares, CASE WHEN length(record) <= ${recordBytes} THEN record END AS record, epoch, seen`
  const readAccount = one<AccountRow>(`SELECT ${fields} FROM accounts WHERE tenant = ? AND id = ?`)
  const insertAccount = change("INSERT INTO accounts (tenant, id) VALUES (?, ?)")
  const readBatch = one<BatchRow>("SELECT * FROM batches WHERE payer = ? AND token = ?")
  const insertBatch = change("INSERT INTO batches (payer, token, stamp) VALUES (?, ?, 0)")
  const breakBatch = change("UPDATE batches SET broken = 1 WHERE batch = ?")
  const insertMark = change("INSERT OR IGNORE INTO marks (share, account, batch, cut) VALUES (?, ?, ?, ?)")
  const deleteMark = change("DELETE FROM marks WHERE share = ? AND account = ? AND batch = ?")
  const marksOf = all<MarkRow>("SELECT m.account, b.* FROM marks m JOIN batches b USING (batch) WHERE m.share = ?")
  const marksFor = all<MarkRow>(
    "SELECT m.account, b.* FROM marks m JOIN batches b USING (batch) WHERE m.share = ? AND m.account = ?",
  )
  const anyMark = one<{ share: number }>("SELECT share FROM marks WHERE share = ? LIMIT 1")
  const countAll = one<{ count: number }>("SELECT count(*) AS count FROM marks WHERE share = ?")
  const countPaid = one<{ count: number }>(
    "SELECT count(*) AS count FROM marks m JOIN batches b USING (batch) WHERE m.share = ? AND b.payer = ?",
  )
  const payersOf = all<{ payer: number }>(
    "SELECT DISTINCT b.payer FROM marks m JOIN batches b USING (batch) WHERE m.share = ?",
  )
  const charge = change("UPDATE accounts SET bytes = bytes + ?, shares = shares + ? WHERE account = ?")

  /** Charges for marks made and taken away, before their rows are: those of a share can be many, so they are counted where they lie. */
  const countRows = one<{ accounts: number; batches: number }>(
    `SELECT (SELECT count(*) FROM accounts WHERE tenant = ?) AS accounts,
       (SELECT count(*) FROM batches b JOIN accounts a ON a.account = b.payer WHERE a.tenant = ?) AS batches`,
  )
  const settle = (tenant: number, share: ShareRow, made: readonly MarkPayer[], gone: readonly MarkPayer[]) => {
    for (const payer of new Set([...made, ...gone].map((mark) => mark.payer))) {
      const count = (marks: readonly MarkPayer[]) => marks.filter((mark) => mark.payer === payer).length
      const before = countPaid(share.row, payer)!.count
      const more = count(made) - count(gone)
      const held = Math.sign(before + more) - Math.sign(before)
      if (more !== 0 || held !== 0) charge(held * (share.size + rowBytes) + more * markBytes, held, payer)
    }
    if (made.length !== gone.length) addUsage(0, 0, (made.length - gone.length) * markBytes, tenant)
  }
  const take = (share: ShareRow, gone: readonly MarkRow[]) => {
    for (const row of gone) {
      breakBatch(row.batch) // or its command might believe that its own mark is still there
      deleteMark(share.row, row.account, row.batch)
    }
  }
  return {
    /** An account's row; undefined before it held anything. */
    account: readAccount,
    accountsAfter: all<AccountRow>(`SELECT ${fields} FROM accounts WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`),
    /** Some of the shares that an account has marked. */
    sharesOf: all<ShareRow>(
      `SELECT row, chunk, idx, size, file FROM shares
       WHERE row IN (SELECT share FROM marks WHERE account = ? ORDER BY cut LIMIT ?)`,
    ),
    accountFor(tenant: number, id: AccountId): AccountRow {
      const row = readAccount(tenant, id)
      if (row) return row
      insertAccount(tenant, id)
      addUsage(0, 0, rowBytes, tenant) // for good: what an account held is forgotten, but not that it was here
      return readAccount(tenant, id)!
    },
    countOf: (tenant: number) => countRows(tenant, tenant)!,
    setRecord: change("UPDATE accounts SET record = ?, epoch = ? WHERE account = ?"),
    setSeen: change("UPDATE accounts SET seen = ?1 WHERE tenant = ?2 AND id = ?3 AND seen < ?1"),
    charge,
    batch: readBatch,
    batchFor(tenant: number, payer: number, token: BatchToken): BatchRow {
      const row = readBatch(payer, token)
      if (row) return row
      insertBatch(payer, token)
      addUsage(0, 0, batchBytes, tenant)
      return readBatch(payer, token)!
    },
    setStamp: change("UPDATE batches SET stamp = ? WHERE batch = ?"),
    breakBatch,
    setUsed: change("UPDATE batches SET stamp = ?, used = 1 WHERE batch = ?"),
    marksOf,
    /** Those of one account. */
    marksFor,
    isMarked: (share: number) => anyMark(share) !== undefined,
    markCount: (share: number) => countAll(share)!.count,
    pays: (share: number, payer: number) => countPaid(share, payer)!.count > 0,
    /** Marks a share. Rows of batches that are over are joined with the new one, which has the youngest stamp. */
    addMarks(tenant: number, share: ShareRow, accounts: readonly number[], batch: BatchRow, isOver: IsOver): void {
      const most = countAll(share.row)!.count < marksPerShare ? commandsPerMark : 1
      const before = accounts.map((account) => marksFor(share.row, account))
      const joined = before.flatMap((rows) => joinedOf(rows, batch, isOver, most))
      const made = accounts.filter((_, i) => !before[i]!.some((row) => row.batch === batch.batch)).map(() => batch)
      settle(tenant, share, made, joined)
      take(share, joined)
      for (const account of accounts) insertMark(share.row, account, batch.batch, share.chunk.subarray(0, cutBytes))
    },
    /** Takes marks of a share away, of which their commands must know; true when others are left. */
    dropMarks(tenant: number, share: ShareRow, gone: readonly MarkRow[]): boolean {
      settle(tenant, share, [], gone)
      take(share, gone)
      return anyMark(share.row) !== undefined
    },
    /** Charges all who hold a share for its new size. */
    resize(share: ShareRow, size: number): void {
      for (const { payer } of payersOf(share.row)) charge(size - share.size, 0, payer)
    },
    list: markLister(statements),
    /** Inside a transaction, before anybody is served. */
    forgetBatches: batchForgetter(statements, addUsage),
  }
}

type MarkPayer = Pick<BatchRow, "payer">
type IsOver = (batch: Pick<BatchRow, "stamp">) => boolean

/**
 * Which of an account's rows on a share go when a batch marks it: those that are over, and the oldest of the payer's own so that no
 * more than `most` commands are under way with it. Many commands that never end must not make each mark of the share dear.
 */
function joinedOf(rows: readonly MarkRow[], batch: BatchRow, isOver: IsOver, most: number): MarkRow[] {
  const over = rows.filter((row) => joins(row, batch, isOver))
  const others = rows.filter((row) => row.batch !== batch.batch && row.payer === batch.payer && !over.includes(row))
  const surplus = Math.max(0, others.length - (most - 1))
  return [...over, ...others.toSorted((a, b) => a.stamp - b.stamp || a.batch - b.batch).slice(0, surplus)]
}

function joins(row: MarkRow, batch: BatchRow, isOver: IsOver): boolean {
  if (row.batch === batch.batch || (row.payer !== batch.payer && batch.payer !== row.account)) return false
  return row.broken === 1 || row.used === 1 || isOver(row)
}

/** An account's marks after a position, each share once; at least one while there are any. */
function markLister({ all }: Statements) {
  const from = "FROM marks m JOIN shares s ON s.row = m.share WHERE m.account = ?"
  const fields = "SELECT s.chunk AS id, s.idx AS 'index', s.size AS sizeBytes"
  const order = "ORDER BY m.cut, s.chunk, s.idx LIMIT ?"
  const first = all<MarkInfo>(`${fields} ${from} ${order}`)
  const next = all<MarkInfo>(`${fields} ${from} AND m.cut >= ? AND (m.cut > ? OR (s.chunk, s.idx) > (?, ?)) ${order}`)
  return (account: number, after: { id: Uint8Array; index: number } | undefined, limit: number): MarkInfo[] => {
    const cut = after?.id.subarray(0, cutBytes)
    const rows = after && cut ? next(account, cut, cut, after.id, after.index, limit) : first(account, limit)
    return rows.filter((row, i) => i === 0 || !isSame(rows[i - 1]!, row))
  }
}

function isSame(a: MarkInfo, b: MarkInfo): boolean {
  return a.index === b.index && Buffer.compare(a.id, b.id) === 0
}

/**
 * Forgets batches that hold nothing any more, long after their commands: none of a payer's last 65,536, and none younger than a
 * year. A token that was forgotten would vouch again, so neither a clock that jumps nor many commands alone may bring it about.
 */
function batchForgetter({ all, change }: Statements, addUsage: (...values: SQLInputValue[]) => number) {
  const kept = 65_536
  const yearMs = 366 * 86_400_000
  const payers = all<{ payer: number; tenant: number }>(
    `SELECT b.payer, a.tenant FROM batches b JOIN accounts a ON a.account = b.payer GROUP BY b.payer HAVING count(*) > ${kept}`,
  )
  const forget = change(
    `DELETE FROM batches WHERE payer = ?1 AND stamp < ?2 AND batch <= (
       SELECT batch FROM batches WHERE payer = ?1 ORDER BY batch DESC LIMIT 1 OFFSET ${kept}
     ) AND batch NOT IN (SELECT batch FROM marks)`,
  )
  return (stamp: number) => {
    for (const { payer, tenant } of payers()) addUsage(0, 0, -batchBytes * forget(payer, stamp - yearMs), tenant)
  }
}
