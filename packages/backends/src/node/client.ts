/**
 * A storage node as a backend. Specification: docs/protocols/storage-node.md. Splits batches by the protocol's limits
 * and checks the form of every answer; that shares and values are genuine is for the caller to verify.
 * How requests travel (TLS, connections kept open) is the caller's: nothing here knows a key.
 */
import { compare, type ErrorCode, HoldfastError, isHoldfastError, limits, mapPool } from "@holdfast/core"
import {
  type Backend,
  type BlockQuery,
  blocksPerRequest,
  type CallOptions,
  decodeBlockAnswers,
  decodeFailure,
  decodeFrames,
  decodeHeld,
  decodeProposeOutcomes,
  decodePutOutcomes,
  decodeShareInfos,
  decodeUsage,
  encodeBlockQueries,
  encodeFrames,
  encodeIds,
  encodeListRequest,
  encodeQueries,
  encodeRemovals,
  type ListOptions,
  registersPerRequest,
  type ShareInfo,
  type ShareQuery,
} from "@holdfast/protocol"
import { checkListLimit } from "../rules.ts"

/** One request to the node. */
export interface NodeCall {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly body: readonly Uint8Array[]
  readonly signal?: AbortSignal
}

/** The node's answer. */
export interface NodeAnswer {
  readonly status: number
  readonly body: Uint8Array
}

/** How to reach a node. */
export interface NodeBackendOptions {
  /** The node's member id. */
  readonly id: string
  /** host:port, for messages. */
  readonly address: string
  /** Sends one request; throws ERR_SERVER_UNREACHABLE or ERR_REFUSED. Every request may be sent twice. */
  readonly request: (call: NodeCall) => Promise<NodeAnswer>
  /** Gives back what `request` holds. */
  readonly close?: () => void | Promise<void>
}

/** Requests of one call at the same time. */
const parallelRequests = 4
const putBatchBytes = 8 * 1024 * 1024
const getBatchItems = 256

/** The backend that `request` reaches. */
export function createNodeBackend(options: NodeBackendOptions): Backend {
  const closing = new AbortController() // what is under way when it is closed must not keep anybody waiting
  const until = (signal: AbortSignal | undefined) =>
    signal ? AbortSignal.any([signal, closing.signal]) : closing.signal
  const call = (path: string, body: readonly Uint8Array[], { signal }: CallOptions = {}) =>
    send(options, { method: "POST", path: `/v1/${path}`, body, signal: until(signal) })
  return {
    id: options.id,
    putShares: (shares, callOptions) =>
      inBatches(splitBySize(shares), async (batch) =>
        decodePutOutcomes(await call("shares/put", encodeFrames(batch), callOptions), batch.length),
      ),
    getShares: (queries, callOptions) =>
      inBatches(split(queries, getBatchItems), (batch) =>
        getAll(batch, async (rest) => call("shares/get", [encodeQueries(rest)], callOptions)),
      ),
    getBlocks: (queries, callOptions) =>
      inBatches(splitByBlocks(queries), async (batch) =>
        decodeBlockAnswers(await call("shares/blocks", [encodeBlockQueries(batch)], callOptions), batch),
      ),
    hasShares: (ids, callOptions) =>
      inBatches(split(ids, limits.requestItems), async (batch) =>
        decodeHeld(await call("shares/has", [encodeIds(batch, callOptions?.touch)], callOptions), batch.length),
      ),
    async listShares(listOptions) {
      checkListLimit(listOptions.limit)
      const answer = await call("shares/list", [encodeListRequest(listOptions)], listOptions)
      return checkOrder(decodeShareInfos(answer, listOptions.limit), listOptions)
    },
    async removeShares(removals, callOptions) {
      await inBatches(split(removals, limits.requestItems), async (batch) => {
        await call("shares/remove", [encodeRemovals(batch)], callOptions)
        return []
      })
    },
    readRegisters: (ids, callOptions) =>
      inBatches(split(ids, registersPerRequest), async (batch) => {
        const answer = await call("registers/read", [encodeIds(batch)], callOptions)
        const values = decodeFrames(answer, { maxItems: batch.length, maxItemBytes: limits.registerValueBytes })
        if (values.length !== batch.length) throw malformed("it left out registers")
        return values
      }),
    proposeRegisters: (values, callOptions) =>
      inBatches(split(values, registersPerRequest), async (batch) =>
        decodeProposeOutcomes(await call("registers/propose", encodeFrames(batch), callOptions), batch.length),
      ),
    async usage({ signal } = {}) {
      return decodeUsage(await send(options, { method: "GET", path: "/v1/usage", body: [], signal: until(signal) }))
    },
    async close() {
      closing.abort()
      await options.close?.()
    },
  }
}

/** Asks until everything is answered: a node answers as many of the first queries as fit, at least one. */
async function getAll(queries: readonly ShareQuery[], ask: (queries: readonly ShareQuery[]) => Promise<Uint8Array>) {
  const results: (Uint8Array | undefined)[] = []
  while (results.length < queries.length) {
    const rest = queries.slice(results.length)
    const bounds = { maxItems: rest.length, maxItemBytes: limits.shareBytes }
    const answered = decodeFrames(await ask(rest), bounds)
    if (answered.length === 0) throw malformed("it answered nothing")
    results.push(...answered)
  }
  return results
}

async function send(options: NodeBackendOptions, call: NodeCall): Promise<Uint8Array> {
  const where = `${options.id} (${options.address})`
  let answer: NodeAnswer
  try {
    answer = await requestTwice(options, call)
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    const details = { ...error.details, server: options.id }
    throw new HoldfastError(error.code, `Server ${where}: ${error.message}`, details, { cause: error })
  }
  if (answer.status === 200) return answer.body
  throw failureOf(options.id, where, answer)
}

/** Sends a request again when the connection was reset under it: every request of this protocol may be repeated. */
async function requestTwice(options: NodeBackendOptions, call: NodeCall): Promise<NodeAnswer> {
  try {
    return await options.request(call)
  } catch (error) {
    const code = isHoldfastError(error, "ERR_SERVER_UNREACHABLE") ? error.details.code : undefined
    if ((code !== "ECONNRESET" && code !== "EPIPE") || call.signal?.aborted) throw error
    return options.request(call)
  }
}

function failureOf(server: string, where: string, { status, body }: NodeAnswer): HoldfastError {
  const codes: Record<number, ErrorCode> = {
    401: "ERR_REFUSED",
    403: "ERR_REFUSED",
    413: "ERR_LIMIT",
    507: "ERR_SERVER_FULL",
  }
  let said = `it answered with status ${status}`
  try {
    said = decodeFailure(body).message.replace(/[^\x20-\x7e]/g, "?") // may go to a terminal
  } catch (error) {
    if (!isHoldfastError(error)) throw error
  }
  return new HoldfastError(codes[status] ?? "ERR_REMOTE", `Server ${where} failed: ${said}`, { server, status })
}

/** Throws unless a page goes on after where it was asked to and grows, so that a listing always ends. */
function checkOrder(page: ShareInfo[], { after }: ListOptions): ShareInfo[] {
  let last = after
  for (const info of page) {
    if (last && (compare(info.id, last.id) || info.index - last.index) <= 0) throw malformed("its list is out of order")
    last = info
  }
  return page
}

function malformed(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `A server's answer is damaged: ${why}.`)
}

async function inBatches<T, R>(batches: readonly T[][], work: (batch: T[]) => Promise<R[]>): Promise<R[]> {
  return (await mapPool(batches, parallelRequests, work)).flat()
}

function split<T>(items: readonly T[], size: number): T[][] {
  const batches: T[][] = []
  for (let i = 0; i < items.length; i += size) batches.push(items.slice(i, i + size))
  return batches
}

function splitByBlocks(queries: readonly BlockQuery[]): BlockQuery[][] {
  const batches: BlockQuery[][] = []
  let blocks = 0
  for (const query of queries) {
    const open = batches.at(-1)
    blocks = open && blocks + query.count <= blocksPerRequest ? blocks + query.count : query.count
    if (open && blocks > query.count) open.push(query)
    else batches.push([query])
  }
  return batches
}

function splitBySize(shares: readonly Uint8Array[]): Uint8Array[][] {
  const batches: Uint8Array[][] = []
  let last: Uint8Array[] = []
  let lastBytes = Number.POSITIVE_INFINITY
  for (const share of shares) {
    if (lastBytes + share.length > putBatchBytes || last.length >= limits.requestItems) {
      last = []
      lastBytes = 0
      batches.push(last)
    }
    last.push(share)
    lastBytes += share.length
  }
  return batches
}
