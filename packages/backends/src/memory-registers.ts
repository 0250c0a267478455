/** The registers of a place in memory: the newest value of each, who holds it, and the values kept behind it. */
import { toHex } from "@holdfast/core"
import {
  type AccountAccess,
  type AccountId,
  type KeptValue,
  keptPerAnswer,
  legacyAccount,
  type RegisterId,
} from "@holdfast/protocol"
import { countPayers, type Ledger } from "./memory-marks.ts"
import { markBytes, rowBytes } from "./rules.ts"

interface Mark {
  stamp: number
  payer: string
}

interface Kept extends KeptValue {
  readonly stamp: number
  readonly payer: string
}

/** A register in memory. */
export interface HeldRegister {
  readonly id: RegisterId
  sequence: number
  bytes: Uint8Array
  receivedMs: number
  /** By account in hexadecimal. */
  readonly marks: Map<string, Mark>
  /** By account, oldest first: what was superseded without its collector's doing. */
  readonly kept: Map<string, Kept[]>
}

/** A value to take. */
export interface NewValue {
  readonly id: RegisterId
  readonly sequence: number
  readonly bytes: Uint8Array
  readonly receivedMs: number
  readonly stamp: number
}

const legacy = toHex(legacyAccount)

/** Takes a value that was judged good, and marks its register for `accounts`. */
export function takeValue(
  held: HeldRegister | undefined,
  value: NewValue,
  { access, accounts, ledger }: { access: AccountAccess; accounts: readonly AccountId[]; ledger: Ledger },
): HeldRegister {
  const register = held ?? { ...value, bytes: value.bytes.slice(), marks: new Map(), kept: new Map() }
  const payer = toHex(access.account)
  if (value.sequence > register.sequence) {
    for (const account of register.marks.keys())
      if (mustKeep(access, account)) keep(register, account, { payer, stamp: value.stamp, ledger })
    recharge(register, value.bytes.length - register.bytes.length, ledger)
    Object.assign(register, { sequence: value.sequence, bytes: value.bytes.slice(), receivedMs: value.receivedMs })
  }
  for (const account of accounts.map(toHex)) {
    const mark = register.marks.get(account)
    // Whoever marked it first pays, until the account itself marks it.
    if (mark && account !== payer) mark.stamp = value.stamp
    else setMark(register, account, { stamp: value.stamp, payer }, ledger)
  }
  return register
}

/** What a value costs who proposes it: bytes that are more than those of the one before, copies that stay of that, and new marks. */
export function costOfValue(
  held: HeldRegister | undefined,
  { sequence, bytes }: Pick<NewValue, "sequence" | "bytes">,
  { access, accounts }: { access: AccountAccess; accounts: readonly AccountId[] },
): number {
  const marks = held?.marks ?? new Map<string, Mark>()
  const payer = toHex(access.account)
  const newMarks = accounts.map(toHex).filter((account) => {
    const mark = marks.get(account)
    return !mark || (account === payer && mark.payer !== payer)
  })
  const keepers = [...marks.keys()].filter((account) => mustKeep(access, account))
  const kept = held && sequence > held.sequence ? keepers.length * (held.bytes.length + rowBytes) : 0
  const growth = Math.max(0, bytes.length - (held?.bytes.length ?? 0))
  const pays = [...marks.values()].some((mark) => mark.payer === payer)
  return (pays ? growth : bytes.length + rowBytes) + newMarks.length * markBytes + kept
}

/** What `account` may see: the newest value, then those kept for it. */
export function valuesOf(register: HeldRegister, account: AccountId, below = Number.POSITIVE_INFINITY): KeptValue[] {
  const { sequence, bytes, receivedMs } = register
  return [{ sequence, bytes, receivedMs }, ...(register.kept.get(toHex(account)) ?? []).toReversed()]
    .filter((value) => value.sequence < below)
    .slice(0, keptPerAnswer)
    .map((value) => ({ sequence: value.sequence, bytes: value.bytes.slice(), receivedMs: value.receivedMs }))
}

/** Takes an account's mark away, and what is kept for it. */
export function dropMark(register: HeldRegister, account: string, ledger: Ledger): void {
  trim(register, account, () => true, ledger)
  setMark(register, account, undefined, ledger)
}

/** Forgets values kept for an account. */
export function trim(register: HeldRegister, account: string, goes: (kept: Kept) => boolean, ledger: Ledger): void {
  const kept = register.kept.get(account) ?? []
  for (const value of kept.filter(goes)) ledger.of(value.payer).bytes -= value.bytes.length + rowBytes
  register.kept.set(
    account,
    kept.filter((value) => !goes(value)),
  )
}

/** A value may go without being kept only by the word of who may collect for the account that holds it. */
function mustKeep({ account, roles }: AccountAccess, holder: string): boolean {
  if (holder === legacy) return false // nobody could ever trim it
  return holder !== toHex(account) || !roles.includes("collect")
}

function keep(
  register: HeldRegister,
  account: string,
  { payer, stamp, ledger }: { payer: string; stamp: number; ledger: Ledger },
): void {
  const { sequence, bytes, receivedMs } = register
  register.kept.set(account, [...(register.kept.get(account) ?? []), { sequence, bytes, receivedMs, stamp, payer }])
  ledger.of(payer).bytes += bytes.length + rowBytes
}

function recharge(register: HeldRegister, moreBytes: number, ledger: Ledger): void {
  for (const payer of countPayers([...register.marks.values()]).keys()) ledger.of(payer).bytes += moreBytes
}

function setMark(register: HeldRegister, account: string, mark: Mark | undefined, ledger: Ledger): void {
  const before = countPayers([...register.marks.values()])
  if (mark) register.marks.set(account, mark)
  else register.marks.delete(account)
  ledger.settle(before, countPayers([...register.marks.values()]), register.bytes.length, 0)
}
