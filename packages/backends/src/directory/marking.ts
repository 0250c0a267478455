/** Marking shares that are there and taking marks away: rules O5, O8 to O11 of docs/protocols/marks.md, each in one transaction. */
import { equal, toHex } from "@holdfast/core"
import {
  type AccountAccess,
  type ChunkId,
  checkUnmark,
  type MarkOutcome,
  type SignedUnmark,
  type UnmarkOutcome,
} from "@holdfast/protocol"
import { isUnheard, markBytes, rowBytes, takeable } from "../rules.ts"
import { rowsAtOnce } from "./committer.ts"
import { marksPerShare } from "./marks.ts"
import { type Caller, type EngineParts, isOverAt, newRowBytes, overQuota, type Tenant, takeSpace } from "./parts.ts"
import type { ShareRow } from "./shares.ts"

/** A caller at a moment of the place. */
export interface StampedCaller extends Caller {
  readonly stamp: number
}

/** What marking one share gives. */
export type MarkedShare =
  | { readonly ok: true; readonly existed: boolean }
  | { readonly ok: false; readonly code: "quota"; readonly message: string }

/** Shares that one transaction marks for a caller. */
export function sharesAtOnce({ accounts }: Pick<Caller, "accounts">): number {
  return Math.max(1, Math.floor(rowsAtOnce / (1 + accounts.length)))
}

/** Marks one share. Inside a transaction. */
export function markShare(parts: EngineParts, tenant: Tenant, share: ShareRow, caller: StampedCaller): MarkedShare {
  const { marks } = parts.index
  // A share that is new has been judged with its bytes.
  const message = marks.isMarked(share.row) ? whyNotMarked(parts, tenant, share, caller) : undefined
  if (message !== undefined) return { ok: false, code: "quota", message }
  const payer = marks.accountFor(tenant.tenant, caller.access.account)
  const existed = marks.marksFor(share.row, payer.account).length > 0
  const accounts = caller.accounts.map((id) => marks.accountFor(tenant.tenant, id).account)
  const batch = marks.batchFor(tenant.tenant, payer.account, caller.batch)
  if (batch.stamp > 0 && isUnheard(batch, caller.stamp)) marks.breakBatch(batch.batch)
  if (batch.stamp !== caller.stamp) marks.setStamp(caller.stamp, batch.batch)
  marks.addMarks(tenant.tenant, share, accounts, batch, isOverAt(caller.stamp, parts.graceMs))
  return { ok: true, existed }
}

/** Before any row is made: who is refused must not leave one. */
function whyNotMarked(parts: EngineParts, tenant: Tenant, share: ShareRow, caller: StampedCaller): string | undefined {
  const { access, batch: token, accounts, forRemoval } = caller
  const { marks } = parts.index
  const payer = marks.account(tenant.tenant, access.account)?.account
  const batch = payer === undefined ? undefined : marks.batch(payer, token)?.batch
  const isNew = (id: Uint8Array) => {
    const account = marks.account(tenant.tenant, id)?.account
    return account === undefined || !marks.marksFor(share.row, account).some((row) => row.batch === batch)
  }
  const rows = accounts.filter(isNew)
  if (rows.length === 0) return undefined
  if (marks.markCount(share.row) >= marksPerShare && rows.some((id) => !equal(id, access.account)))
    return "So many commands hold this share already that no more is held here on behalf of others."
  const pays = payer !== undefined && marks.pays(share.row, payer)
  const moreBytes = rows.length * markBytes + (pays ? 0 : share.size + rowBytes)
  const storedBytes = rows.length * markBytes + newRowBytes(parts, tenant, caller)
  const message = overQuota(parts, tenant, { account: access.account, moreBytes, storedBytes, forRemoval })
  if (message !== undefined || takeSpace(parts, tenant, storedBytes, caller)) return message
  return "The server has no space left for marks."
}

/** Marks every share held of each chunk. */
export async function markChunks(
  parts: EngineParts,
  tenant: Tenant,
  ids: readonly ChunkId[],
  caller: Caller,
): Promise<MarkOutcome[]> {
  await parts.space.measure()
  const outcomes = new Map<string, MarkOutcome>(ids.map((id) => [toHex(id), { ok: true, held: [] }]))
  const mark = (share: ShareRow, stamp: number) => ({ share, ...markShare(parts, tenant, share, { ...caller, stamp }) })
  for await (const marked of overShares(parts, tenant, { ids, atOnce: sharesAtOnce(caller) }, mark))
    for (const { share, ...outcome } of marked) {
      const id = toHex(share.chunk)
      const before = outcomes.get(id)!
      if (!before.ok) continue
      outcomes.set(id, outcome.ok ? { ok: true, held: [...before.held, share.idx] } : outcome)
    }
  return ids.map((id) => outcomes.get(toHex(id))!)
}

/** Where in a list of chunks, and of the shares of one, a transaction goes on. */
interface Position {
  readonly chunk: number
  readonly idx: number
}

/**
 * What `change` gives for every share held of each chunk, `atOnce` in a transaction: a chunk may have 255 shares here, and the
 * event loop is everybody's.
 */
async function* overShares<T>(
  parts: EngineParts,
  tenant: Tenant,
  { ids, atOnce }: { readonly ids: readonly ChunkId[]; readonly atOnce: number },
  change: (share: ShareRow, stamp: number) => T,
): AsyncGenerator<T[]> {
  const chunks = [...new Map(ids.map((id) => [toHex(id), id])).values()]
  const some = (from: Position) => {
    const stamp = parts.stamps.next()
    const results: T[] = []
    let { chunk, idx } = from
    for (let looked = 0; chunk < chunks.length && looked < atOnce; looked++) {
      const shares = parts.index.sharesFrom(tenant.tenant, chunks[chunk]!, idx, atOnce - looked)
      for (const share of shares) results.push(change(share, stamp))
      looked += shares.length
      if (looked < atOnce) [chunk, idx] = [chunk + 1, 0]
      else idx = (shares.at(-1)?.idx ?? idx - 1) + 1
    }
    return { results, next: { chunk, idx } }
  }
  for (let next: Position = { chunk: 0, idx: 0 }; next.chunk < chunks.length; ) {
    const done = await parts.committer.run(() => some(next), tenant.name)
    next = done.next
    yield done.results
  }
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
  const unmarkOne = (share: ShareRow) => unmarkShare(parts, tenant, share, job)
  for await (const done of overShares(parts, tenant, { ids: order.chunks, atOnce: rowsAtOnce }, unmarkOne)) {
    for (const one of done) add(total, one)
    await removeFiles(
      parts,
      tenant,
      done.flatMap(({ file }) => file ?? []),
    )
  }
  add(total, await committer.run(() => unmarkRegisters(parts, tenant, order, job), tenant.name))
  return total
}

interface Job {
  readonly account: number
  readonly isOld: (stamp: number) => boolean
}

/** Inside the transaction: a share's marks of the account go all or not at all, and it goes with its last. */
function unmarkShare({ index }: EngineParts, { tenant, name }: Tenant, share: ShareRow, { account, isOld }: Job) {
  const done = { marks: 0, shares: 0, bytes: 0, young: 0, file: null }
  const own = index.marks.marksFor(share.row, account)
  if (own.length === 0) return done
  if (!own.every(({ stamp }) => isOld(stamp))) return { ...done, young: 1 }
  if (index.marks.dropMarks(tenant, share, own)) return { ...done, marks: 1 }
  index.dropShare(tenant, share)
  if (share.file !== null) index.willRemove(name, share.file)
  return { ...done, marks: 1, shares: 1, bytes: share.size, file: share.file }
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

/** `items` in parts of `size`. */
export function inParts<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(size * i, size * (i + 1)))
}
