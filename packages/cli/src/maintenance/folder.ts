/** Where a profile's maintenance remembers: in the state folder. */
import { join } from "node:path"
import { pathsOf } from "@holdfast/client/paths"
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
