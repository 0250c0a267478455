/** One tenant's namespace in a storage directory, and a caller's view of it: a Backend that sees nothing of other tenants. */
import { mapPool, toHex } from "@holdfast/core"
import type {
  AccountAccess,
  AccountId,
  AccountInfo,
  AccountRecord,
  Backend,
  CallOptions,
  ChunkId,
  MarkOptions,
  ShareQuery,
  WatchedRegister,
} from "@holdfast/protocol"
import { keptPerAnswer } from "@holdfast/protocol"
import { accountsToMark, checkBatch, checkListLimit, checkRole, encodeCollectToken } from "../rules.ts"
import { checkNotDropped, droppedAt, listAccounts, notGone, takeStatement } from "./administration.ts"
import { readBlocks } from "./blocks.ts"
import { rowsAtOnce } from "./committer.ts"
import { markChunks, unmark } from "./marking.ts"
import { type EngineParts, registerName, type Tenant } from "./parts.ts"
import { confirmMarks, proposeRegisters } from "./proposing.ts"
import { SharePutter } from "./putter.ts"
import { AccountRecords } from "./records.ts"
import type { ShareRow } from "./shares.ts"

/** Watching with an end. */
export interface WatchOptions extends CallOptions {
  /** Answers what is held when it aborts. */
  readonly until?: AbortSignal | undefined
}

/** A caller's backend, with what a server needs besides. */
export interface TenantBackend extends Backend {
  watchRegisters(
    watched: readonly WatchedRegister[],
    options?: WatchOptions,
  ): Promise<readonly (Uint8Array | undefined)[]>
  /** Answers the first queries whose shares together stay under `maxBytes`, one at least; the rest is to be asked again. */
  getSharesWithin(queries: readonly ShareQuery[], maxBytes: number): Promise<(Uint8Array | undefined)[]>
  /** How many bytes that takes at most, so that their memory can be had first. */
  sharesSize(queries: readonly ShareQuery[], maxBytes: number): number
  /** Takes the record of the caller's account when its epoch is higher than that of the one held. */
  publishRecord(record: Uint8Array): Promise<void>
  /** When what the caller's account holds is taken away; undefined unless its administrator dropped it. */
  droppedAtMs(): number | undefined
  /** Takes a statement of the tenant's administrator. Throws ERR_REFUSED. */
  takeStatement(statement: Uint8Array): Promise<void>
  /** Answers a signed request of the tenant's administrator. Throws ERR_REFUSED. */
  listAccounts(request: Uint8Array): Promise<AccountInfo[]>
  /** What such a request carries. */
  requestToken(): Uint8Array
}

/** Reads of one request at a time. */
const parallelReads = 16

/** A tenant's namespace. */
export interface Namespace {
  readonly name: string
  /** The namespace as one caller sees it. Closing that does nothing: the engine is closed instead. */
  backendOf(access: AccountAccess): TenantBackend
  /** The newest record of an account's devices. */
  recordOf(account: AccountId): Promise<AccountRecord | undefined>
  /** Notes that a device of an account was here; the day is kept, not the time. */
  noteSeen(account: AccountId): Promise<void>
}

/** The namespace of `tenant`. */
export function openNamespace(parts: EngineParts, tenant: Tenant): Namespace {
  const putter = new SharePutter(parts, tenant)
  const records = new AccountRecords(parts, tenant)
  return {
    name: tenant.name,
    recordOf: (account) => records.get(account),
    noteSeen: (account) => records.noteSeen(account),
    backendOf: (access) => callerBackend(parts, tenant, { access, putter, records }),
  }
}

function callerBackend(
  parts: EngineParts,
  tenant: Tenant,
  { access, putter, records }: { access: AccountAccess; putter: SharePutter; records: AccountRecords },
): TenantBackend {
  const { index, track } = parts
  const own = () => index.marks.account(tenant.tenant, access.account)
  const getSharesWithin = async (queries: readonly ShareQuery[], maxBytes: number) => {
    checkRole(access, "read")
    return track(() => readShares(parts, tenant, queries, maxBytes))
  }
  const holders = (options: { accounts?: readonly Uint8Array[] }) => {
    const accounts = accountsToMark(access, options)
    checkNotDropped(parts, tenant, access.account)
    return notGone(parts, tenant, accounts)
  }
  const callerOf = (options: MarkOptions) => {
    checkBatch(options.batch)
    return { access, batch: options.batch, accounts: holders(options), forRemoval: isForRemoval(options) }
  }
  const isForRemoval = (options: Partial<MarkOptions>) => options.forRemoval ?? false
  const sharesSize = (queries: readonly ShareQuery[], maxBytes: number) => {
    let totalBytes = 0
    for (const query of queries) {
      const bytes = findShare(parts, tenant, query)?.size ?? 0
      if (totalBytes > 0 && totalBytes + bytes > maxBytes) break
      totalBytes += bytes
    }
    return totalBytes
  }
  return {
    id: tenant.placeId,
    marksWithAnswer: true,
    sharesSize,
    putShares: async (shares, options) => track(() => putter.put(shares, callerOf(options))),
    markShares: async (ids, options) => track(() => markChunks(parts, tenant, ids, callerOf(options))),
    getSharesWithin,
    getShares: (queries) => getSharesWithin(queries, Number.POSITIVE_INFINITY),
    async getBlocks(queries) {
      checkRole(access, "read")
      return track(() => mapPool(queries, parallelReads, (query) => readBlocks(parts, tenant, query)))
    },
    async hasShares(ids) {
      checkRole(access, "read")
      return track(() => heldOf(parts, tenant, ids))
    },
    async listMarks({ after, limit }) {
      checkRole(access, "collect")
      checkListLimit(limit)
      const account = own()
      return account ? index.marks.list(account.account, after, limit) : []
    },
    async listRegisters({ after, limit }) {
      checkRole(access, "collect")
      checkListLimit(limit)
      const account = own()
      if (!account) return []
      return index.registers
        .ofAccount(account.account, after ?? new Uint8Array(), limit)
        .map(({ register }) => register)
    },
    async collectToken() {
      checkRole(access, "collect")
      // Known to all who have the directory open, so that whatever they mark from now on is later.
      const stamp = parts.isShared ? await parts.committer.run(() => parts.stamps.next()) : parts.stamps.issue()
      return encodeCollectToken(parts.stamps.instance, stamp)
    },
    async unmark(order) {
      checkRole(access, "collect")
      return track(() => unmark(parts, tenant, access, order))
    },
    async readRegisters(ids) {
      checkRole(access, "read")
      return ids.map((id) => index.registers.get(tenant.tenant, id)?.value)
    },
    async watchRegisters(watched, { signal, until } = {}) {
      checkRole(access, "read")
      return parts.waits.wait(
        watched.map(({ id, hash }) => ({ key: registerName(tenant.tenant, id), ...(hash && { hash }) })),
        { signal, until },
      )
    },
    async keptValues(id, { below = Number.MAX_SAFE_INTEGER } = {}) {
      checkRole(access, "read")
      const newest = index.registers.get(tenant.tenant, id)
      const account = own()
      const kept = account ? index.registers.kept(account.account, id, below, keptPerAnswer - 1) : []
      return [...(newest && newest.sequence < below ? [newest] : []), ...kept].map((row) => ({
        sequence: row.sequence,
        receivedMs: row.received,
        bytes: row.value,
      }))
    },
    async confirmMarks(_registers, options) {
      holders(options)
      checkBatch(options.batch)
      return track(() => confirmMarks(parts, tenant, { ...options, access }))
    },
    async proposeRegisters(values, options = {}) {
      const accounts = holders(options)
      if (options.batch) checkBatch(options.batch)
      return track(() =>
        proposeRegisters(parts, tenant, values, { ...options, access, accounts, forRemoval: isForRemoval(options) }),
      )
    },
    publishRecord: async (record) => track(() => records.take(access, record)),
    droppedAtMs: () => droppedAt(parts, tenant, access.account),
    takeStatement: (statement) => track(() => takeStatement(parts, tenant, statement)),
    listAccounts: (encoded) => track(() => listAccounts(parts, tenant, { encoded, records })),
    requestToken: () => encodeCollectToken(parts.stamps.instance, parts.stamps.issue()),
    async usage() {
      const { bytes, shares } = own() ?? { bytes: 0, shares: 0 }
      const availableBytes = await parts.space.measure()
      const quotaBytes = Math.min(tenant.quotaBytes, tenant.accountQuotaBytes)
      return {
        usedBytes: bytes,
        shareCount: shares,
        ...(quotaBytes !== Number.POSITIVE_INFINITY && { quotaBytes }),
        availableBytes,
      }
    },
    close: async () => undefined,
  }
}

/** Which shares of each chunk are held. One may have 255 here, and the event loop is everybody's. */
async function heldOf(parts: EngineParts, { tenant }: Tenant, ids: readonly ChunkId[]): Promise<number[][]> {
  const held = new Map<string, number[]>()
  let looked = 0
  for (const id of ids) {
    const name = toHex(id)
    if (held.has(name)) continue
    const shares = parts.index.sharesOf(tenant, id).map(({ idx }) => idx)
    held.set(name, shares)
    looked += 1 + shares.length
    if (looked < rowsAtOnce) continue
    looked = 0
    await parts.turn()
  }
  return ids.map((id) => held.get(toHex(id))!)
}

async function readShares(
  parts: EngineParts,
  tenant: Tenant,
  queries: readonly ShareQuery[],
  maxBytes: number,
): Promise<(Uint8Array | undefined)[]> {
  const reads: Promise<Uint8Array | undefined>[] = []
  let totalBytes = 0
  for (const query of queries) {
    const row = findShare(parts, tenant, query)
    totalBytes += row?.size ?? 0
    if (totalBytes > maxBytes && reads.length > 0) break
    reads.push(readShare(parts, tenant, query, row))
  }
  return Promise.all(reads)
}

function findShare({ index }: EngineParts, { tenant }: Tenant, query: ShareQuery): ShareRow | undefined {
  return query.index === undefined ? index.firstShareOf(tenant, query.id) : index.share(tenant, query.id, query.index)
}

/** A share that the disk no longer gives is as good as absent: the reader takes another, the scrub reports it. */
async function readShare(parts: EngineParts, tenant: Tenant, query: ShareQuery, row: ShareRow | undefined) {
  if (!row) return undefined
  const bytesOf = async (share: ShareRow) =>
    share.file === null ? parts.index.small(share) : parts.files.read(tenant.name, share.file)
  try {
    const bytes = await bytesOf(row)
    if (bytes) return bytes
    const now = findShare(parts, tenant, query) // it may have been replaced since
    if (!now || (now.row === row.row && now.file === row.file)) return undefined
    return await bytesOf(now)
  } catch {
    parts.readFailed()
    return undefined
  }
}
