/**
 * Who a certificate speaks for: CN is the member id, O the role, OU the tenant, a second OU what a client may do where that
 * is not everything. Nothing else of it is believed.
 */
import { excerpt, HoldfastError } from "@holdfast/core"
import { type AccessRole, decodeRoles } from "./roles.ts"

/** What a member may do: keep shares, store and read, or run the grid. */
export type Role = "node" | "client" | "coordinator"

/** The names in a certificate's subject. */
export interface Subject {
  readonly memberId: string
  readonly role: Role
  readonly tenant: string
  /** What a client may do; everything when absent. Ask `rolesOf`. */
  readonly roles?: readonly AccessRole[]
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** True for text that may be a member id or a tenant: 1 to 64 letters, digits, dots, underscores, hyphens. */
export function isName(text: unknown): text is string {
  return typeof text === "string" && namePattern.test(text)
}

/** The error for a member's name that is none. */
export function badMemberName(name: string): HoldfastError {
  return new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${excerpt(name, 64)}" cannot name a member: use 1 to 64 letters, digits, dots, underscores or hyphens.`,
  )
}

/** True for one of the roles. */
export function isRole(text: unknown): text is Role {
  return text === "node" || text === "client" || text === "coordinator"
}

/** Takes a subject as node:tls gives it, or undefined when it is not exactly one of ours. */
export function subjectOf(subject: unknown): Subject | undefined {
  if (typeof subject !== "object" || subject === null) return undefined
  const { CN, O, OU } = subject as Record<string, unknown> // a repeated attribute is an array, and so refused
  if (!isName(CN) || !isRole(O)) return undefined
  if (isName(OU)) return { memberId: CN, role: O, tenant: OU }
  if (!Array.isArray(OU) || OU.length !== 2 || O !== "client") return undefined
  const [tenant, roles] = [OU[0] as unknown, decodeRoles(OU[1])]
  return isName(tenant) && roles ? { memberId: CN, role: O, tenant, roles } : undefined
}

/** Throws ERR_INVALID_ARGUMENT unless every part is well formed. */
export function checkSubject({ memberId, role, tenant, roles }: Subject): void {
  if (roles && (role !== "client" || roles.length === 0))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "Only clients have roles, and each has at least one.")
  if (!isName(memberId) || !isRole(role) || !isName(tenant))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "A member id and a tenant are 1 to 64 letters, digits, dots, underscores or hyphens; a role is node, client or coordinator.",
    )
}
