/** Storage in a local directory: the engine of the storage node, and the same as a backend of its own. */
import { type AccountAccess, type Backend, legacyAccount } from "@holdfast/protocol"
import { type EngineOptions, openEngine } from "./engine.ts"

export { smallShareBytes } from "../rules.ts"
export { leastDropGraceMs, usualDropGraceMs } from "./administration.ts"
export type { Disk, DiskDatabase, DiskFile, DiskStatement } from "./disk.ts"
export { type Engine, type EngineOptions, type NamespaceOptions, openEngine, type TenantUsage } from "./engine.ts"
export type { RecoveryReport } from "./recover.ts"
export type { Rot, ScrubOptions, ScrubReport } from "./scrub.ts"
export type { Namespace, TenantBackend } from "./tenant.ts"

/** Options of a directory backend. */
export interface DirectoryOptions extends EngineOptions {
  /** Stable name of the server. */
  readonly id: string
  /** Most bytes it holds; unlimited by default. */
  readonly quotaBytes?: number
  /** Whose it is. Without one, shares are held as older clients hold them: nobody can take them away. */
  readonly access?: AccountAccess
}

const noAccount: AccountAccess = { account: legacyAccount, roles: ["read", "append"] }

/** Opens a directory as a backend for one user. */
export async function openDirectoryBackend(options: DirectoryOptions): Promise<Backend> {
  const engine = await openEngine(options)
  const { id, quotaBytes, access = noAccount } = options
  const tenant = await engine.tenant("local", { placeId: id, ...(quotaBytes !== undefined && { quotaBytes }) })
  return { ...tenant.backendOf(access), close: () => engine.close() }
}
