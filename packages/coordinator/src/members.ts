/** Members as their operator sees and revokes them, on the coordinator's own machine, straight in its database. */
import { HoldfastError } from "@holdfast/core"
import { maxRevoked } from "@holdfast/protocol"
import { Database, type KnownMember } from "./database.ts"

/** Everybody who ever joined, revoked or not. Throws ERR_NOT_FOUND. */
export function listMembers({ dir }: { readonly dir: string }): KnownMember[] {
  return withDatabase(dir, (database) => database.everybody())
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
