/**
 * Who does what in a world beside those who write and read: mostly people who mean harm, besides places that lie. Which roles a seed
 * has is drawn from a stream of its own, so that what a seed did before there was a role it does still when that is left out.
 */
import { type FaultKind, faultKinds } from "./faults.ts"
import type { Random } from "./random.ts"

/**
 * - `writer`: writes what no client of ours would into a tree that others read and write too, with a place on its side;
 * - `hoarder`: fills places as far as its quota, or its tenant's share of a disk, goes;
 * - `intruder`: changes what faulty places have on their disks, as whoever owns them can;
 * - `glut`: places that lie answer as much as is taken;
 * - `kits`: accounts make, replace and use recovery kits. They mean no harm.
 */
export const roleKinds = ["writer", "hoarder", "intruder", "glut", "kits"] as const

/** A role. */
export type RoleKind = (typeof roleKinds)[number]

/** The roles of those who mean harm. */
export const harmfulRoles: readonly RoleKind[] = roleKinds.filter((role) => role !== "kits")

/** What a run can be told to leave out. */
export type Omission = FaultKind | RoleKind

/** All that can be left out. */
export const omissions: readonly Omission[] = [...faultKinds, ...roleKinds]

/** The roles of a world, by chance. */
export function rolesOf(random: Random): RoleKind[] {
  return roleKinds.filter(() => random.chance(0.4))
}

/** Most that a node charges an account where there is a hoarder: others need a third of it at most. */
export const accountQuotaBytes = 12 * 1024 * 1024

/** Of the key of whoever may drop accounts at nodes. */
export function administratorSeed(random: Random): Uint8Array {
  return random.fork("administrator").bytes(32)
}
