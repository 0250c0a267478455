/** Invitations: made on the coordinator's own machine, straight in its database, so that no network port makes them. */
import { randomBytes } from "node:crypto"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { HoldfastError, hashSmall } from "@holdfast/core"
import {
  type AccessRole,
  accessRoles,
  badMemberName,
  fingerprintOf,
  isName,
  parseAddress,
  parseRoles,
} from "@holdfast/network"
import { encodeInvite, type Labels } from "@holdfast/protocol"
import { Database, type TenantRow } from "./database.ts"
import { labelsText } from "./grid.ts"

/** Whom to invite, and for how long. */
export interface InviteOptions {
  /** The coordinator's state directory. */
  readonly dir: string
  readonly role: "node" | "client"
  /** Whose data a client's is: nobody gets one unsaid. A node serves all of them, and needs none. */
  readonly tenant?: string
  /** What a client may do at nodes. Default: everything. */
  readonly roles?: readonly AccessRole[]
  /** What a node would be lost with. */
  readonly labels?: Labels
  /** The node keeps registers and never shares. */
  readonly witness?: boolean
  /** Default one hour. */
  readonly ttlSeconds?: number
  /** The member's name; without it the member chooses. */
  readonly name?: string
  /** host:port by which the new member reaches the coordinator. Default: what the coordinator advertises. */
  readonly address?: string
  /** Default: now. */
  readonly nowMs?: number
}

/** What stands for the tenant in a node's certificate; it stores nothing of its own. */
const nodesTenant = "grid"
const maxTtlSeconds = 30 * 86_400

/** Makes an invitation for one member: a string, and a secret. Throws ERR_NOT_FOUND, ERR_INVALID_ARGUMENT, ERR_LIMIT. */
export async function createInvite(options: InviteOptions): Promise<string> {
  const { dir, role, roles, labels, witness = false, ttlSeconds = 3600, name = "", nowMs = Date.now() } = options
  const tenant = options.tenant ?? (role === "node" ? nodesTenant : undefined)
  if (role !== "node" && role !== "client") throw invalid("The role of an invitation is node or client.")
  if (tenant === undefined) throw invalid("Say whose data this client's is: an invitation for a client names a tenant.")
  if (roles && (role !== "client" || roles.length === 0))
    throw invalid("Only clients have roles, and each at least one.")
  if (role !== "node" && (labels || witness)) throw invalid("Only nodes have labels or are witnesses.")
  if (!isName(tenant)) throw invalid("A tenant is 1 to 64 letters, digits, dots, underscores or hyphens.")
  if (name !== "" && !isName(name)) throw badMemberName(name)
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > maxTtlSeconds)
    throw invalid(`An invitation lasts 1 to ${maxTtlSeconds} seconds.`)
  const database = new Database(dir, { mustExist: true })
  try {
    const address = options.address ?? database.get("advertise")
    if (!address) throw invalid("The coordinator's address is not known yet. Start it once, or give an address.")
    parseAddress(address)
    const caFingerprint = fingerprintOf(await readFile(join(dir, "authority", "ca.pem")))
    const token = new Uint8Array(randomBytes(32))
    const expiryMs = nowMs + ttlSeconds * 1000
    // Everything is written as nothing: such a certificate is what it always was.
    const isAll = !roles || accessRoles.every((one) => roles.includes(one))
    const text = isAll ? null : parseRoles(roles.join(",")).join(",")
    const more = { labels: labels ? labelsText(labels) : null, witness: witness ? (1 as const) : null }
    database.addInvite(tokenHashOf(token), { role, tenant, name, roles: text, ...more }, expiryMs, nowMs)
    return encodeInvite({ address, caFingerprint, token, expiryMs, ...(witness && { witness }) })
  } finally {
    database.close()
  }
}

/** The tenants of a grid. Throws ERR_NOT_FOUND. */
export function listTenants({ dir, nowMs = Date.now() }: Pick<InviteOptions, "dir" | "nowMs">): TenantRow[] {
  const database = new Database(dir, { mustExist: true })
  try {
    return database.tenants(nowMs)
  } finally {
    database.close()
  }
}

/** What is stored of a token. */
export function tokenHashOf(token: Uint8Array): Uint8Array {
  return hashSmall("holdfast/invite-token/1", token)
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("ERR_INVALID_ARGUMENT", message)
}
