/**
 * What a client may do at a node, by the provider's word in its certificate: membership alone allows nothing. A certificate
 * from before there were roles allows everything; nodes and coordinators store nothing and have none. Specification:
 * docs/protocols/join.md.
 */
import { excerpt, HoldfastError } from "@holdfast/core"

/**
 * read: get shares, ask for them, read registers. append: put, mark, propose. collect: list own marks and take them away.
 * repair: put for others what is missing.
 */
export type AccessRole = "read" | "append" | "collect" | "repair"

/** All of them, in the order of a certificate. */
export const accessRoles: readonly AccessRole[] = ["append", "collect", "read", "repair"]

const prefix = "roles:"
const shape = /^roles:[a-z]{1,16}(?:,[a-z]{1,16}){0,15}$/

/** The parts of a certificate's subject that say what its holder may do. */
interface Holder {
  readonly role: string
  readonly roles?: readonly AccessRole[]
}

/** What the holder of a certificate may do at a node. */
export function rolesOf({ role, roles }: Holder): ReadonlySet<AccessRole> {
  if (role !== "client") return new Set()
  return new Set(roles ?? accessRoles)
}

/** Roles as people write them, `read,append`. Throws ERR_INVALID_ARGUMENT. */
export function parseRoles(text: string): AccessRole[] {
  const words = text.split(",").map((word) => word.trim())
  const strange = words.find((word) => !isAccessRole(word))
  if (strange !== undefined)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${excerpt(strange, 20)}" is no role. Roles are ${accessRoles.join(", ")}, with commas between.`,
    )
  return inOrder(words.filter(isAccessRole))
}

/** The same roles in the one order that certificates and databases have. */
export function inOrder(roles: Iterable<AccessRole>): AccessRole[] {
  const wanted = new Set(roles)
  return accessRoles.filter((role) => wanted.has(role))
}

/** The second OU of a subject with these roles. */
export function encodeRoles(roles: Iterable<AccessRole>): string {
  return `${prefix}${inOrder(roles).join(",")}`
}

/** The roles of a second OU; of a newer authority's roles those known here. Undefined for what is none. */
export function decodeRoles(text: unknown): AccessRole[] | undefined {
  if (typeof text !== "string" || !shape.test(text)) return undefined
  return inOrder(text.slice(prefix.length).split(",").filter(isAccessRole))
}

function isAccessRole(text: string): text is AccessRole {
  return (accessRoles as readonly string[]).includes(text)
}
