/** The marks of a place in memory: who holds which share, for which command, and who pays. Specification: docs/protocols/marks.md. */
import { toHex } from "@holdfast/core"
import type { AccountId, BatchToken, ChunkId } from "@holdfast/protocol"
import { markBytes, rowBytes } from "./rules.ts"

/** What one command has marked. */
export interface Batch {
  /** The account, in hexadecimal, that the command is of and that pays. */
  readonly payer: string
  stamp: number
  /** Something of it was taken away, or joined with the row of another batch: its command must begin anew. */
  broken: boolean
  /** A value was accepted with it: most likely its command has ended. */
  used: boolean
}

/** A share in memory. */
export interface HeldShare {
  readonly id: ChunkId
  readonly index: number
  readonly bytes: Uint8Array
  /** By account in hexadecimal: the batches that marked it. */
  readonly marks: Map<string, Set<Batch>>
}

/** Who is charged what. */
export interface Charge {
  bytes: number
  shares: number
}

/** Charges of all accounts of a place. */
export class Ledger {
  readonly #charges = new Map<string, Charge>()

  /** What `account`, in hexadecimal, is charged. */
  of(account: string): Charge {
    const charge = this.#charges.get(account) ?? { bytes: 0, shares: 0 }
    this.#charges.set(account, charge)
    return charge
  }

  /** Runs a change of a share's marks and charges accordingly: each payer the whole share once, and each of its marks. */
  change(share: HeldShare, work: () => void): void {
    const before = marksByPayer(share)
    work()
    const after = marksByPayer(share)
    this.settle(before, after, share.bytes.length, 1)
  }

  /** Charges each payer for `bytes` once, and for each of its marks: how many before, and after. */
  settle(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>, bytes: number, shares: 0 | 1): void {
    for (const payer of new Set([...before.keys(), ...after.keys()])) {
      const [was, is] = [before.get(payer) ?? 0, after.get(payer) ?? 0]
      const held = Math.sign(is) - Math.sign(was)
      const charge = this.of(payer)
      charge.bytes += held * (bytes + rowBytes) + (is - was) * markBytes
      charge.shares += held * shares
    }
  }
}

/** Whether `payer` is charged for a share already. */
export function pays(share: HeldShare, payer: string): boolean {
  return marksByPayer(share).has(payer)
}

/** The batch of `token`, made at its first use. */
export function batchOf(batches: Map<string, Batch>, payer: string, token: BatchToken): Batch {
  const key = `${payer} ${toHex(token)}`
  const batch = batches.get(key) ?? { payer, stamp: 0, broken: false, used: false }
  batches.set(key, batch)
  return batch
}

/** Marks a share for `accounts`. Rows of batches that are over are joined with the new one. */
export function addMarks(
  share: HeldShare,
  accounts: readonly AccountId[],
  batch: Batch,
  isOver: (batch: Batch) => boolean,
) {
  for (const account of accounts.map(toHex)) {
    const rows = share.marks.get(account) ?? new Set()
    share.marks.set(account, rows)
    for (const row of rows) {
      const joins = row !== batch && (row.payer === batch.payer || batch.payer === account)
      if (!joins || !(row.broken || isOver(row))) continue
      row.broken = true // or its command might believe that its own mark is still there
      rows.delete(row)
    }
    rows.add(batch)
  }
}

function marksByPayer(share: HeldShare): Map<string, number> {
  return countPayers([...share.marks.values()].flatMap((rows) => [...rows]))
}

/** How many marks each pays for. */
export function countPayers(marks: readonly { readonly payer: string }[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { payer } of marks) counts.set(payer, (counts.get(payer) ?? 0) + 1)
  return counts
}
