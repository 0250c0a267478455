/** What goes into a recovery kit of a profile. */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { fingerprintOf, loadGrid } from "@holdfast/network"
import type { JoinedGrid, RecoverySecrets } from "@holdfast/protocol"
import type { Profile } from "../profile/profile.ts"
import { hasGrid } from "../volumes/choose.ts"
import type { Session } from "../volumes/session.ts"

/** The secrets of the profile of a session; what was seen is left to the caller. */
export async function secretsOf(
  { profile, volume, backends }: Session,
  more: Pick<RecoverySecrets, "bucketKeys" | "kits"> & { readonly nowMs: number },
): Promise<RecoverySecrets> {
  const { nowMs, bucketKeys, kits } = more
  const aliasVolumes = [...profile.aliases.keys()].flatMap((alias) => {
    const name = profile.volumeOf(alias)
    return name === undefined ? [] : [[alias, name] as const]
  })
  return {
    createdMs: nowMs,
    volume,
    places: backends.map(({ id }) => id),
    convergenceSecret: profile.convergenceSecret,
    aliases: profile.aliases,
    aliasVolumes: new Map(aliasVolumes),
    localAliases: [...profile.aliases.keys()].filter((alias) => profile.aliasState(alias) === "local"),
    volumes: [...profile.volumes.values()],
    seen: "",
    grid: await gridOf(profile),
    bucketKeys,
    kits,
    others: profile.otherSecrets,
  }
}

/** How to know the right coordinator again: a certificate can be had anew, and is no part of a kit. */
async function gridOf(profile: Pick<Profile, "identityDir">): Promise<JoinedGrid | undefined> {
  if (!hasGrid(profile)) return undefined
  const { coordinator } = await loadGrid(profile.identityDir)
  return { coordinator, caFingerprint: fingerprintOf(await readFile(join(profile.identityDir, "ca.pem"))) }
}
