/** Storage in a local directory: the engine of the storage node, and the same as a backend of its own. */
import { HoldfastError, toHex } from "@holdfast/core"
import { type AccountAccess, type Backend, decodeGrant, grantHolds, legacyAccount } from "@holdfast/protocol"
import { type EngineOptions, openEngine } from "./engine.ts"

export { smallShareBytes, usualDropGraceMs } from "../rules.ts"
export { openDirectoryAccounts } from "./accounts.ts"
export { leastDropGraceMs } from "./administration.ts"
export type { Disk, DiskDatabase, DiskFile, DiskStatement } from "./disk.ts"
export { type Engine, type EngineOptions, type NamespaceOptions, openEngine, type TenantUsage } from "./engine.ts"
export type { RecoveryReport } from "./recover.ts"
export type { Rot, ScrubOptions, ScrubReport } from "./scrub.ts"
export type { Namespace, TenantBackend, WatchOptions } from "./tenant.ts"

/** Options of a directory backend. */
export interface DirectoryOptions extends EngineOptions {
  /** Stable name of the server. */
  readonly id: string
  /** Most bytes it holds; unlimited by default. */
  readonly quotaBytes?: number
  /** Whose it is. Without one, shares are held as older clients hold them: nobody can take them away. */
  readonly access?: AccountAccess
  /** What lets a device in that has not the account's seed; refused once the account has taken it back. */
  readonly grant?: Uint8Array
}

const noAccount: AccountAccess = { account: legacyAccount, roles: ["read", "append"] }

/** Opens a directory as a backend for one user. */
export async function openDirectoryBackend(options: DirectoryOptions): Promise<Backend> {
  const engine = await openEngine({ isShared: true, ...options })
  const { id, quotaBytes, access = noAccount, grant } = options
  const tenant = await engine.tenant("local", { placeId: id, ...(quotaBytes !== undefined && { quotaBytes }) })
  const record = grant && (await tenant.recordOf(access.account))
  if (grant && !grantHolds(await decodeGrant(options.crypto, grant), record, grant)) {
    await engine.close()
    throw new HoldfastError("ERR_REFUSED", `${id} lets this device in no more. ${grantTakenBack(access.account)}`)
  }
  const backend = tenant.backendOf(access)
  const over = AbortSignal.abort()
  return {
    ...backend,
    // Not for this process alone to know: others may come to share the folder, so it is looked at again and again.
    watchRegisters: (watched, watchOptions) => backend.watchRegisters(watched, { ...watchOptions, until: over }),
    async collectToken(...args) {
      await engine.finishDrops() // no process but those of clients ever looks after a directory
      return backend.collectToken(...args)
    },
    close: () => engine.close(),
  }
}

/** What a device is told whose grant holds no more, and what to do. */
function grantTakenBack(account: Uint8Array): string {
  return `Account ${toHex(account).slice(0, 16)} has taken its grant back. To let it in again, on a full device: holdfast account grant`
}
