/** Taking register values: rules O6 and O7 of docs/protocols/marks.md, in one transaction. */
import { equal, isHoldfastError } from "@holdfast/core"
import {
  type AccountAccess,
  type BatchState,
  decodeRegisterValue,
  legacyAccount,
  type ProposeOutcome,
  rankOf,
  registerIdOf,
} from "@holdfast/protocol"
import { judgeProposal, markBytes, rowBytes, whyUnheld } from "../rules.ts"
import type { BatchRow } from "./marks.ts"
import { type Caller, type EngineParts, newAccountBytes, overQuota, type Tenant, takeSpace } from "./parts.ts"
import type { RegisterRow } from "./registers.ts"

/** Accounts that hold one register from which on nobody names more: each keeps a copy of what is superseded. */
const holdersPerRegister = 256

type Proposer = Omit<Caller, "batch"> & Partial<Pick<Caller, "batch">>
type BatchOwner = Pick<Proposer, "access" | "batch">

interface Checked {
  readonly id: Uint8Array
  readonly sequence: number
}

/** Takes what is good of `values`. Throws ERR_SERVER_FULL. */
export async function proposeRegisters(
  parts: EngineParts,
  tenant: Tenant,
  values: readonly Uint8Array[],
  proposer: Proposer,
): Promise<ProposeOutcome[]> {
  if (values.length === 0) return []
  await parts.space.measure()
  const checks = await Promise.all(values.map((bytes) => checkValue(parts, bytes)))
  return parts.committer.run(() => {
    const stamp = parts.stamps.next()
    const batch = batchOf(parts, tenant, proposer)
    return values.map((bytes, i) => {
      const check = checks[i]!
      if (typeof check === "string") return { accepted: false as const, message: check }
      return propose(parts, tenant, { ...proposer, ...check, bytes, batch, stamp })
    })
  }, tenant.name)
}

/** Rule O6 before a value is at any place: whether what the command marked here is here, for the grace from now on. */
export async function confirmMarks(parts: EngineParts, tenant: Tenant, caller: BatchOwner): Promise<BatchState> {
  return parts.committer.run(() => {
    const stamp = parts.stamps.next()
    const batch = batchOf(parts, tenant, caller)
    if (!batch) return "unknown"
    if (isBroken(batch)) return "gone"
    parts.index.marks.setStamp(stamp, batch.batch)
    return "held"
  })
}

function isBroken({ broken }: BatchRow): boolean {
  return broken === 1
}

/** What the command marked here; undefined when that is nothing. */
function batchOf({ index }: EngineParts, { tenant }: Tenant, { access, batch }: BatchOwner): BatchRow | undefined {
  const payer = batch && index.marks.account(tenant, access.account)
  return payer && index.marks.batch(payer.account, batch)
}

interface Proposal extends Checked {
  readonly access: AccountAccess
  readonly accounts: readonly Uint8Array[]
  readonly forRemoval: boolean
  readonly bytes: Uint8Array
  readonly batch: BatchRow | undefined
  readonly stamp: number
}

function propose(parts: EngineParts, tenant: Tenant, proposal: Proposal): ProposeOutcome {
  const { index } = parts
  const { id, sequence, bytes, batch, stamp, forRemoval } = proposal
  const unheld = batch && whyUnheld({ isBroken: isBroken(batch), stamp: batch.stamp }, stamp)
  if (unheld !== undefined) return { accepted: false, marksGone: true, message: unheld }
  const held = index.registers.get(tenant.tenant, id)
  const outcome = judgeProposal(held && { sequence: held.sequence, bytes: held.value }, { sequence, bytes })
  if (!outcome.accepted) return outcome
  const { chargedBytes, storedBytes } = costOf(parts, tenant, proposal, held)
  const purposes = { forRemoval, isReplacing: held !== undefined }
  const wanted = { account: proposal.access.account, moreBytes: chargedBytes, storedBytes, ...purposes }
  const message = overQuota(parts, tenant, wanted)
  if (message !== undefined) return { accepted: false, code: "quota", message }
  if (isCrowded(parts, tenant, proposal))
    return { accepted: false, message: "So many accounts hold this register that no more is held on behalf of others." }
  if (storedBytes > 0 && !takeSpace(parts, tenant, storedBytes, purposes))
    return { accepted: false, code: "full", message: "The server has no space left for registers." }
  take(parts, tenant, proposal, held)
  if (batch) index.marks.setUsed(stamp, batch.batch)
  return { accepted: true, vouches: batch !== undefined }
}

/**
 * What a value costs: its bytes, as far as they are more than those of the one in whose place it comes, copies that stay of that, and
 * marks, which the value that is held may get as well. Not a byte of the disk when it is no larger and there is nothing else.
 */
function costOf(parts: EngineParts, tenant: Tenant, proposal: Proposal, held: RegisterRow | undefined) {
  const { access, accounts, bytes, id, sequence } = proposal
  const { marks, registers } = parts.index
  const numberOf = (account: Uint8Array) => marks.account(tenant.tenant, account)?.account
  const own = numberOf(access.account)
  const marked = registers.marksOf(tenant.tenant, id)
  const newMarks = accounts.filter((other) => {
    const mark = marked.find(({ account }) => account === numberOf(other))
    return !mark || (mark.account === own && mark.payer !== own) // who marks for itself pays from then on
  })
  const isNewer = held?.sequence !== sequence
  const kept = isNewer && held ? keepersOf(parts, tenant, proposal).length * (held.value.length + rowBytes) : 0
  const newBytes = newMarks.length * markBytes + kept
  const rows = newBytes + newAccountBytes(parts, tenant, [access.account, ...accounts])
  const growth = held ? Math.max(0, bytes.length - held.value.length) : bytes.length + rowBytes
  const pays = marked.some(({ payer }) => payer === own)
  const chargedBytes = newBytes + (pays ? growth : bytes.length + rowBytes)
  return { chargedBytes, storedBytes: rows + growth }
}

/** Accounts for which the value held stays beside the new one; whoever replaces its own takes no more of the disk. */
function keepersOf({ index }: EngineParts, { tenant }: Pick<Tenant, "tenant">, { access, id }: Proposal): number[] {
  const own = index.marks.account(tenant, access.account)?.account
  const legacy = index.marks.account(tenant, legacyAccount)?.account // nobody could ever trim legacy's
  const holders = index.registers.marksOf(tenant, id).map(({ account }) => account)
  return holders.filter((account) => account !== legacy && mustKeep(access, account === own))
}

/** True when accounts are named beside so many holders; who comes for itself is always taken. */
function isCrowded({ index }: EngineParts, { tenant }: Tenant, { access, accounts, id }: Proposal): boolean {
  if (accounts.every((account) => equal(account, access.account))) return false
  const holders = new Set(index.registers.marksOf(tenant, id).map(({ account }) => account))
  if (holders.size < holdersPerRegister) return false
  return accounts.some((other) => {
    const known = index.marks.account(tenant, other)?.account
    return !equal(other, access.account) && (known === undefined || !holders.has(known))
  })
}

function take(parts: EngineParts, { tenant }: Tenant, proposal: Proposal, held: RegisterRow | undefined): void {
  const { index, clock } = parts
  const { id, sequence, bytes, access, stamp } = proposal
  const { registers, marks } = index
  const payer = marks.accountFor(tenant, access.account).account
  if (held?.sequence !== sequence) {
    if (held)
      for (const account of keepersOf(parts, { tenant }, proposal))
        registers.keep(tenant, account, held, { payer, stamp })
    registers.put(tenant, id, { sequence, value: bytes, received: clock.nowMs() }, held)
  }
  const accounts = proposal.accounts.map((other) => marks.accountFor(tenant, other).account)
  registers.mark(tenant, registers.get(tenant, id)!, accounts, { payer, stamp })
}

/** A value may go without being kept only by the word of who may collect for the account that holds it. */
function mustKeep({ roles }: AccountAccess, isOwn: boolean): boolean {
  return !isOwn || !roles.includes("collect")
}

async function checkValue(parts: EngineParts, bytes: Uint8Array): Promise<Checked | string> {
  try {
    const value = await decodeRegisterValue(parts.crypto, bytes)
    return { id: registerIdOf(value.publicKey), sequence: rankOf(value) }
  } catch (error) {
    if (isHoldfastError(error)) return error.message
    throw error
  }
}
