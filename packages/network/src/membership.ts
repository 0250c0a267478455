/**
 * What a member does with its coordinator after it joined, beside fetching the grid's description: announce itself, renew
 * its certificate. Specification: docs/protocols/join.md.
 */
import { join as joinPath } from "node:path"
import { finiteNumber, HoldfastError, integer, isHoldfastError, list, matching, parseOr, text } from "@holdfast/core"
import { writeSecretFile } from "@holdfast/core/node"
import * as v from "valibot"
import { type CallOptions, call, jsonOf } from "./coordinator-call.ts"

import { loadCached } from "./pins/cached.ts"
import type { BytesResponse } from "./tls/agent.ts"
import { checkIdentity, expiresSoon, type Identity, loadIdentity } from "./tls/identity.ts"
import { parseAddress } from "./tls/unreachable.ts"

/** A line of the member list. */
const memberSchema = v.object({
  id: v.string(),
  role: v.string(),
  tenant: v.string(),
  name: v.string(),
  /** What a client may do, with commas between; everything when absent. */
  roles: v.optional(text(64)),
  joinedMs: finiteNumber,
  address: v.optional(v.string()),
  capacityBytes: v.optional(finiteNumber),
  announcedMs: v.optional(finiteNumber),
})
export type Member = v.InferOutput<typeof memberSchema>

const administrationSchema = v.object({
  tenant: text(64, 1),
  /** The administration key, in hexadecimal. */
  key: matching(/^[0-9a-f]{64}$/),
  /** What it signed of accounts, base64, the newest on each. */
  statements: list(text(2048), 4096),
})
/** Who may list and drop the accounts of a tenant, and what was said of them. */
export type TenantAdministration = v.InferOutput<typeof administrationSchema>

const announcedSchema = v.object({
  serial: integer(),
  epoch: v.optional(integer(), 1),
  administrators: v.optional(list(administrationSchema, 65_536), () => []),
})
const renewalSchema = v.object({ certPem: text(16_384) })

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
): Promise<v.InferOutput<typeof announcedSchema>> {
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
  return parseOr(v.object({ members: v.array(memberSchema) }), answer, "The coordinator's answer").members
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
