/**
 * Joining again, of profiles and nodes alike: who is not let in any more gets a new key and certificate of the same grid, beside the
 * old identity until it is whole, and holds the grid to the same as before. Specification: docs/protocols/join.md, Again.
 */
import { existsSync } from "node:fs"
import { open, readFile, rename, rm } from "node:fs/promises"
import { dirname, join as joinPath } from "node:path"
import { equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import { writeSecretFile } from "@holdfast/core/node"
import { fetchGrid, fingerprintOf, type Identity, type JoinOptions, join, loadMemberRecord } from "@holdfast/network"
import { decodeInvite } from "@holdfast/protocol"
import { hasGrid } from "../volumes/choose.ts"

/** Where the identity is, and where the next one lies until it is whole. */
export interface IdentityFolders {
  readonly identity: string
  readonly next: string
}

/** Who joins again. */
export interface Rejoining {
  /** For messages: `profile "default"`. */
  readonly what: string
  readonly identityDir: string
  readonly identity: () => Promise<Identity>
  /** How to join as somebody else instead. */
  readonly advice: string
}

/** True for the folder of an identity that is whole. */
export function isWhole(folder: string): boolean {
  return existsSync(joinPath(folder, "cert.pem"))
}

/** Joins as the next identity, unless that was done before and cut short then; `sayAgain` is asked before. Throws as `join`. */
export async function joinNext(
  invitation: string,
  { next, ...options }: Pick<IdentityFolders, "next"> & Omit<JoinOptions, "dir">,
  sayAgain: () => Promise<void>,
): Promise<void> {
  if (isWhole(next)) return
  await sayAgain()
  await join(invitation, { ...options, dir: next })
}

/** Why the grid does not let somebody in. Throws ERR_ALREADY_EXISTS when it does, or cannot be asked, ERR_INVITE for another grid. */
export async function whyRefused(invitation: string, who: Rejoining): Promise<string> {
  const { what, identityDir, identity, advice } = who
  const { caFingerprint } = decodeInvite(invitation)
  const own = fingerprintOf(await readFile(joinPath(identityDir, "ca.pem"), "utf8"))
  if (!equal(own, caFingerprint))
    throw new HoldfastError(
      "ERR_INVITE",
      `This invitation is for another grid than the one of the ${what}, which belongs to one grid. ${advice}`,
    )
  let isAsked = false
  try {
    const { fresh, offer } = await fetchGrid(identityDir, { identity: await identity() })
    isAsked = fresh || offer !== undefined
  } catch (error) {
    // Of a wrong clock here no new certificate helps.
    const isRefused =
      isHoldfastError(error, "ERR_REFUSED") && (error.details["proven"] === true || "notAfterMs" in error.details)
    if (isRefused) return error.message
    throw error
  }
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `The ${what} is a member of a grid already${isAsked ? ", which lets it in" : ", whose coordinator cannot be asked now whether it lets it in"}. To join another one, or as somebody else: ${advice}`,
  )
}

/** What the member holds the grid to stays: a coordinator that shuts a member out cannot weaken anything by it. */
export async function keepPins({ identity, next }: IdentityFolders): Promise<void> {
  if (!hasGrid({ identityDir: identity })) return
  const [before, now] = await Promise.all([loadMemberRecord(identity), loadMemberRecord(next)])
  const why =
    before.gridId !== now.gridId
      ? "The coordinator let this member into another grid."
      : before.role !== now.role
        ? `The invitation is one of a ${now.role}, and this member is a ${before.role}.`
        : undefined
  if (why !== undefined) {
    await rm(next, { recursive: true }) // or it would be gone on with for ever
    throw new HoldfastError("ERR_INVITE", `${why} Nothing was changed. Ask for another invitation.`)
  }
  for (const name of ["pins.json", "grid.json"]) {
    const path = joinPath(identity, name)
    if (existsSync(path)) await writeSecretFile(joinPath(next, name), await readFile(path))
    else await rm(joinPath(next, name), { force: true }) // of before there were pins: `grid.json` is what counts
  }
  const record = { ...now, gridPublicKey: before.gridPublicKey }
  await writeSecretFile(joinPath(next, "member.json"), `${JSON.stringify(record, null, 2)}\n`)
}

/** Puts the next identity in the place of the one before, which goes to `old`: a folder that must not exist. */
export async function replaceIdentity({ identity, next }: IdentityFolders, old: string): Promise<void> {
  if (existsSync(identity)) await rename(identity, old)
  await rename(next, identity)
  const folder = await open(dirname(identity), "r")
  await folder.sync().finally(() => folder.close())
}
