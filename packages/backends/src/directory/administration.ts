/**
 * What a tenant's administrator may do here: see its accounts, and drop one. Nothing goes before the grace is over, counted from when
 * this place first heard of it by its own stamps; a statement of a higher serial undoes it. Specification: docs/protocols/marks.md.
 */
import { HoldfastError, isoTime, toHex } from "@holdfast/core"
import {
  type AccountId,
  type AccountInfo,
  checkAdministrator,
  decodeAccountsRequest,
  decodeStatement,
} from "@holdfast/protocol"
import { checkToken } from "../rules.ts"
import { removeFiles } from "./marking.ts"
import type { AccountRow } from "./marks.ts"
import type { EngineParts, Tenant } from "./parts.ts"
import type { AccountRecords } from "./records.ts"

/** No place drops an account sooner, whatever its operator says. */
export const leastDropGraceMs = 7 * 86_400_000

/** Marks that one transaction takes away. */
const marksAtOnce = 512

/** Takes an administrator's statement. Throws ERR_REFUSED, ERR_CORRUPT. */
export async function takeStatement(parts: EngineParts, tenant: Tenant, encoded: Uint8Array): Promise<void> {
  const statement = await decodeStatement(parts.crypto, encoded)
  checkAdministrator(statement, { administrator: tenant.administrator(), tenant: tenant.name })
  await parts.committer.run(() => {
    const { statements } = parts.index
    const held = statements.get(tenant.tenant, statement.account)
    if (held && held.serial >= statement.serial) return
    // A drop that is said again with a higher serial goes on counting from the first.
    const stamp = held?.drops && statement.drops ? held.stamp : parts.stamps.next()
    statements.put(tenant.tenant, statement.account, statement.serial, Number(statement.drops), stamp)
  })
}

/** Answers an administrator which accounts there are. Throws ERR_REFUSED, ERR_CORRUPT. */
export async function listAccounts(
  parts: EngineParts,
  tenant: Tenant,
  { encoded, records }: { encoded: Uint8Array; records: AccountRecords },
): Promise<AccountInfo[]> {
  const request = await decodeAccountsRequest(parts.crypto, encoded)
  checkAdministrator(request, { administrator: tenant.administrator(), tenant: tenant.name })
  if (request.place !== tenant.placeId) throw new HoldfastError("ERR_REFUSED", "This request is for another place.")
  checkToken(request.token, { instance: parts.stamps.instance, stamp: parts.stamps.issue() })
  const rows = parts.index.marks.accountsAfter(tenant.tenant, request.after ?? new Uint8Array(), request.limit)
  return Promise.all(rows.map((row) => infoOf(parts, tenant, row, records)))
}

async function infoOf(
  parts: EngineParts,
  tenant: Tenant,
  { id, bytes, shares, seen }: AccountRow,
  records: AccountRecords,
): Promise<AccountInfo> {
  const droppedAtMs = droppedAt(parts, tenant, id)
  const devices = (await records.get(id))?.devices.map(({ name }) => name) ?? []
  return { account: id, bytes, shares, seenDay: seen, devices, ...(droppedAtMs !== undefined && { droppedAtMs }) }
}

/** When what `account` holds is taken away; undefined unless it is dropped. */
export function droppedAt(
  { index, dropGraceMs }: EngineParts,
  { tenant }: Tenant,
  account: AccountId,
): number | undefined {
  const statement = index.statements.get(tenant, account)
  return statement?.drops ? statement.stamp + dropGraceMs : undefined
}

/** Throws ERR_REFUSED when nothing more is held for `account`. */
export function checkNotDropped(parts: EngineParts, tenant: Tenant, account: AccountId): void {
  const atMs = droppedAt(parts, tenant, account)
  if (atMs === undefined) return
  const day = isoTime(atMs).slice(0, 10)
  throw new HoldfastError(
    "ERR_REFUSED",
    `Account ${toHex(account).slice(0, 16)} was dropped by the administrator of tenant ${tenant.name}: what it holds goes on ${day}. Copy it elsewhere, or have the administrator keep the account.`,
    { droppedAtMs: atMs },
  )
}

/** Those of `accounts` for which something may still be held: the grace of a drop is not over. */
export function notGone(parts: EngineParts, tenant: Tenant, accounts: readonly AccountId[]): AccountId[] {
  const stamp = parts.stamps.issue()
  return accounts.filter((account) => (droppedAt(parts, tenant, account) ?? Number.POSITIVE_INFINITY) > stamp)
}

/** Takes away what dropped accounts hold whose grace is over. Gives how many marks went. */
export async function finishDrops(parts: EngineParts, signal?: AbortSignal): Promise<number> {
  let marks = 0
  for (const { tenant, name, id } of parts.index.statements.dropsUntil(parts.stamps.issue() - parts.dropGraceMs)) {
    const account = parts.index.marks.account(tenant, id)?.account
    if (account === undefined) continue
    for (;;) {
      signal?.throwIfAborted()
      const done = await parts.committer.run(() => dropSome(parts, { tenant, name, id, account }))
      await removeFiles(parts, { name }, done.files)
      marks += done.marks
      if (done.marks === 0) break
    }
  }
  return marks
}

interface Dropped {
  readonly tenant: number
  readonly name: string
  readonly id: Uint8Array
  readonly account: number
}

/** Inside the transaction, which looks once more whether the account is dropped still. */
function dropSome(parts: EngineParts, { tenant, name, id, account }: Dropped) {
  const { index } = parts
  const done = { marks: 0, files: [] as string[] }
  const statement = index.statements.get(tenant, id)
  if (!statement?.drops || statement.stamp > parts.stamps.issue() - parts.dropGraceMs) return done
  for (const share of index.marks.sharesOf(account, marksAtOnce)) {
    done.marks++
    if (index.marks.dropMarks(tenant, share, index.marks.marksFor(share.row, account))) continue
    index.dropShare(tenant, share)
    if (share.file === null) continue
    index.willRemove(name, share.file)
    done.files.push(share.file)
  }
  for (const { register } of index.registers.ofAccount(account, new Uint8Array(), marksAtOnce)) {
    const held = index.registers.get(tenant, register)!
    done.marks++
    index.registers.trim(tenant, account, register, Number.MAX_SAFE_INTEGER, () => true)
    const left = index.registers.unmark(tenant, held, (mark) => mark.account === account)
    if (left.length === 0) index.registers.drop(tenant, held)
  }
  return done
}
