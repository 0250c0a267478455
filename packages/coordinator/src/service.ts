/**
 * The coordinator's HTTP endpoints. Specification: docs/protocols/join.md. A stranger may join and nothing else; a
 * member is who its verified certificate says, and only while the coordinator knows it.
 */
import { randomBytes, X509Certificate } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { TLSSocket } from "node:tls"
import {
  type ErrorCode,
  encodeBase32,
  fromUtf8,
  HoldfastError,
  integer,
  list,
  matching,
  parseOr,
  Semaphore,
  text,
} from "@holdfast/core"
import {
  type AccessRole,
  type Authority,
  isName,
  isServerName,
  keyIdOf,
  keyIdOfKey,
  type Logger,
  type Metrics,
  parseAddress,
  parseJson,
  parseRoles,
  peerOf,
  prefixesOf,
  type RefusalReason,
  readsHeader,
  refusalMessage,
  refusalOf,
  requestedKey,
  type SignedGrid,
} from "@holdfast/network"
import * as v from "valibot"
import { administrationOf } from "./administration.ts"
import type { Database, MemberRow } from "./database.ts"
import { FailureLimit } from "./failure-limit.ts"
import type { GridKey } from "./grid-key.ts"
import { tokenHashOf } from "./invite.ts"

/** What the endpoints stand on. */
export interface ServiceParts {
  readonly database: Database
  readonly authority: Authority
  readonly coordinatorId: string
  readonly gridKey: () => GridKey
  readonly grid: () => SignedGrid
  readonly nowMs: () => number
  readonly logger: Logger
  readonly metrics: Metrics
}

const paths = ["/v1/join", "/v1/grid", "/v1/announce", "/v1/members", "/v1/renew"]
const secondBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]

const maxBodyBytes = 32 * 1024
const maxServers = 4096
const joinSchema = v.object({
  token: matching(/^[A-Za-z0-9_-]{43}$/),
  csr: text(8192),
  name: v.custom<string>(isName),
  serverNames: v.optional(list(v.pipe(v.string(), v.maxLength(253), v.check(isServerName)), 16), () => []),
})
const announceSchema = v.object({
  address: text(300, 1),
  capacityBytes: integer(),
})
const statusOf: Partial<Record<ErrorCode, number>> = {
  ERR_BAD_FORMAT: 400,
  ERR_INVALID_ARGUMENT: 400,
  ERR_INVITE: 403,
  ERR_REFUSED: 403,
  ERR_NOT_FOUND: 404,
  ERR_LIMIT: 413,
  ERR_UNSUPPORTED_VERSION: 400,
}

/** The request handler of a coordinator. */
export function createService(parts: ServiceParts): (request: IncomingMessage, response: ServerResponse) => void {
  const requests = parts.metrics.counter("holdfast_coordinator_requests_total", "Requests by path and status.")
  const durationName = "holdfast_coordinator_request_duration_seconds"
  const durations = parts.metrics.histogram(durationName, "How long requests took.", secondBounds)
  // Members renew beside strangers who join, not behind them.
  const joining = { limit: new FailureLimit(30, 60_000), workers: new Semaphore(4), renewing: new Semaphore(4) }
  return (request, response) => {
    const path = request.url ?? ""
    const startedMs = performance.now()
    handle(parts, joining, request, path)
      .catch((error: unknown) => problemOf(parts.logger, path, error))
      .then(({ status, body }) => {
        const known = paths.includes(path) ? path : "other"
        durations.observe((performance.now() - startedMs) / 1000, { path: known })
        parts.logger.debug("request", { path: known, status })
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
  joining: { readonly limit: FailureLimit; readonly workers: Semaphore; readonly renewing: Semaphore },
  request: IncomingMessage,
  path: string,
): Promise<Answer> {
  const route = `${request.method} ${path}`
  if (route === "POST /v1/join") {
    const from = prefixesOf(request.socket.remoteAddress).narrow
    if (joining.limit.isOver(from, parts.nowMs()))
      return problem(429, "ERR_REFUSED", "Too many failed attempts to join from this address. Wait a minute.")
    const body = parseOr(joinSchema, await readJson(request), "The request to join")
    try {
      return await joining.workers.run(() => join(parts, body, request))
    } catch (error) {
      joining.limit.add(from, parts.nowMs())
      throw error
    }
  }
  const caller = callerOf(parts, request.socket as TLSSocket)
  if ("refused" in caller) return problem(401, "ERR_REFUSED", refusalMessage("The coordinator", caller.refused))
  const { member, keyId } = caller
  const reads = readsOf(request)
  if (reads !== (member.reads ?? oldReads)) parts.database.noteReads(member.id, reads)
  if (route === "GET /v1/grid") return { status: 200, body: readable(parts.grid(), request) }
  if (route === "GET /v1/members")
    return { status: 200, body: { members: visibleTo(member, parts.database.members()) } }
  if (route === "POST /v1/announce") return announce(parts, member, await readJson(request))
  if (route === "POST /v1/renew") return joining.renewing.run(() => renew(parts, member, keyId))
  return problem(404, "ERR_NOT_FOUND", "There is no such path here.")
}

/** A new certificate for the key and the member of the one that the caller has just proved to hold. */
async function renew({ database, authority, logger }: ServiceParts, member: MemberRow, keyId: string): Promise<Answer> {
  const { id: memberId, role, tenant } = member
  const subject = { memberId, role, tenant, ...rolesIn(member) }
  const certPem = await authority.renew(database.certificateOf(keyId)!, subject)
  keepCertificate(database, memberId, certPem)
  logger.info("certificate renewed", { memberId, role, tenant })
  return { status: 200, body: { certPem } }
}

/** Members of before they said what they read read these. */
const oldReads = 3

/** The newest version of a description that who asks reads. */
function readsOf({ headers }: IncomingMessage): number {
  const text = headers[readsHeader]
  return typeof text === "string" && /^\d{1,3}$/.test(text) ? Number(text) : oldReads
}

/** The description, if who asks reads it. Throws ERR_UNSUPPORTED_VERSION; to members that do not know that code, ERR_BAD_FORMAT. */
function readable(grid: SignedGrid, request: IncomingMessage): SignedGrid {
  const { version } = JSON.parse(grid.payload) as { version: number }
  if (readsOf(request) >= version) return grid
  throw new HoldfastError(
    request.headers[readsHeader] === undefined ? "ERR_BAD_FORMAT" : "ERR_UNSUPPORTED_VERSION",
    `This grid's description is of version ${version}, since its nodes have labels or one is a witness: that needs a newer Holdfast than this machine runs.`,
    { version },
  )
}

async function join(
  parts: ServiceParts,
  body: v.InferOutput<typeof joinSchema>,
  request: IncomingMessage,
): Promise<Answer> {
  readable(parts.grid(), request) // a member that could not go on must not use the token up either
  const { database, authority, logger, nowMs } = parts
  const key = await requestedKey(body.csr) // a bad request must not use the token up
  const keyId = keyIdOfKey(new Uint8Array(key.rawData))
  const tokenHash = tokenHashOf(Buffer.from(body.token, "base64url"))
  const claim = database.claimInvite(tokenHash, {
    ...{ keyId, memberId: encodeBase32(randomBytes(10)), name: body.name },
    ...{ nowMs: nowMs(), reads: readsOf(request) },
  })
  if (!claim.ok) {
    logger.warn("join refused", { why: claim.why })
    throw new HoldfastError("ERR_INVITE", `The invitation ${claim.why}. Ask for a new one.`)
  }
  const { memberId } = claim
  const { role, tenant, witness } = claim.invite
  const serverNames = role === "node" ? body.serverNames : []
  const made = database.certificateOf(keyId) // when the answer to the first attempt was lost
  const certPem =
    made ?? (await authority.sign(body.csr, { memberId, role, tenant, ...rolesIn(claim.invite), serverNames }))
  if (!made) keepCertificate(database, memberId, certPem)
  logger.info("member joined", { memberId, role, tenant })
  const { coordinatorId } = parts
  const answer = { memberId, certPem, coordinatorId, gridPublicKey: parts.gridKey().publicKey, grid: parts.grid() }
  return { status: 200, body: { ...answer, ...(witness && { witness: true }) } }
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
  const { serial, epoch } = JSON.parse(parts.grid().payload) as { serial: number; epoch: number }
  logger.info("node announced", { memberId: member.id, address, capacityBytes, serial })
  return { status: 200, body: { serial, epoch, administrators: administrationOf(database) } }
}

/** The caller, if its certificate is of this grid and speaks for a member that is known with that role and tenant. */
function callerOf(
  { database, nowMs }: ServiceParts,
  socket: TLSSocket,
): { readonly member: MemberRow; readonly keyId: string } | { readonly refused: RefusalReason } {
  const certificate = socket.getPeerX509Certificate()
  const refused = refusalOf(socket)
  if (refused || !certificate) return { refused: refused ?? "no-certificate" }
  const { memberId, role, tenant } = peerOf(socket)
  const keyId = keyIdOf(certificate)
  const member = database.member(memberId)
  const isRevoked = database.isRevoked(memberId)
  if (!isRevoked && (member?.role !== role || member.tenant !== tenant)) return { refused: "unknown-member" }
  const known = database.certificateOf(keyId)
  if (!known) keepCertificate(database, memberId, certificate.toString()) // it joined before keys were kept
  if (member) return { member, keyId }
  if (!known) database.revoke(memberId, nowMs()) // now with this key too
  return { refused: "revoked" }
}

function keepCertificate(database: Database, memberId: string, certPem: string): void {
  const certificate = new X509Certificate(certPem)
  database.keepCertificate(keyIdOf(certificate), memberId, certPem, certificate.validToDate.getTime())
}

/** What a member may do, as a certificate has it. */
function rolesIn({ roles }: Pick<MemberRow, "roles">): { readonly roles?: readonly AccessRole[] } {
  return roles === null ? {} : { roles: parseRoles(roles) }
}

/** The nodes, which serve everybody, and for a client the other members of its tenant; a node is of no tenant. */
function visibleTo(member: MemberRow, members: readonly MemberRow[]): object[] {
  return members
    .filter(({ role, tenant }) => role === "node" || (member.role === "client" && tenant === member.tenant))
    .map(({ labels: _, witness: __, reads: ___, ...row }) => row) // of nodes the description says it
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
