/** Which volume a command means. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { HoldfastError } from "@holdfast/core"
import type { Profile } from "../profile/profile.ts"

/** The name of what lies on the profile's grid. */
export const gridName = "grid"

/** True when the profile is a member of a grid. */
export function hasGrid({ identityDir }: Pick<Profile, "identityDir">): boolean {
  return existsSync(join(identityDir, "cert.pem"))
}

/** Throws ERR_NO_GRID unless the profile is a member of a grid. */
export function requireGrid(profile: Pick<Profile, "identityDir" | "name">): void {
  if (!hasGrid(profile)) throw noGrid(profile.name)
}

/** Names of the volumes that the profile can open, the grid first. */
export function volumeNames(profile: Pick<Profile, "identityDir" | "volumes">): string[] {
  return [...(hasGrid(profile) ? [gridName] : []), ...profile.volumes.keys()]
}

/** The volume asked for, else the grid, else the only one there is. Throws ERR_NOT_FOUND, ERR_NO_GRID, ERR_INVALID_ARGUMENT. */
export function volumeFor(
  profile: Pick<Profile, "identityDir" | "volumes" | "name">,
  asked: string | undefined,
): string {
  const names = volumeNames(profile)
  if (asked !== undefined) {
    if (names.includes(asked)) return asked
    if (asked === gridName) throw noGrid(profile.name)
    const known = names.length > 0 ? `There are: ${names.join(", ")}.` : "There is none yet."
    throw new HoldfastError("ERR_NOT_FOUND", `There is no volume "${asked}" in the profile "${profile.name}". ${known}`)
  }
  if (names.length === 0)
    throw noGrid(profile.name, "and has no volume yet", "; or make a volume of your own: holdfast volume create")
  if (names[0] === gridName || names.length === 1) return names[0]!
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `Say which volume is meant: --volume ${names.join(" or --volume ")}.`)
}

/** The volume asked for, else all that the profile can open. Throws ERR_NO_GRID when there is none. */
export function volumesFor(
  profile: Pick<Profile, "identityDir" | "volumes" | "name">,
  asked: string | undefined,
): string[] {
  const all = volumeNames(profile)
  return asked !== undefined || all.length === 0 ? [volumeFor(profile, asked)] : all
}

function noGrid(name: string, also = "", advice = ""): HoldfastError {
  return new HoldfastError(
    "ERR_NO_GRID",
    `The profile "${name}" is a member of no grid${also && ` ${also}`}. Join one with an invitation (holdfast join --invite-file FILE), or start one on this machine (holdfast up)${advice}.`,
    { profile: name },
  )
}
