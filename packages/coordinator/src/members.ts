/** Members as their operator sees, labels and revokes them, on the coordinator's own machine, straight in its database. */
import { HoldfastError } from "@holdfast/core"
import { type GridDescription, type Labels, maxRevoked } from "@holdfast/protocol"
import { Database, type KnownMember } from "./database.ts"
import { labelsIn, labelsText, storedGrid } from "./grid.ts"

/** A member as its operator sees it, with what is said of a node. */
export interface ListedMember extends Omit<KnownMember, "labels" | "witness"> {
  readonly labels: Labels | null
  /** It keeps registers and never shares. */
  readonly witness: boolean
}

/** Everybody who ever joined, revoked or not. Throws ERR_NOT_FOUND. */
export function listMembers({ dir }: { readonly dir: string }): ListedMember[] {
  return withDatabase(dir, (database) => database.everybody().map(listed))
}

/** The newest description that the coordinator signed; undefined before its first start. Throws ERR_NOT_FOUND. */
export function readDescription({ dir }: { readonly dir: string }): GridDescription | undefined {
  return withDatabase(dir, storedGrid)
}

/**
 * Says what the node with this id or name would be lost with; null for nothing but itself. Clients follow within a minute. Throws
 * ERR_NOT_FOUND, ERR_INVALID_ARGUMENT for a name of several, or a member that is no node.
 */
export function labelNode({
  dir,
  node,
  labels,
}: {
  readonly dir: string
  readonly node: string
  readonly labels: Labels | null
}): ListedMember {
  return withDatabase(dir, (database) => {
    const nodes = database.everybody().filter(({ role, revokedMs }) => role === "node" && revokedMs === null)
    const { id } = chosen(nodes, node)
    database.label(id, labels && labelsText(labels))
    return listed(database.everybody().find((member) => member.id === id)!)
  })
}

/**
 * Revokes the member with this id or name, for ever. The coordinator refuses it from now on, the other members as soon
 * as they hear of it in the grid description. Throws ERR_NOT_FOUND, ERR_INVALID_ARGUMENT for a name of several.
 */
export function revokeMember({ dir, member }: { readonly dir: string; readonly member: string }): KnownMember {
  return withDatabase(dir, (database) => {
    const found = chosen(database.everybody(), member)
    if (database.revokedKeys().length >= maxRevoked)
      throw new HoldfastError(
        "ERR_LIMIT",
        `A grid revokes at most ${maxRevoked} keys. Start a new grid, and move to it.`,
      )
    database.revoke(found.id, Date.now())
    return database.everybody().find(({ id }) => id === found.id)!
  })
}

function listed(member: KnownMember): ListedMember {
  return { ...member, labels: member.labels === null ? null : labelsIn(member.labels), witness: member.witness === 1 }
}

function chosen(members: readonly KnownMember[], wanted: string): KnownMember {
  const exact = members.find(({ id }) => id === wanted)
  const named = members.filter(({ name, revokedMs }) => name === wanted && revokedMs === null)
  if (exact) return exact
  if (named.length === 1) return named[0]!
  if (named.length === 0)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `No member has the name or id "${wanted}". \`holdfast coordinator members\` lists them.`,
    )
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `${named.length} members are called "${wanted}". Give the id of one: ${named.map(({ id }) => id).join(", ")}.`,
  )
}

function withDatabase<T>(dir: string, work: (database: Database) => T): T {
  const database = new Database(dir, { mustExist: true })
  try {
    return work(database)
  } finally {
    database.close()
  }
}
