/** What the parts of an open storage directory share. */
import { type Clock, type CryptoProvider, toHex } from "@holdfast/core"
import type { AccountAccess } from "@holdfast/protocol"
import type { RegisterWaits } from "../register-waits.ts"
import { batchBytes, mostUnder, type Purposes, quotaUsedUp, rowBytes } from "../rules.ts"
import type { Committer } from "./committer.ts"
import type { ShareIndex } from "./database.ts"
import type { ShareFiles } from "./files.ts"
import type { BatchRow } from "./marks.ts"
import type { FreeSpace } from "./space.ts"
import type { Stamps } from "./stamps.ts"

/** Everything a tenant's view works with. */
export interface EngineParts {
  readonly crypto: CryptoProvider
  readonly clock: Clock
  readonly index: ShareIndex
  readonly committer: Committer
  readonly files: ShareFiles
  readonly space: FreeSpace
  readonly stamps: Stamps
  /** Who waits for registers to change, by `registerName`. */
  readonly waits: RegisterWaits
  /** How old a mark must be to be taken away; never under the least. */
  readonly graceMs: number
  /** How long after a drop was first heard of it is acted on; never under the least. */
  readonly dropGraceMs: number
  /** Other processes may change rows at any time, so none may be remembered from one transaction to the next. */
  readonly isShared: boolean
  /** Lets others have their turn. */
  turn(): Promise<void>
  /** Runs an operation that closing must know of. */
  track<T>(operation: () => Promise<T>): Promise<T>
  /** Counts a share that could not be read from the disk. */
  readFailed(): void
}

/** A tenant's namespace in a storage directory. */
export interface Tenant {
  readonly tenant: number
  readonly name: string
  /** `Backend.id` of the place, to which orders are bound. */
  readonly placeId: string
  /** Most that the tenant's shares and rows may take. */
  readonly quotaBytes: number
  /** Most that each account may be charged. */
  readonly accountQuotaBytes: number
  /** The key whose statements on accounts hold; undefined when nobody's do. */
  readonly administrator: () => Uint8Array | undefined
}

/** Names a register among those of all tenants. */
export function registerName(tenant: number, id: Uint8Array): string {
  return `${tenant} ${toHex(id)}`
}

/** Who calls, and for whom it stores. */
export interface Caller {
  readonly access: AccountAccess
  readonly batch: Uint8Array
  readonly accounts: readonly Uint8Array[]
  /** It says that it serves a removal: what that needs may go beyond the quota and into the disk's reserve, by a little. */
  readonly forRemoval: boolean
}

/** True for a batch whose rows may be joined with younger ones. */
export function isOverAt(stamp: number, graceMs: number): (batch: Pick<BatchRow, "stamp">) => boolean {
  return (batch) => stamp - batch.stamp >= graceMs
}

/** True when the disk has `bytes` left for the tenant, which are promised then. */
export function takeSpace(
  { index, space }: EngineParts,
  { name }: Tenant,
  bytes: number,
  { forRemoval, isReplacing }: Purposes,
): boolean {
  const { cost } = index.tenantNamed(name)!
  return space.take(bytes, { name, cost, tenants: index.tenantCount(), forRemoval, isReplacing })
}

/** What the rows of those accounts take that are not known here yet. */
export function newAccountBytes({ index }: EngineParts, { tenant }: Tenant, accounts: readonly Uint8Array[]): number {
  return new Set(accounts.filter((id) => !index.marks.account(tenant, id)).map(toHex)).size * rowBytes
}

/** The same of a caller's accounts, with the row of its batch. */
export function newRowBytes(parts: EngineParts, tenant: Tenant, { access, accounts, batch }: Caller): number {
  const payer = parts.index.marks.account(tenant.tenant, access.account)?.account
  const isKnown = payer !== undefined && parts.index.marks.batch(payer, batch) !== undefined
  return newAccountBytes(parts, tenant, [access.account, ...accounts]) + (isKnown ? 0 : batchBytes)
}

/** What somebody wants to store. */
export interface Wanted extends Purposes {
  readonly account: Uint8Array
  /** What the account is charged. */
  readonly moreBytes: number
  /** What the tenant is. */
  readonly storedBytes: number
}

/** Why something is too much for an account or its tenant; undefined when it is not. Inside the transaction. */
export function overQuota({ index }: EngineParts, tenant: Tenant, wanted: Wanted): string | undefined {
  const { account, moreBytes, storedBytes, forRemoval } = wanted
  const { quotaBytes, accountQuotaBytes } = tenant
  const chargedBytes = index.marks.account(tenant.tenant, account)?.bytes ?? 0
  if (moreBytes > 0 && chargedBytes + moreBytes > mostUnder(accountQuotaBytes, wanted))
    return quotaUsedUp(accountQuotaBytes, `${chargedBytes} bytes are charged to this account`, forRemoval)
  if (quotaBytes === Number.POSITIVE_INFINITY) return undefined
  const { cost } = index.tenantNamed(tenant.name)!
  if (storedBytes <= 0 || cost + storedBytes <= mostUnder(quotaBytes, wanted)) return undefined
  return quotaUsedUp(quotaBytes, `the tenant's data takes ${cost} bytes`, forRemoval)
}
