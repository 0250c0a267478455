/** The marks of a place in memory: who holds which share, for which command, and who pays. Specification: docs/protocols/marks.md. */
import { toHex } from "@holdfast/core"
import type { AccountId, BatchToken, ChunkId } from "@holdfast/protocol"
import { rowBytes } from "./rules.ts"

/** What one command has marked. */
export interface Batch {
  /** The account, in hexadecimal, that the command is of and that pays. */
  readonly payer: string
  stamp: number
  /** Something of it was taken away, or it is so old that its rows are joined with others: its command must begin anew. */
  broken: boolean
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

  /** Runs a change of a share's marks and charges accordingly: each payer the whole share, once. */
  change(share: HeldShare, work: () => void): void {
    const before = payersOf(share)
    work()
    const after = payersOf(share)
    for (const payer of without(after, before)) this.#add(payer, share, 1)
    for (const payer of without(before, after)) this.#add(payer, share, -1)
  }

  #add(payer: string, { bytes }: HeldShare, sign: 1 | -1): void {
    const charge = this.of(payer)
    charge.bytes += sign * (bytes.length + rowBytes)
    charge.shares += sign
  }
}

/** Whether `payer` is charged for a share already. */
export function pays(share: HeldShare, payer: string): boolean {
  return payersOf(share).has(payer)
}

/** The batch of `token`, made at its first use. */
export function batchOf(batches: Map<string, Batch>, payer: string, token: BatchToken): Batch {
  const key = `${payer} ${toHex(token)}`
  const batch = batches.get(key) ?? { payer, stamp: 0, broken: false }
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

function payersOf(share: HeldShare): Set<string> {
  return new Set([...share.marks.values()].flatMap((rows) => [...rows].map(({ payer }) => payer)))
}

/** Those of `all` that are not among `others`. */
export function without(all: ReadonlySet<string>, others: ReadonlySet<string>): string[] {
  return [...all].filter((one) => !others.has(one))
}
