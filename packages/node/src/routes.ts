/**
 * What a storage node answers to each request, whatever carries it. Specification: docs/protocols/storage-node.md. Bodies are
 * whole and within the bounds of their route.
 */
import type { TenantBackend } from "@holdfast/backends/node"
import { type HoldfastError, isHoldfastError, limits } from "@holdfast/core"
import {
  decodeBlockQueries,
  decodeIds,
  decodeListRequest,
  decodeQueries,
  decodeRemovals,
  decodeWholeFrames,
  encodeBlockAnswers,
  encodeFailure,
  encodeFrames,
  encodeHeld,
  encodeProposeOutcomes,
  encodePutOutcomes,
  encodeShareInfos,
  encodeUsage,
  registersPerRequest,
} from "@holdfast/protocol"

/** One endpoint. */
export interface Route {
  readonly method: "GET" | "POST"
  /** Largest body. */
  readonly maxBytes: number
  /** Memory that its answer may take. */
  readonly answerBytes: number
  readonly handle: (tenant: TenantBackend, body: Uint8Array) => Promise<readonly Uint8Array[]>
}

const idListBytes = 64 * limits.requestItems
const small = 1024 * 1024
/** Frames have a header; so a share batch may fill requestBytes by itself. */
const framedBytes = limits.requestBytes + 4 * (limits.requestItems + 1)
const answerBytes = limits.requestBytes
/** All endpoints by their paths. */
export const routes: Readonly<Record<string, Route>> = {
  "/v1/shares/put": {
    method: "POST",
    maxBytes: framedBytes,
    answerBytes: 0,
    handle: async (tenant, body) => {
      const shares = decodeWholeFrames(body, { maxItems: limits.requestItems, maxItemBytes: limits.shareBytes })
      return [encodePutOutcomes(await tenant.putShares(shares))]
    },
  },
  "/v1/shares/get": {
    method: "POST",
    maxBytes: idListBytes,
    answerBytes,
    handle: async (tenant, body) => encodeFrames(await tenant.getSharesWithin(decodeQueries(body), answerBytes)),
  },
  "/v1/shares/blocks": {
    method: "POST",
    maxBytes: idListBytes,
    answerBytes,
    handle: async (tenant, body) => encodeBlockAnswers(await tenant.getBlocks(decodeBlockQueries(body))),
  },
  "/v1/shares/has": {
    method: "POST",
    maxBytes: idListBytes,
    answerBytes: small,
    handle: async (tenant, body) => {
      const { ids, touch } = decodeIds(body, limits.requestItems)
      return [encodeHeld(await tenant.hasShares(ids, { touch }))]
    },
  },
  "/v1/shares/list": {
    method: "POST",
    maxBytes: 1024,
    answerBytes: small,
    handle: async (tenant, body) => [encodeShareInfos(await tenant.listShares(decodeListRequest(body)))],
  },
  "/v1/shares/remove": {
    method: "POST",
    maxBytes: idListBytes,
    answerBytes: 0,
    handle: async (tenant, body) => {
      await tenant.removeShares(decodeRemovals(body))
      return []
    },
  },
  "/v1/registers/read": {
    method: "POST",
    maxBytes: idListBytes,
    answerBytes,
    handle: async (tenant, body) => {
      const { ids } = decodeIds(body, registersPerRequest)
      return encodeFrames(await tenant.readRegisters(ids))
    },
  },
  "/v1/registers/propose": {
    method: "POST",
    maxBytes: framedBytes,
    answerBytes,
    handle: async (tenant, body) => {
      const bounds = { maxItems: registersPerRequest, maxItemBytes: limits.registerValueBytes }
      return [encodeProposeOutcomes(await tenant.proposeRegisters(decodeWholeFrames(body, bounds)))]
    },
  },
  "/v1/usage": {
    method: "GET",
    maxBytes: 0,
    answerBytes: 0,
    handle: async (tenant) => [encodeUsage(await tenant.usage())],
  },
}

const statuses: Partial<Record<HoldfastError["code"], number>> = {
  ERR_REFUSED: 403,
  ERR_NOT_FOUND: 404,
  ERR_LIMIT: 413,
  ERR_SERVER_FULL: 507,
  ERR_BAD_FORMAT: 400,
  ERR_UNSUPPORTED_VERSION: 400,
  ERR_INVALID_ARGUMENT: 400,
}

/** An answer that tells of an error. */
export interface FailureAnswer {
  readonly status: number
  readonly code: string
  readonly body: Uint8Array
}

/** What a client may know of an error; the log has the rest. */
export function failureAnswer(error: unknown): FailureAnswer {
  const status = isHoldfastError(error) ? (statuses[error.code] ?? 500) : 500
  const code = isHoldfastError(error) ? error.code : "ERR_REMOTE"
  const message = isHoldfastError(error) && status !== 500 ? error.message : "The server failed; its log says why."
  return { status, code, body: encodeFailure(code, message) }
}
