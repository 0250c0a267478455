/** Where a profile's maintenance remembers: in the state folder, and how its processes take turns there. */
import { join } from "node:path"
import { pathsOf } from "@holdfast/client/paths"
import { ioError, makePrivateFolder } from "@holdfast/core/node"
import { openMaintenanceFolder } from "@holdfast/fs/node"

/** Whose maintenance. */
export interface MaintenanceOwner {
  readonly env: NodeJS.ProcessEnv
  /** Name of the profile. */
  readonly profile: string
  warn(text: string): void
}

/** The folder of the profile in use, and what reads and writes it. */
export function openMaintenance({ env, profile, warn }: MaintenanceOwner) {
  const dir = join(pathsOf(env).state, "maintenance", profile)
  const onDamaged = (path: string) => warn(`${path} is damaged, as after a power cut: all is checked anew.`)
  return { dir, folder: openMaintenanceFolder(dir, { onDamaged }) }
}

/**
 * Runs a round while no other process of this profile runs one; `onWait` hears which one it waits for. Throws ERR_IO, ERR_DISK_FULL for
 * the folder.
 */
export async function takeTurn<T>(
  owner: MaintenanceOwner,
  round: () => Promise<T>,
  { onWait, signal }: { readonly onWait: (pid: string) => void; readonly signal?: AbortSignal | undefined },
): Promise<T> {
  const { holding } = await import("@holdfast/client/profile")
  const { dir } = openMaintenance(owner)
  try {
    makePrivateFolder(dir)
  } catch (error) {
    throw ioError(`Could not make ${dir}`, error)
  }
  return holding(join(dir, "lock"), round, { onWait, signal })
}
