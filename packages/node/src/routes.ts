/**
 * What a storage node answers to each request, whatever carries it. Specification: docs/protocols/storage-node.md. Bodies are
 * whole and within the bounds of their route.
 */
import type { TenantBackend } from "@holdfast/backends/directory"
import { concat, encodeCbor, HoldfastError, isHoldfastError, limits } from "@holdfast/core"
import {
  type BlockQuery,
  batchTokenBytes,
  blockBytes,
  blockCount,
  decodeBlockQueries,
  decodeIds,
  decodeKeptRequest,
  decodeListRequest,
  decodeMarked,
  decodeMarkRequest,
  decodeQueries,
  decodeRegistersRequest,
  decodeUnmark,
  decodeWaitRequest,
  encodeAccounts,
  encodeBatchState,
  encodeBlockAnswers,
  encodeFailure,
  encodeFrames,
  encodeHashes,
  encodeHeld,
  encodeKept,
  encodeMarkInfos,
  encodeMarkOutcomes,
  encodeProposeOutcomes,
  encodePutOutcomes,
  encodeUnmarkOutcome,
  encodeUsage,
  type MarkHeader,
  type MarkOptions,
  recordBytes,
  registersPerRequest,
  registersPerWait,
  statementBytes,
  type TransportHeaders,
  waitRequestBytes,
} from "@holdfast/protocol"
import type { Wish } from "./waiting.ts"

/** What a request says in headers. It is in no body, so that nodes from before it take requests that have it. */
export interface Said {
  /** See `MarkOptions`. */
  readonly forRemoval: boolean
  /** Who asks knows the codes of refused values. */
  readonly knowsCodes: boolean
}

/** By the headers `purpose` and `knows`. */
export function saidIn(headers: TransportHeaders): Said {
  return { forRemoval: headers.purpose === "removal", knowsCodes: headers.knows === "refusal-codes" }
}

/** What a request comes with beside its body. */
export interface Context extends Said {
  /** Of one that waits: aborts when nobody hears the answer any more. */
  readonly signal?: AbortSignal
  /** Of one that waits: aborts when it is to be answered. At once without it. */
  readonly until?: AbortSignal
}

/** One endpoint. */
export interface Route {
  /** Largest body. */
  readonly maxBytes: number
  /** Most memory that its answer may take. */
  readonly answerBytes: number
  /** The same for one request: small ones need not wait for the memory of large ones. */
  readonly answerBytesFor?: (backend: TenantBackend, body: Uint8Array) => number
  /** Of an endpoint whose requests wait: for what. Throws for what is no request of the route. */
  readonly wishOf?: (body: Uint8Array) => Wish
  readonly handle: (backend: TenantBackend, body: Uint8Array, context: Context) => Promise<readonly Uint8Array[]>
}

/** Most memory that the answer to `body` may take. Throws for what is no request of the route. */
export function answerBytesOf({ answerBytes: most, answerBytesFor }: Route, backend: TenantBackend, body: Uint8Array) {
  return answerBytesFor === undefined ? most : Math.min(most, answerBytesFor(backend, body))
}

/** Most bytes of a list of ids. */
const idListBytes = 64 * limits.requestItems
/** Most bytes of frames: they have a header, so that a share batch may fill requestBytes by itself. */
export const framedBytes = limits.requestBytes + 4 * (limits.requestItems + 2) + 4096
/** Most bytes of an answer with shares or values. */
const answerBytes = limits.requestBytes
/** Most bytes that say which shares of a chunk are held. */
const heldBytes = 3 + 2 * limits.maxShares
const allHeldBytes = heldBytes * limits.requestItems
const proposalBounds = { maxItems: registersPerRequest, maxItemBytes: limits.registerValueBytes }

/** Endpoints that read what is known by its id. */
const readRoutes: Readonly<Record<string, Route>> = {
  "shares/get": {
    maxBytes: idListBytes,
    answerBytes,
    answerBytesFor: (backend, body) => backend.sharesSize(decodeQueries(body), answerBytes),
    handle: async (backend, body) => encodeFrames(await backend.getSharesWithin(decodeQueries(body), answerBytes)),
  },
  "shares/has": {
    maxBytes: idListBytes,
    answerBytes: allHeldBytes,
    answerBytesFor: (_, body) => decodeIds(body, limits.requestItems).length * heldBytes,
    handle: async (backend, body) => [encodeHeld(await backend.hasShares(decodeIds(body, limits.requestItems)))],
  },
  "registers/read": {
    maxBytes: idListBytes,
    answerBytes,
    answerBytesFor: (_, body) => decodeIds(body, registersPerRequest).length * limits.registerValueBytes,
    handle: async (backend, body) => encodeFrames(await backend.readRegisters(decodeIds(body, registersPerRequest))),
  },
  usage: {
    maxBytes: 0,
    answerBytes: 0,
    handle: async (backend) => [encodeUsage(await backend.usage())],
  },
}

/** Endpoints by their names. */
export const routes: Readonly<Record<string, Route>> = {
  ...readRoutes,
  "shares/put": {
    maxBytes: framedBytes,
    answerBytes: 0,
    handle: async (backend, body, { forRemoval }) => {
      const bounds = { maxItems: limits.requestItems, maxItemBytes: limits.shareBytes }
      const { header, items } = decodeMarked(body, bounds)
      return [encodePutOutcomes(await backend.putShares(items, { ...withBatch(header), forRemoval }))]
    },
  },
  "shares/mark": {
    maxBytes: idListBytes,
    answerBytes: allHeldBytes,
    answerBytesFor: (_, body) => decodeMarkRequest(body).ids.length * heldBytes,
    handle: async (backend, body, { forRemoval }) => {
      const { header, ids } = decodeMarkRequest(body)
      return [encodeMarkOutcomes(await backend.markShares(ids, { ...withBatch(header), forRemoval }))]
    },
  },
  "shares/blocks": {
    maxBytes: idListBytes,
    answerBytes,
    answerBytesFor: (_, body) => decodeBlockQueries(body).reduce((sum, query) => sum + blockAnswerBytes(query), 0),
    handle: async (backend, body) => encodeBlockAnswers(await backend.getBlocks(decodeBlockQueries(body))),
  },
  "marks/list": {
    maxBytes: 1024,
    answerBytes: 64 * limits.requestItems,
    answerBytesFor: (_, body) => 64 * decodeListRequest(body).limit,
    handle: async (backend, body) => [encodeMarkInfos(await backend.listMarks(decodeListRequest(body)))],
  },
  "marks/token": {
    maxBytes: 0,
    answerBytes: 0,
    handle: async (backend) => [encodeCbor(await backend.collectToken())],
  },
  "marks/unmark": {
    maxBytes: 3 * idListBytes,
    answerBytes: 0,
    handle: async (backend, body) => [encodeUnmarkOutcome(await backend.unmark(decodeUnmark(body)))],
  },
  "marks/confirm": {
    maxBytes: batchTokenBytes,
    answerBytes: 0,
    handle: async (backend, body) => [
      encodeBatchState(await backend.confirmMarks([], { batch: Uint8Array.from(body) })), // the body's memory is used again
    ],
  },
  "registers/list": {
    maxBytes: 1024,
    answerBytes: 64 * limits.requestItems,
    answerBytesFor: (_, body) => 64 * decodeRegistersRequest(body).limit,
    handle: async (backend, body) => [
      encodeCbor(concat(...(await backend.listRegisters(decodeRegistersRequest(body))))),
    ],
  },
  "registers/kept": {
    maxBytes: 1024,
    answerBytes,
    handle: async (backend, body) => {
      const { id, ...options } = decodeKeptRequest(body)
      return encodeKept(await backend.keptValues(id, options))
    },
  },
  "registers/wait": {
    maxBytes: waitRequestBytes,
    answerBytes: 1024 + 32 * registersPerWait,
    wishOf: (body) => {
      const { waitMs, watched } = decodeWaitRequest(body)
      return { waitMs, registers: watched.length }
    },
    handle: async (backend, body, { signal, until = AbortSignal.abort() }) => [
      encodeHashes(await backend.watchRegisters(decodeWaitRequest(body).watched, { ...(signal && { signal }), until })),
    ],
  },
  "registers/propose": {
    maxBytes: framedBytes,
    answerBytes,
    answerBytesFor: (_, body) => decodeMarked(body, proposalBounds).items.length * limits.registerValueBytes,
    handle: async (backend, body, { forRemoval, knowsCodes }) => {
      const { header, items } = decodeMarked(body, proposalBounds)
      const outcomes = await backend.proposeRegisters(items, { ...header, forRemoval })
      return [encodeProposeOutcomes(outcomes, { isCoded: knowsCodes })]
    },
  },
  "account/record": {
    maxBytes: recordBytes,
    answerBytes: 0,
    handle: async (backend, body) => {
      await backend.publishRecord(Uint8Array.from(body)) // the body's memory is used again
      return []
    },
  },
  "account/status": {
    maxBytes: 0,
    answerBytes: 0,
    handle: async (backend) => [encodeCbor(backend.droppedAtMs() ?? null)],
  },
  "accounts/token": {
    maxBytes: 0,
    answerBytes: 0,
    handle: async (backend) => [encodeCbor(backend.requestToken())],
  },
  "accounts/list": {
    maxBytes: statementBytes,
    answerBytes,
    handle: async (backend, body) => [encodeAccounts(await backend.listAccounts(body))],
  },
  "accounts/statement": {
    maxBytes: statementBytes,
    answerBytes: 0,
    handle: async (backend, body) => {
      await backend.takeStatement(body)
      return []
    },
  },
}

/** The blocks, the lists of leaves, the descriptor. */
function blockAnswerBytes({ count, leavesOf }: BlockQuery): number {
  const leaves = 32 * blockCount(limits.shareBytes)
  return count * blockBytes + leavesOf.length * leaves + limits.descriptorBytes
}

function withBatch({ batch, accounts }: MarkHeader): MarkOptions {
  if (batch) return { batch, accounts }
  throw new HoldfastError("ERR_BAD_FORMAT", "What is stored needs the token of a batch.")
}

const statuses: Partial<Record<HoldfastError["code"], number>> = {
  ERR_REFUSED: 403,
  ERR_NOT_FOUND: 404,
  ERR_LIMIT: 413,
  ERR_SERVER_FULL: 507,
  ERR_QUOTA_EXCEEDED: 507,
  ERR_BAD_FORMAT: 400,
  ERR_CORRUPT: 400,
  ERR_UNSUPPORTED_VERSION: 400,
  ERR_INVALID_ARGUMENT: 400,
}

/** An answer that tells of an error. */
export interface FailureAnswer {
  readonly status: number
  readonly code: string
  readonly body: Uint8Array
}

/** What says that the server has too much to do names its status itself. */
function busyStatus(status: unknown): number {
  return status === 408 || status === 503 ? status : 500
}

const failed = "The server failed; its log says why."

/** A message as a client may know it: one that names a place below `dir`, where the node keeps things, says nothing of it. */
export function withoutPlaces(message: string, dir: string): string {
  return message.includes(dir) ? failed : message
}

/** What a client may know of an error, which is nothing of places on this disk (below `dir` all of it); the log has the rest. */
export function failureAnswer(error: unknown, dir?: string): FailureAnswer {
  if (!isHoldfastError(error)) return { status: 500, code: "ERR_REMOTE", body: encodeFailure("ERR_REMOTE", failed) }
  const { code, details, message } = error
  const isOfDisk = details["path"] !== undefined || (dir !== undefined && message.includes(dir))
  const status = isOfDisk ? 500 : (statuses[code] ?? busyStatus(details.status))
  return { status, code, body: encodeFailure(code, status === 500 ? failed : message) }
}
