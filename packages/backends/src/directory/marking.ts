/** Marking shares that are there and taking marks away: rules O5, O8 to O11 of docs/protocols/marks.md, each in one transaction. */
import {
  type AccountAccess,
  type ChunkId,
  checkUnmark,
  type MarkOutcome,
  type SignedUnmark,
  type UnmarkOutcome,
} from "@holdfast/protocol"
import { markBytes, rowBytes, takeable } from "../rules.ts"
import type { ShareRow } from "./database.ts"
import type { MarkRow } from "./marks.ts"
import { type Caller, type EngineParts, isOverAt, newAccountBytes, overQuota, type Tenant, takeSpace } from "./parts.ts"

/** A caller at a moment of the place. */
export interface StampedCaller extends Caller {
  readonly stamp: number
}

/** What marking one share gives. */
export type MarkedShare =
  | { readonly ok: true; readonly existed: boolean }
  | { readonly ok: false; readonly code: "quota"; readonly message: string }

/** Chunks of an order that one transaction handles, so that none keeps the event loop for long. */
const chunksAtOnce = 512

/** Marks one share. Inside a transaction. */
export function markShare(parts: EngineParts, tenant: Tenant, share: ShareRow, caller: StampedCaller): MarkedShare {
  const { marks } = parts.index
  const before = marks.marksOf(share.row)
  // A share that is new has been judged with its bytes.
  const message = before.length > 0 ? whyNotMarked(parts, tenant, share, { ...caller, before }) : undefined
  if (message !== undefined) return { ok: false, code: "quota", message }
  const payer = marks.accountFor(tenant.tenant, caller.access.account)
  const accounts = caller.accounts.map((id) => marks.accountFor(tenant.tenant, id).account)
  const batch = marks.batchFor(payer.account, caller.batch)
  if (batch.stamp !== caller.stamp) marks.setStamp(caller.stamp, batch.batch)
  marks.addMarks(tenant.tenant, share, accounts, batch, isOverAt(caller.stamp, parts.graceMs))
  return { ok: true, existed: before.some((row) => row.account === payer.account) }
}

/** Before any row is made: who is refused must not leave one. */
function whyNotMarked(
  parts: EngineParts,
  tenant: Tenant,
  share: ShareRow,
  { access, batch: token, accounts, before }: StampedCaller & { readonly before: readonly MarkRow[] },
): string | undefined {
  const { marks } = parts.index
  const payer = marks.account(tenant.tenant, access.account)?.account
  const batch = payer === undefined ? undefined : marks.batch(payer, token)?.batch
  const rows = accounts.filter((id) => {
    const account = marks.account(tenant.tenant, id)?.account
    return !before.some((row) => row.account === account && row.batch === batch)
  })
  if (rows.length === 0) return undefined
  const moreBytes = rows.length * markBytes + (before.some((row) => row.payer === payer) ? 0 : share.size + rowBytes)
  const storedBytes = rows.length * markBytes + newAccountBytes(parts, tenant, [access.account, ...accounts])
  const message = overQuota(parts, tenant, { account: access.account, moreBytes, storedBytes })
  if (message !== undefined || takeSpace(parts, tenant, storedBytes)) return message
  return "The server has no space left for marks."
}

/** Marks every share held of each chunk. */
export async function markChunks(
  parts: EngineParts,
  tenant: Tenant,
  ids: readonly ChunkId[],
  caller: Caller,
): Promise<MarkOutcome[]> {
  const mark = (id: ChunkId, stamp: number): MarkOutcome => {
    const shares = parts.index.sharesOf(tenant.tenant, id)
    for (const share of shares) {
      const outcome = markShare(parts, tenant, share, { ...caller, stamp })
      if (!outcome.ok) return outcome
    }
    return { ok: true, held: shares.map(({ idx }) => idx) }
  }
  const outcomes: MarkOutcome[] = []
  await parts.space.measure()
  for (const some of inParts(ids, chunksAtOnce)) {
    const marked = await parts.committer.run(() => {
      const stamp = parts.stamps.next()
      return some.map((id) => mark(id, stamp))
    })
    outcomes.push(...marked)
  }
  return outcomes
}

/** Carries out an account's order. Throws ERR_REFUSED. */
export async function unmark(
  parts: EngineParts,
  tenant: Tenant,
  access: AccountAccess,
  order: SignedUnmark,
): Promise<UnmarkOutcome> {
  const { committer, stamps, graceMs } = parts
  await checkUnmark(parts.crypto, order, { account: access.account, place: tenant.placeId })
  const isOld = takeable(order, { instance: stamps.instance, stamp: stamps.issue(), graceMs })
  const total = { marks: 0, shares: 0, bytes: 0, young: 0 }
  const account = parts.index.marks.account(tenant.tenant, access.account)?.account
  if (account === undefined) return total
  const job = { account, isOld }
  for (const some of inParts(order.chunks, chunksAtOnce)) {
    const { files, ...done } = await committer.run(() => unmarkChunks(parts, tenant, some, job))
    add(total, done)
    await removeFiles(parts, tenant, files)
  }
  add(total, await committer.run(() => unmarkRegisters(parts, tenant, order, job)))
  return total
}

interface Job {
  readonly account: number
  readonly isOld: (stamp: number) => boolean
}

/** Inside the transaction: a share's marks of the account go all or not at all, and it goes with its last. */
function unmarkChunks(
  { index }: EngineParts,
  { tenant, name }: Tenant,
  ids: readonly ChunkId[],
  { account, isOld }: Job,
) {
  const done = { marks: 0, shares: 0, bytes: 0, young: 0, files: [] as string[] }
  for (const share of ids.flatMap((id) => index.sharesOf(tenant, id))) {
    const own = index.marks.marksOf(share.row).filter((mark) => mark.account === account)
    if (own.length === 0) continue
    if (!own.every(({ stamp }) => isOld(stamp))) {
      done.young++
      continue
    }
    done.marks++
    if (index.marks.dropMarks(tenant, share, (mark) => mark.account === account).length > 0) continue
    index.dropShare(tenant, share)
    done.shares++
    done.bytes += share.size
    if (share.file === null) continue
    index.willRemove(name, share.file)
    done.files.push(share.file)
  }
  return done
}

function unmarkRegisters({ index }: EngineParts, { tenant }: Tenant, order: SignedUnmark, { account, isOld }: Job) {
  const done = { marks: 0, shares: 0, bytes: 0, young: 0 }
  const { registers } = index
  for (const { register, below } of order.trims)
    registers.trim(tenant, account, register, below, ({ stamp }) => isOld(stamp))
  for (const id of order.registers) {
    const held = registers.get(tenant, id)
    const own = held && registers.marksOf(tenant, id).find((mark) => mark.account === account)
    if (!held || !own) continue
    if (!isOld(own.stamp)) {
      done.young++
      continue
    }
    registers.trim(tenant, account, id, Number.MAX_SAFE_INTEGER, () => true)
    done.marks++
    if (registers.unmark(tenant, held, (mark) => mark.account === account).length > 0) continue
    registers.drop(tenant, held)
    done.bytes += held.value.length
  }
  return done
}

/** Removes files that no row names any more; what a crash leaves of them is removed at the next start. */
export async function removeFiles(
  { files, committer, index }: EngineParts,
  { name }: Pick<Tenant, "name">,
  gone: readonly string[],
) {
  if (gone.length === 0) return
  await files.remove(name, gone)
  await committer.run(() => {
    for (const file of gone) index.removed(name, file)
  })
}

function add(total: { marks: number; shares: number; bytes: number; young: number }, done: UnmarkOutcome): void {
  total.marks += done.marks
  total.shares += done.shares
  total.bytes += done.bytes
  total.young += done.young
}

function inParts<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(size * i, size * (i + 1)))
}
