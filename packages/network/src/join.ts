/**
 * Joining a grid and keeping up with it. The key is made here and never leaves; the authority is checked against the
 * invitation before the token is sent. Specification: docs/protocols/join.md.
 */
import { X509Certificate } from "node:crypto"
import { join as joinPath } from "node:path"
import { connect } from "node:tls"
import { equal, fromUtf8, HoldfastError, isHoldfastError, utf8 } from "@holdfast/core"
import { decodeInvite, type GridDescription } from "@holdfast/protocol"
import { z } from "zod"
import { openGrid, parseJson, parseOr, type SignedGrid, signedGridSchema } from "./grid.ts"
import { type BytesResponse, type Credentials, createAgent, parseAddress, requestBytes } from "./tls/agent.ts"
import { fingerprintOf } from "./tls/authority.ts"
import { codeOf, refuseUnlessFree, writeSecretFile } from "./tls/files.ts"
import {
  checkIdentity,
  createKeyAndRequest,
  expiresSoon,
  type Identity,
  loadIdentity,
  readIdentityFile,
  saveIdentity,
} from "./tls/identity.ts"
import { isName, type Role } from "./tls/subject.ts"

const nameSchema = z.string().refine(isName)

/** What a member keeps about its grid (member.json). No secrets. */
export const memberRecordSchema = z.object({
  version: z.literal(1),
  memberId: nameSchema,
  role: z.enum(["node", "client", "coordinator"]),
  tenant: nameSchema,
  name: z.string().max(64),
  coordinator: z.string().max(300),
  coordinatorId: nameSchema,
  gridId: z.string().min(1).max(64),
  /** Ed25519 public key, base64. */
  gridPublicKey: z.string().length(44),
})
export type MemberRecord = z.infer<typeof memberRecordSchema>

/** The coordinator's answer to a join. */
export const joinAnswerSchema = z.object({
  memberId: nameSchema,
  certPem: z.string().max(16_384),
  coordinatorId: nameSchema,
  gridPublicKey: z.string().length(44),
  grid: signedGridSchema,
})

const renewalSchema = z.object({ certPem: z.string().max(16_384) })

/** A line of the member list. */
export const memberSchema = z.object({
  id: z.string(),
  role: z.string(),
  tenant: z.string(),
  name: z.string(),
  joinedMs: z.number(),
  address: z.string().optional(),
  capacityBytes: z.number().optional(),
  announcedMs: z.number().optional(),
})
export type Member = z.infer<typeof memberSchema>

/** Where the new identity goes, and how it is called. */
export interface JoinOptions {
  /** A directory that is absent or empty. */
  readonly dir: string
  /** For people; up to 64 characters. */
  readonly name: string
  /** DNS names and IP addresses of a node, for its certificate. */
  readonly serverNames?: readonly string[]
}

/** Joins the grid of an invitation. Throws ERR_INVITE, ERR_REFUSED, ERR_SERVER_UNREACHABLE, ERR_ALREADY_EXISTS. */
export async function join(invitation: string, options: JoinOptions): Promise<{ memberId: string; role: Role }> {
  const { dir, name, serverNames = [] } = options
  const invite = decodeInvite(invitation)
  if (invite.expiryMs <= Date.now())
    throw new HoldfastError(
      "ERR_INVITE",
      `This invitation ended on ${new Date(invite.expiryMs).toISOString()}. Ask for a new one.`,
    )
  await refuseUnlessFree(dir) // before the token is spent
  const caPem = await fetchAuthority(invite.address, invite.caFingerprint)
  const { keyPem, csrPem } = await createKeyAndRequest()
  const token = Buffer.from(invite.token).toString("base64url")
  const body = { token, csr: csrPem, name, serverNames }
  const response = await call({ caPem }, invite.address, { method: "POST", path: "/v1/join", body })
  const answer = parseOr(joinAnswerSchema, jsonOf(response, "The coordinator"), "The coordinator's answer")

  const identity = checkIdentity({ keyPem, certPem: answer.certPem, caPem })
  const grid = openGrid(answer.grid, answer.gridPublicKey)
  if (identity.memberId !== answer.memberId || !sameCertificate(grid.caPem, caPem))
    throw new HoldfastError("ERR_BAD_FORMAT", "The coordinator's answer contradicts itself. Ask its operator.")
  const record: MemberRecord = {
    version: 1,
    memberId: identity.memberId,
    role: identity.role,
    tenant: identity.tenant,
    name,
    coordinator: invite.address,
    coordinatorId: answer.coordinatorId,
    gridId: grid.gridId,
    gridPublicKey: answer.gridPublicKey,
  }
  await saveIdentity(dir, identity, {
    "member.json": `${JSON.stringify(record, null, 2)}\n`,
    "grid.json": JSON.stringify(answer.grid),
  })
  return { memberId: identity.memberId, role: identity.role }
}

/** A member's record of its grid. Throws ERR_NOT_FOUND, ERR_BAD_FORMAT. */
export async function loadMemberRecord(dir: string): Promise<MemberRecord> {
  const text = await readIdentityFile(dir, "member.json")
  return parseOr(memberRecordSchema, parseJson(text, "member.json"), "member.json")
}

/** The cached description, its signature checked again. Throws ERR_NOT_FOUND, ERR_CORRUPT, ERR_BAD_FORMAT. */
export async function loadGrid(dir: string): Promise<GridDescription> {
  const record = await loadMemberRecord(dir)
  const cached = parseJson(await readIdentityFile(dir, "grid.json"), "grid.json")
  return checkGrid(openGrid(cached, record.gridPublicKey), record, await readIdentityFile(dir, "ca.pem"))
}

/**
 * The newest description from the coordinator, cached; the cached one, with fresh false, while the coordinator cannot
 * be reached. Throws ERR_ROLLBACK when the coordinator offers an older one, ERR_CORRUPT, ERR_REFUSED.
 */
export async function fetchGrid(
  dir: string,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal; readonly identity?: Identity } = {},
): Promise<{ grid: GridDescription; fresh: boolean }> {
  const { identity: given, timeoutMs = 5_000, ...more } = options
  const [record, identity, cached] = await Promise.all([
    loadMemberRecord(dir),
    given ?? loadIdentity(dir),
    loadGrid(dir),
  ])
  let response: BytesResponse
  try {
    const expectedId = record.coordinatorId
    response = await call(identity, record.coordinator, { path: "/v1/grid", expectedId, ...more, timeoutMs })
  } catch (error) {
    if (isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) return { grid: cached, fresh: false }
    throw error
  }
  const signed: SignedGrid = parseOr(signedGridSchema, jsonOf(response, "The coordinator"), "The coordinator's answer")
  const grid = checkGrid(openGrid(signed, record.gridPublicKey), record, identity.caPem)
  const changed = JSON.stringify(grid) !== JSON.stringify(cached)
  if (grid.serial < cached.serial || (grid.serial === cached.serial && changed))
    throw new HoldfastError(
      "ERR_ROLLBACK",
      `The coordinator offers grid description ${grid.serial}, but this machine has seen another ${cached.serial}. It was restored from an old copy, or is not honest; ask its operator.`,
      { offered: grid.serial, seen: cached.serial },
    )
  if (changed) await writeSecretFile(joinPath(dir, "grid.json"), JSON.stringify(signed))
  return { grid, fresh: true }
}

/** Less than this share of a certificate's year is left: time for the next one. */
const renewBeforeMs = 120 * 86_400_000

/**
 * The identity with a new certificate from the coordinator, saved, when the present one ends within four months; the key
 * stays. The same identity while the coordinator cannot be reached. Throws ERR_REFUSED, ERR_BAD_FORMAT, ERR_IO.
 */
export async function renewIdentity(
  dir: string,
  identity: Identity,
  { nowMs = Date.now(), force = false }: { readonly nowMs?: number; readonly force?: boolean } = {},
): Promise<Identity> {
  if (!force && !expiresSoon(identity, nowMs, renewBeforeMs)) return identity
  const record = await loadMemberRecord(dir)
  let response: BytesResponse
  try {
    const options = { method: "POST", path: "/v1/renew", body: {}, expectedId: record.coordinatorId, timeoutMs: 5_000 }
    response = await call(identity, record.coordinator, options)
  } catch (error) {
    if (isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) return identity
    throw error
  }
  const { certPem } = parseOr(renewalSchema, jsonOf(response, "The coordinator"), "The coordinator's answer")
  const renewed = checkIdentity({ ...identity, certPem }, nowMs)
  if (renewed.memberId !== identity.memberId || renewed.role !== identity.role || renewed.tenant !== identity.tenant)
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      "The coordinator's new certificate is another member's. Ask its operator.",
    )
  await writeSecretFile(joinPath(dir, "cert.pem"), certPem)
  return renewed
}

/** Tells the coordinator where this node is and how much it takes. Throws ERR_REFUSED for other roles. */
export async function announce(
  dir: string,
  { address, capacityBytes }: { readonly address: string; readonly capacityBytes: number },
): Promise<{ serial: number }> {
  parseAddress(address)
  const [record, identity] = await Promise.all([loadMemberRecord(dir), loadIdentity(dir)])
  const response = await call(identity, record.coordinator, {
    method: "POST",
    path: "/v1/announce",
    expectedId: record.coordinatorId,
    body: { address, capacityBytes },
  })
  const answer = jsonOf(response, "The coordinator")
  return parseOr(z.object({ serial: z.number().int() }), answer, "The coordinator's answer")
}

/** The members of the grid that this member may see. */
export async function fetchMembers(dir: string): Promise<Member[]> {
  const [record, identity] = await Promise.all([loadMemberRecord(dir), loadIdentity(dir)])
  const expectedId = record.coordinatorId
  const response = await call(identity, record.coordinator, { path: "/v1/members", expectedId })
  const answer = jsonOf(response, "The coordinator")
  return parseOr(z.object({ members: z.array(memberSchema) }), answer, "The coordinator's answer").members
}

/** Fetches the authority's certificate that a server presents; only one with this fingerprint is given back. */
async function fetchAuthority(address: string, fingerprint: Uint8Array): Promise<string> {
  const { host, port } = parseAddress(address)
  return new Promise((resolve, reject) => {
    // Not verified yet, and so nothing is sent: what comes back is used only if the invitation vouches for it.
    const socket = connect({ host, port, minVersion: "TLSv1.3", rejectUnauthorized: false, timeout: 15_000 })
    const unreachable = (why: string, cause?: Error) =>
      reject(
        new HoldfastError(
          "ERR_SERVER_UNREACHABLE",
          `The coordinator at ${address} cannot be reached: ${why}. Check that it runs and that a firewall lets it through.`,
          { address },
          cause ? { cause } : undefined,
        ),
      )
    socket.once("error", (error) => unreachable(codeOf(error) || "no TLS connection", error))
    socket.once("timeout", () => {
      socket.destroy()
      unreachable("it did not answer in time")
    })
    socket.once("secureConnect", () => {
      const authority = socket.getPeerCertificate(true)?.issuerCertificate?.raw
      socket.destroy()
      if (authority && equal(fingerprintOf(authority), fingerprint)) resolve(new X509Certificate(authority).toString())
      else
        reject(
          new HoldfastError(
            "ERR_INVITE",
            `The server at ${address} is not the one that this invitation is for, so nothing was sent to it. Check the address, and ask for a new invitation.`,
            { address },
          ),
        )
    })
  })
}

interface CallOptions {
  readonly method?: string
  readonly path: string
  readonly body?: unknown
  readonly expectedId?: string
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

async function call(credentials: Credentials, address: string, options: CallOptions): Promise<BytesResponse> {
  const { method = "GET", path, body, expectedId, timeoutMs = 30_000, signal } = options
  const agent = createAgent(credentials, { expectedRole: "coordinator", ...(expectedId ? { expectedId } : {}) })
  try {
    return await requestBytes(agent, {
      ...parseAddress(address),
      method,
      path,
      timeoutMs,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: utf8(JSON.stringify(body)) }),
      ...(signal ? { signal } : {}),
    })
  } finally {
    agent.destroy()
  }
}

const problemSchema = z.object({
  code: z.enum(["ERR_INVITE", "ERR_REFUSED", "ERR_BAD_FORMAT", "ERR_LIMIT", "ERR_INVALID_ARGUMENT"]),
  message: z.string().max(1000),
})

/** The JSON of a successful answer; a failed one becomes the error it describes. */
function jsonOf({ status, body }: BytesResponse, who: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(body))
  } catch {
    throw new HoldfastError("ERR_REMOTE", `${who} answered with status ${status} and no JSON.`, { status })
  }
  if (status === 200) return value
  const problem = problemSchema.safeParse(value)
  if (problem.success) throw new HoldfastError(problem.data.code, problem.data.message, { status })
  throw new HoldfastError("ERR_REMOTE", `${who} failed with status ${status}. Look into its log.`, { status })
}

function checkGrid(grid: GridDescription, record: MemberRecord, caPem: string): GridDescription {
  if (grid.gridId === record.gridId && sameCertificate(grid.caPem, caPem)) return grid
  throw new HoldfastError("ERR_CORRUPT", "The grid description is of another grid. Nothing of it is used.")
}

function sameCertificate(a: string, b: string): boolean {
  return equal(fingerprintOf(a), fingerprintOf(b))
}
