/**
 * A storage node as a backend. Specification: docs/protocols/storage-node.md. Splits batches by the protocol's limits
 * and checks the form of every answer; that shares and values are genuine is for the caller to verify.
 * How requests travel (TLS, connections kept open) is the caller's: nothing here knows a key.
 */
import { compare, decodeCbor, HoldfastError, limits, mapPoolToEnd } from "@holdfast/core"
import {
  type AccountInfo,
  type Backend,
  type BlockQuery,
  blocksPerRequest,
  type CallOptions,
  collectTokenBytes,
  decodeAccounts,
  decodeBatchState,
  decodeBlockAnswers,
  decodeFrames,
  decodeHeld,
  decodeIdList,
  decodeKept,
  decodeMarkInfos,
  decodeMarkOutcomes,
  decodeProposeOutcomes,
  decodePutOutcomes,
  decodeUnmarkOutcome,
  decodeUsage,
  encodeBlockQueries,
  encodeIds,
  encodeKeptRequest,
  encodeListRequest,
  encodeMarked,
  encodeMarkRequest,
  encodeQueries,
  encodeRegistersRequest,
  encodeUnmark,
  type KeptOptions,
  type KeptValue,
  type ListOptions,
  type MarkInfo,
  maxMessage,
  type RegisterId,
  registersPerRequest,
  type ShareQuery,
} from "@holdfast/protocol"
import { checkListLimit } from "../rules.ts"
import { type NodeBackendOptions, type NodeCall, send } from "./send.ts"
import { watchRegisters } from "./watching.ts"

/** A storage node as one account sees it. */
export interface NodeBackend extends Backend {
  /** Hands over the record of the account's devices; the node keeps the one of the highest epoch. */
  publishRecord(record: Uint8Array, options?: CallOptions): Promise<void>
  /** When what the account holds here is taken away, ms since the epoch; undefined unless its administrator dropped it. */
  droppedAtMs(options?: CallOptions): Promise<number | undefined>
  /** Hands over a statement of the tenant's administrator. */
  publishStatement(statement: Uint8Array, options?: CallOptions): Promise<void>
  /** What a request for accounts carries. */
  requestToken(options?: CallOptions): Promise<Uint8Array>
  /** Accounts of the tenant, by the signed request of its administrator. */
  listAccounts(request: Uint8Array, options?: CallOptions): Promise<AccountInfo[]>
}

/** Requests of one call at the same time. */
const parallelRequests = 4
const putBatchBytes = 8 * 1024 * 1024
const getBatchItems = 256
/** Largest answer of the protocol, with its heads. */
const mostAnswerBytes = limits.requestBytes + 64 * 1024
/** Largest failure, and more than enough for answers of a few fields. */
const failureBytes = 8 * 1024
/** Largest word on one share, register value or mark: a message for people. */
const outcomeBytes = 4 * maxMessage + 128
/** Largest line of a listing. */
const lineBytes = 64
/** Of a request that serves a removal; in none of the bodies, so that nodes from before it take them all the same. */
const removalHeader = { purpose: "removal" }
/** Largest frame's head. */
const frameBytes = 16

function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "")
}

/** The backend that `request` reaches. */
export function createNodeBackend(options: NodeBackendOptions): NodeBackend {
  const closing = new AbortController() // what is under way when it is closed must not keep anybody waiting
  const headers = {
    knows: "refusal-codes",
    ...(options.grant && { grant: base64Url(options.grant) }),
  }
  const until = (signal: AbortSignal | undefined) =>
    signal ? AbortSignal.any([signal, closing.signal]) : closing.signal
  const call: Call = (endpoint, body, { signal, forRemoval } = {}, answerBytes = 0) => {
    const maxBytes = Math.min(mostAnswerBytes, failureBytes + answerBytes)
    const sent = forRemoval ? { ...headers, ...removalHeader } : headers
    return send(options, { endpoint, headers: sent, body, maxBytes, signal: until(signal) })
  }
  const registers = registerCalls(call)
  return {
    id: options.id,
    marksWithAnswer: true,
    ...shareCalls(call),
    ...markCalls(call),
    ...registers,
    watchRegisters: watchRegisters(
      (body, answerBytes, callOptions) => call("registers/wait", [body], callOptions, answerBytes),
      registers,
    ),
    usage: async (callOptions) => decodeUsage(await call("usage", [], callOptions)),
    ...administrationCalls(call),
    async close() {
      closing.abort()
      await options.close?.()
    },
  }
}

/** Sends a request; `answerBytes` is the largest answer that can be right, beside `failureBytes`: none for a few fields. */
type Call = (
  endpoint: string,
  body: readonly Uint8Array[],
  options?: CallOptions & { readonly forRemoval?: boolean },
  answerBytes?: number,
) => Promise<Uint8Array>

function shareCalls(call: Call): Pick<Backend, "putShares" | "markShares" | "getShares" | "getBlocks" | "hasShares"> {
  return {
    putShares: (shares, markOptions) =>
      inBatches(splitBySize(shares), async (batch) =>
        decodePutOutcomes(
          await call("shares/put", encodeMarked(markOptions, batch), markOptions, batch.length * outcomeBytes),
          batch.length,
        ),
      ),
    markShares: (ids, markOptions) =>
      inBatches(split(ids, limits.requestItems), async (batch) =>
        decodeMarkOutcomes(
          await call("shares/mark", [encodeMarkRequest(batch, markOptions)], markOptions, batch.length * outcomeBytes),
          batch.length,
        ),
      ),
    getShares: (queries, callOptions) =>
      inBatches(split(queries, getBatchItems), (batch) =>
        getAll(batch, async (rest) =>
          call("shares/get", [encodeQueries(rest)], callOptions, rest.length * (limits.shareBytes + frameBytes)),
        ),
      ),
    getBlocks: (queries, callOptions) =>
      inBatches(splitByBlocks(queries), async (batch) =>
        decodeBlockAnswers(
          await call("shares/blocks", [encodeBlockQueries(batch)], callOptions, mostAnswerBytes),
          batch,
        ),
      ),
    hasShares: (ids, callOptions) =>
      inBatches(split(ids, limits.requestItems), async (batch) =>
        decodeHeld(
          await call("shares/has", [encodeIds(batch)], callOptions, batch.length * (limits.maxShares + 3)),
          batch.length,
        ),
      ),
  }
}

function markCalls(
  call: Call,
): Pick<Backend, "listMarks" | "listRegisters" | "collectToken" | "unmark" | "confirmMarks"> {
  return {
    confirmMarks: async (_registers, markOptions) =>
      decodeBatchState(await call("marks/confirm", [markOptions.batch], markOptions)),
    async listMarks(listOptions) {
      checkListLimit(listOptions.limit)
      const answer = await call(
        "marks/list",
        [encodeListRequest(listOptions)],
        listOptions,
        listOptions.limit * lineBytes,
      )
      return checkOrder(decodeMarkInfos(answer, listOptions.limit), listOptions)
    },
    async listRegisters(listOptions) {
      checkListLimit(listOptions.limit)
      const answer = await call(
        "registers/list",
        [encodeRegistersRequest(listOptions)],
        listOptions,
        listOptions.limit * lineBytes,
      )
      const page = decodeIdList(bytesIn(answer), listOptions.limit)
      let last = listOptions.after
      for (const id of page) {
        if (last && compare(id, last) <= 0) throw malformed("its list is out of order")
        last = id
      }
      return page
    },
    async collectToken(callOptions) {
      const token = bytesIn(await call("marks/token", [], callOptions))
      if (token.length === 0 || token.length > collectTokenBytes) throw malformed("its token has a wrong length")
      return token
    },
    async unmark(order, callOptions) {
      for (const list of [order.chunks, order.registers, order.trims])
        if (list.length > limits.requestItems)
          throw new HoldfastError("ERR_INVALID_ARGUMENT", `An order names at most ${limits.requestItems} of each kind.`)
      return decodeUnmarkOutcome(await call("marks/unmark", [encodeUnmark(order)], callOptions))
    },
  }
}

function registerCalls(call: Call): Pick<Backend, "readRegisters" | "keptValues" | "proposeRegisters"> {
  return {
    readRegisters: (ids, callOptions) =>
      inBatches(split(ids, registersPerRequest), async (batch) => {
        const answer = await call(
          "registers/read",
          [encodeIds(batch)],
          callOptions,
          batch.length * (limits.registerValueBytes + frameBytes),
        )
        const values = decodeFrames(answer, { maxItems: batch.length, maxItemBytes: limits.registerValueBytes })
        if (values.length !== batch.length) throw malformed("it left out registers")
        return values
      }),
    async keptValues(id: RegisterId, keptOptions: KeptOptions = {}) {
      const answer = await call(
        "registers/kept",
        [encodeKeptRequest(id, keptOptions.below)],
        keptOptions,
        mostAnswerBytes,
      )
      return checkKept(decodeKept(answer), keptOptions)
    },
    proposeRegisters: (values, markOptions = {}) =>
      inBatches(split(values, registersPerRequest), async (batch) =>
        decodeProposeOutcomes(
          await call(
            "registers/propose",
            encodeMarked(markOptions, batch),
            markOptions,
            batch.length * (limits.registerValueBytes + outcomeBytes),
          ),
          batch.length,
        ),
      ),
  }
}

function administrationCalls(call: Call): Omit<NodeBackend, Exclude<keyof Backend, "publishRecord">> {
  return {
    async publishRecord(record, callOptions) {
      await call("account/record", [record], callOptions)
    },
    async droppedAtMs(callOptions) {
      const value = decodeCbor(await call("account/status", [], callOptions), "answer")
      if (value === null) return undefined
      if (typeof value === "number" && value >= 0) return value
      throw malformed("expected a time")
    },
    async publishStatement(statement, callOptions) {
      await call("accounts/statement", [statement], callOptions)
    },
    requestToken: async (callOptions) => bytesIn(await call("accounts/token", [], callOptions)),
    listAccounts: async (request, callOptions) =>
      decodeAccounts(await call("accounts/list", [request], callOptions, mostAnswerBytes)),
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

/** Throws unless a page goes on after where it was asked to and grows, so that a listing always ends. */
function checkOrder(page: MarkInfo[], { after }: ListOptions): MarkInfo[] {
  let last = after
  for (const info of page) {
    if (last && (compare(info.id, last.id) || info.index - last.index) <= 0) throw malformed("its list is out of order")
    last = info
  }
  return page
}

/** Throws unless the values go down from where they were asked, so that asking for more always ends. */
function checkKept(values: KeptValue[], { below = Number.POSITIVE_INFINITY }: KeptOptions): KeptValue[] {
  let last = below
  for (const { sequence } of values) {
    if (sequence >= last) throw malformed("its values are out of order")
    last = sequence
  }
  return values
}

/** The byte string that an answer is. */
function bytesIn(answer: Uint8Array): Uint8Array {
  const value = decodeCbor(answer, "answer")
  if (value instanceof Uint8Array) return value
  throw malformed("expected bytes")
}

function malformed(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `A server's answer is damaged: ${why}.`)
}

async function inBatches<T, R>(batches: readonly T[][], work: (batch: T[]) => Promise<R[]>): Promise<R[]> {
  return (await mapPoolToEnd(batches, parallelRequests, work)).flat()
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
