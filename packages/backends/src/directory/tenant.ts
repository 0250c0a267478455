/** One tenant's view of a storage directory: a Backend that sees nothing of the other tenants. */
import { HoldfastError, isHoldfastError, limits, mapPool } from "@holdfast/core"
import {
  type Backend,
  decodeRegisterValue,
  type ListOptions,
  type ProposeOutcome,
  registerIdOf,
  type ShareQuery,
  type ShareRemoval,
} from "@holdfast/protocol"
import { checkListLimit, judgeProposal } from "../rules.ts"
import { readBlocks } from "./blocks.ts"
import { isDiskFull, type ShareRow } from "./database.ts"
import type { EngineParts } from "./parts.ts"
import { SharePutter } from "./putter.ts"

/** A tenant's backend, with what a server needs besides. */
export interface TenantBackend extends Backend {
  /** Answers the first queries whose shares together stay under `maxBytes`, one at least; the rest is to be asked again. */
  getSharesWithin(queries: readonly ShareQuery[], maxBytes: number): Promise<(Uint8Array | undefined)[]>
}

/** Reads of one request at a time. */
const parallelReads = 16

interface Tenant {
  readonly tenant: number
  readonly name: string
}

/** The backend of `tenant`; its id is the tenant's name. Closing it does nothing: the engine is closed instead. */
export function tenantBackend(parts: EngineParts, tenant: Tenant, quotaBytes: number | undefined): TenantBackend {
  const { index, committer, clock, track } = parts
  const putter = new SharePutter(parts, tenant, quotaBytes)
  const getSharesWithin = (queries: readonly ShareQuery[], maxBytes: number) =>
    track(() => readShares(parts, tenant, queries, maxBytes))
  return {
    id: tenant.name,
    putShares: (shares) => track(() => putter.put(shares)),
    getSharesWithin,
    getShares: (queries) => getSharesWithin(queries, Number.POSITIVE_INFINITY),
    getBlocks: (queries) => track(() => mapPool(queries, parallelReads, (query) => readBlocks(parts, tenant, query))),
    async hasShares(ids, { touch = false } = {}) {
      const held = () => ids.map((id) => index.sharesOf(tenant.tenant, id).map((share) => share.idx))
      if (!touch || ids.length === 0) return held()
      return committer.run(() => {
        const nowMs = clock.nowMs()
        for (const id of ids) index.touchChunk(nowMs, tenant.tenant, id)
        return held()
      })
    },
    async listShares({ after, limit }: ListOptions) {
      checkListLimit(limit)
      const rows = index.sharesAfter(tenant.tenant, after?.id ?? new Uint8Array(), after?.index ?? -1, limit)
      return rows.map(({ chunk, idx, size, touched }) => ({
        id: chunk,
        index: idx,
        sizeBytes: size,
        touchedMs: touched,
      }))
    },
    removeShares: (removals) => track(() => removeShares(parts, tenant, removals)),
    readRegisters: async (ids) => ids.map((id) => index.register(tenant.tenant, id)?.value),
    proposeRegisters: (values) => track(() => proposeRegisters(parts, tenant, values, quotaBytes)),
    async usage() {
      const { bytes, shares } = index.tenantNamed(tenant.name)!
      const availableBytes = await parts.space.measure()
      return {
        usedBytes: bytes,
        shareCount: shares,
        ...(quotaBytes !== undefined && { quotaBytes }),
        availableBytes,
      }
    },
    close: async () => undefined,
  }
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
  return query.index === undefined ? index.sharesOf(tenant, query.id)[0] : index.share(tenant, query.id, query.index)
}

/** A share that the disk no longer gives is as good as absent: the reader takes another, the scrub reports it. */
async function readShare(parts: EngineParts, tenant: Tenant, query: ShareQuery, row: ShareRow | undefined) {
  if (!row) return undefined
  try {
    if (row.file === null) return parts.index.small(row.row)
    const bytes = await parts.files.read(tenant.name, row.file)
    if (bytes) return bytes
    const now = findShare(parts, tenant, query) // it may have been replaced since
    if (!now || now.file === row.file) return undefined
    return now.file === null ? parts.index.small(now.row) : await parts.files.read(tenant.name, now.file)
  } catch {
    parts.readFailed()
    return undefined
  }
}

async function removeShares(parts: EngineParts, tenant: Tenant, removals: readonly ShareRemoval[]): Promise<void> {
  if (removals.length === 0) return
  const { index, committer, files } = parts
  const unused = await committer.run(() => {
    const dropped: string[] = []
    for (const { id, index: which, touchedBeforeMs = Number.POSITIVE_INFINITY } of removals) {
      const one = which === undefined ? undefined : index.share(tenant.tenant, id, which)
      const rows = which === undefined ? index.sharesOf(tenant.tenant, id) : one ? [one] : []
      for (const row of rows) {
        if (row.touched >= touchedBeforeMs) continue
        index.dropShare(tenant.tenant, row)
        if (row.file !== null) dropped.push(row.file)
      }
    }
    return dropped
  })
  await files.remove(tenant.name, unused)
}

async function proposeRegisters(
  parts: EngineParts,
  tenant: Tenant,
  values: readonly Uint8Array[],
  quotaBytes = Number.POSITIVE_INFINITY,
): Promise<ProposeOutcome[]> {
  if (values.length === 0) return []
  await parts.space.measure()
  const checks = await Promise.all(values.map((bytes) => checkValue(parts, bytes)))
  const propose = (bytes: Uint8Array, check: { id: Uint8Array; sequence: number } | string): ProposeOutcome => {
    if (typeof check === "string") return { accepted: false, message: check }
    const row = parts.index.register(tenant.tenant, check.id)
    const held = row && { sequence: row.sequence, bytes: row.value }
    const outcome = judgeProposal(held, { sequence: check.sequence, bytes })
    if (!outcome.accepted || (held && held.sequence === check.sequence)) return outcome
    const moreBytes = bytes.length - (held?.bytes.length ?? 0)
    if (moreBytes > 0 && parts.index.tenantNamed(tenant.name)!.bytes + moreBytes > quotaBytes)
      return { accepted: false, message: `The quota of ${quotaBytes} bytes is used up.` }
    if (!held && !parts.space.take(limits.registerValueBytes))
      return { accepted: false, message: "The server has no space left for registers." }
    parts.index.putRegister(tenant.tenant, check.id, check.sequence, bytes, held?.bytes.length ?? 0)
    return outcome
  }
  return parts.committer
    .run(() => values.map((bytes, i) => propose(bytes, checks[i]!)))
    .catch((cause: unknown) => {
      if (isDiskFull(cause))
        throw new HoldfastError("ERR_SERVER_FULL", "The server's disk is full: no register was changed.", {}, { cause })
      throw cause
    })
}

async function checkValue(parts: EngineParts, bytes: Uint8Array) {
  try {
    const { publicKey, sequence } = await decodeRegisterValue(parts.crypto, bytes)
    return { id: registerIdOf(publicKey), sequence }
  } catch (error) {
    if (isHoldfastError(error)) return error.message
    throw error
  }
}
