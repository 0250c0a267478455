/**
 * What a member does with its coordinator after it joined: fetch the signed description of the grid, announce itself,
 * renew its certificate. Specification: docs/protocols/join.md.
 */
import { join as joinPath } from "node:path"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import type { GridDescription } from "@holdfast/protocol"
import { z } from "zod"
import { call, jsonOf } from "./coordinator-call.ts"
import { openGrid, parseJson, parseOr, type SignedGrid, signedGridSchema } from "./grid.ts"
import { type BytesResponse, parseAddress } from "./tls/agent.ts"
import { sameCertificate } from "./tls/authority.ts"
import { writeSecretFile } from "./tls/files.ts"
import { checkIdentity, expiresSoon, type Identity, loadIdentity, readIdentityFile } from "./tls/identity.ts"
import { isName } from "./tls/subject.ts"

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

/** A line of the member list. */
export const memberSchema = z.object({
  id: z.string(),
  role: z.string(),
  tenant: z.string(),
  name: z.string(),
  /** What a client may do, with commas between; everything when absent. */
  roles: z.string().max(64).optional(),
  joinedMs: z.number(),
  address: z.string().optional(),
  capacityBytes: z.number().optional(),
  announcedMs: z.number().optional(),
})
export type Member = z.infer<typeof memberSchema>

const renewalSchema = z.object({ certPem: z.string().max(16_384) })

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
    response = await call(identity, record.coordinator, {
      path: "/v1/grid",
      expectedId,
      revoked: cached.revoked,
      ...more,
      timeoutMs,
    })
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

function checkGrid(grid: GridDescription, record: MemberRecord, caPem: string): GridDescription {
  if (grid.gridId === record.gridId && sameCertificate(grid.caPem, caPem)) return grid
  throw new HoldfastError("ERR_CORRUPT", "The grid description is of another grid. Nothing of it is used.")
}
