/**
 * The coordinator's HTTP endpoints. Specification: docs/protocols/join.md. A stranger may join and nothing else; a
 * member is who its verified certificate says, and only while the coordinator knows it.
 */
import { randomBytes } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { TLSSocket } from "node:tls"
import { type ErrorCode, encodeBase32, fromUtf8, HoldfastError, Semaphore } from "@holdfast/core"
import {
  type Authority,
  isServerName,
  type Logger,
  type Metrics,
  parseAddress,
  parseJson,
  parseOr,
  peerOf,
  requestedKey,
  type SignedGrid,
} from "@holdfast/network"
import { z } from "zod"
import type { Database, MemberRow } from "./database.ts"
import { FailureLimit } from "./failure-limit.ts"
import { tokenHashOf } from "./invite.ts"

/** What the endpoints stand on. */
export interface ServiceParts {
  readonly database: Database
  readonly authority: Authority
  readonly coordinatorId: string
  readonly gridPublicKey: string
  readonly grid: () => SignedGrid
  readonly nowMs: () => number
  readonly logger: Logger
  readonly metrics: Metrics
}

const maxBodyBytes = 32 * 1024
const maxServers = 4096
const joinSchema = z.object({
  token: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  csr: z.string().max(8192),
  name: z.string().max(64),
  serverNames: z.array(z.string().max(253).refine(isServerName)).max(16).default([]),
})
const announceSchema = z.object({
  address: z.string().min(1).max(300),
  capacityBytes: z.number().int().nonnegative(),
})
const statusOf: Partial<Record<ErrorCode, number>> = {
  ERR_BAD_FORMAT: 400,
  ERR_INVALID_ARGUMENT: 400,
  ERR_INVITE: 403,
  ERR_REFUSED: 403,
  ERR_NOT_FOUND: 404,
  ERR_LIMIT: 413,
}

/** The request handler of a coordinator. */
export function createService(parts: ServiceParts): (request: IncomingMessage, response: ServerResponse) => void {
  const requests = parts.metrics.counter("holdfast_coordinator_requests_total", "Requests by path and status.")
  const joining = { limit: new FailureLimit(30, 60_000), workers: new Semaphore(4) }
  return (request, response) => {
    const path = request.url ?? ""
    handle(parts, joining, request, path)
      .catch((error: unknown) => problemOf(parts.logger, path, error))
      .then(({ status, body }) => {
        const known = ["/v1/join", "/v1/grid", "/v1/announce", "/v1/members", "/v1/renew"].includes(path)
          ? path
          : "other"
        requests.add(1, { path: known, status: String(status) })
        const headers = { "content-type": "application/json", ...(status >= 400 ? { connection: "close" } : {}) }
        response.writeHead(status, headers).end(JSON.stringify(body))
      })
      .catch(() => response.destroy())
  }
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

async function handle(
  parts: ServiceParts,
  joining: { readonly limit: FailureLimit; readonly workers: Semaphore },
  request: IncomingMessage,
  path: string,
): Promise<Answer> {
  const route = `${request.method} ${path}`
  if (route === "POST /v1/join") {
    const from = request.socket.remoteAddress ?? ""
    if (joining.limit.isOver(from, parts.nowMs()))
      return problem(429, "ERR_REFUSED", "Too many failed attempts to join from this address. Wait a minute.")
    const body = parseOr(joinSchema, await readJson(request), "The request to join")
    try {
      return await joining.workers.run(() => join(parts, body))
    } catch (error) {
      joining.limit.add(from, parts.nowMs())
      throw error
    }
  }
  const member = memberOf(parts, request)
  if (!member)
    return problem(
      401,
      "ERR_REFUSED",
      "This needs the certificate of a member of this grid. Join it with an invitation.",
    )
  if (route === "GET /v1/grid") return { status: 200, body: parts.grid() }
  if (route === "GET /v1/members")
    return { status: 200, body: { members: visibleTo(member, parts.database.members()) } }
  if (route === "POST /v1/announce") return announce(parts, member, await readJson(request))
  if (route === "POST /v1/renew") return renew(parts, member, request)
  return problem(404, "ERR_NOT_FOUND", "There is no such path here.")
}

/** A new certificate for the key and the member of the one that the caller has just proved to hold. */
async function renew(
  { authority, logger }: ServiceParts,
  member: MemberRow,
  request: IncomingMessage,
): Promise<Answer> {
  const { id: memberId, role, tenant } = member
  const presented = (request.socket as TLSSocket).getPeerX509Certificate()
  if (!presented) throw new HoldfastError("ERR_REFUSED", "Renewing needs the certificate that is to be renewed.")
  const certPem = await authority.renew(presented.toString(), { memberId, role, tenant })
  logger.info("certificate renewed", { memberId, role, tenant })
  return { status: 200, body: { certPem } }
}

async function join(parts: ServiceParts, body: z.infer<typeof joinSchema>): Promise<Answer> {
  const { database, authority, logger, nowMs } = parts
  await requestedKey(body.csr) // a bad request must not use the token up
  const memberId = encodeBase32(randomBytes(10))
  const claim = database.claimInvite(tokenHashOf(Buffer.from(body.token, "base64url")), memberId, body.name, nowMs())
  if (!claim.ok) {
    logger.warn("join refused", { why: claim.why })
    throw new HoldfastError("ERR_INVITE", `The invitation ${claim.why}. Ask for a new one.`)
  }
  const { role, tenant } = claim.invite
  const serverNames = role === "node" ? body.serverNames : []
  const certPem = await authority.sign(body.csr, { memberId, role, tenant, serverNames })
  logger.info("member joined", { memberId, role, tenant })
  const { coordinatorId, gridPublicKey } = parts
  return { status: 200, body: { memberId, certPem, coordinatorId, gridPublicKey, grid: parts.grid() } }
}

function announce(parts: ServiceParts, member: MemberRow, json: unknown): Answer {
  const { database, logger, nowMs } = parts
  if (member.role !== "node")
    return problem(403, "ERR_REFUSED", `Only nodes announce themselves; ${member.id} is a ${member.role}.`)
  const { address, capacityBytes } = parseOr(announceSchema, json, "The announcement")
  parseAddress(address)
  const others = database.members().filter((other) => other.address !== null && other.id !== member.id)
  if (others.length >= maxServers) return problem(403, "ERR_LIMIT", `The grid has ${maxServers} servers, its most.`)
  database.announce(member.id, address, capacityBytes, nowMs())
  const { serial } = JSON.parse(parts.grid().payload) as { serial: number }
  logger.info("node announced", { memberId: member.id, address, capacityBytes, serial })
  return { status: 200, body: { serial } }
}

/** The caller, if its certificate is of this grid and speaks for a member that is known with that role and tenant. */
function memberOf({ database }: ServiceParts, request: IncomingMessage): MemberRow | undefined {
  try {
    const { memberId, role, tenant } = peerOf(request.socket)
    const member = database.member(memberId)
    return member && member.role === role && member.tenant === tenant ? member : undefined
  } catch (error) {
    if (error instanceof HoldfastError) return undefined
    throw error
  }
}

/** Members of one's own tenant, and the nodes, which serve everybody. */
function visibleTo(member: MemberRow, members: readonly MemberRow[]): object[] {
  return members
    .filter(({ role, tenant }) => role === "node" || tenant === member.tenant)
    .map((row) => Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)))
}

function readJson(request: IncomingMessage): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let total = 0
    request.on("data", (chunk: Uint8Array) => {
      total += chunk.length
      if (total <= maxBodyBytes) chunks.push(chunk)
      else reject(new HoldfastError("ERR_LIMIT", `A request has at most ${maxBodyBytes} bytes.`))
    })
    request.on("error", reject)
    request.on("end", () => {
      try {
        resolve(parseJson(fromUtf8(Buffer.concat(chunks)), "The request"))
      } catch (cause) {
        reject(new HoldfastError("ERR_BAD_FORMAT", "The request is not JSON.", {}, { cause }))
      }
    })
  })
}

function problemOf(logger: Logger, path: string, error: unknown): Answer {
  const status = error instanceof HoldfastError ? statusOf[error.code] : undefined
  if (error instanceof HoldfastError && status) return problem(status, error.code, error.message)
  logger.error("request failed", { path: path.slice(0, 100), error })
  return problem(500, "ERR_REMOTE", "The coordinator failed. Its log says why.")
}

function problem(status: number, code: ErrorCode, message: string): Answer {
  return { status, body: { code, message } }
}
