/**
 * What a member does with its coordinator after it joined, beside fetching the grid's description: announce itself, renew
 * its certificate. Specification: docs/protocols/join.md.
 */
import { join as joinPath } from "node:path"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { writeSecretFile } from "@holdfast/core/node"
import { z } from "zod"
import { type CallOptions, call, jsonOf } from "./coordinator-call.ts"
import { parseOr } from "./grid.ts"
import { loadCached } from "./pins/cached.ts"
import { type BytesResponse, parseAddress } from "./tls/agent.ts"
import { checkIdentity, expiresSoon, type Identity, loadIdentity } from "./tls/identity.ts"

/** A line of the member list. */
const memberSchema = z.object({
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

const administrationSchema = z.object({
  tenant: z.string().min(1).max(64),
  /** The administration key, in hexadecimal. */
  key: z.string().regex(/^[0-9a-f]{64}$/),
  /** What it signed of accounts, base64, the newest on each. */
  statements: z.array(z.string().max(2048)).max(4096),
})
/** Who may list and drop the accounts of a tenant, and what was said of them. */
export type TenantAdministration = z.infer<typeof administrationSchema>

const announcedSchema = z.object({
  serial: z.number().int(),
  epoch: z.number().int().default(1),
  administrators: z.array(administrationSchema).max(65_536).default([]),
})
const renewalSchema = z.object({ certPem: z.string().max(16_384) })

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
  let response: BytesResponse
  try {
    response = await askCoordinator(dir, identity, { method: "POST", path: "/v1/renew", body: {}, timeoutMs: 5_000 })
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
): Promise<z.infer<typeof announcedSchema>> {
  parseAddress(address)
  const body = { address, capacityBytes }
  const response = await askCoordinator(dir, await loadIdentity(dir), { method: "POST", path: "/v1/announce", body })
  const answer = jsonOf(response, "The coordinator")
  return parseOr(announcedSchema, answer, "The coordinator's answer")
}

/** The members of the grid that this member may see. */
export async function fetchMembers(dir: string): Promise<Member[]> {
  const response = await askCoordinator(dir, await loadIdentity(dir), { path: "/v1/members" })
  const answer = jsonOf(response, "The coordinator")
  return parseOr(z.object({ members: z.array(memberSchema) }), answer, "The coordinator's answer").members
}

/** A request to the coordinator of this member's grid, unless its key was revoked. */
async function askCoordinator(
  dir: string,
  identity: Identity,
  options: Omit<CallOptions, "expectedId" | "revoked">,
): Promise<BytesResponse> {
  const { record, pinned } = await loadCached(dir)
  const { coordinatorId: expectedId } = record
  return call(identity, record.coordinator, { ...options, expectedId, revoked: pinned.pins.revoked })
}
