/**
 * Who may list and drop the accounts of tenants here: whom the node's operator names, else whom the coordinator does. What an
 * administrator said while the node was away comes with the coordinator's answer, signed, and is taken then.
 */
import type { Engine, NamespaceOptions } from "@holdfast/backends/directory"
import { fromHex, isHoldfastError } from "@holdfast/core"
import type { Logger, TenantAdministration } from "@holdfast/network"
import { legacyAccount } from "@holdfast/protocol"

/** What it works with. */
export interface AdministrationOptions {
  /** Public keys by tenant, in hexadecimal, that the node's operator gave: these hold. */
  readonly given: Readonly<Record<string, string>>
  readonly optionsOf: (tenant: string) => NamespaceOptions
  readonly log: Logger
}

/** Administrators of tenants. */
export interface Administration {
  /** The key of a tenant's administrator, as far as it is known. */
  keyOf(tenant: string): Uint8Array | undefined
  /** Takes the coordinator's word on who they are, and theirs on accounts. */
  take(tenants: readonly TenantAdministration[]): Promise<void>
}

/** The administrators that a node knows. */
export function createAdministration(engine: Engine, { given, optionsOf, log }: AdministrationOptions): Administration {
  const told = new Map<string, string>()
  const taken = new Set<string>()
  const takeOne = async (tenant: string, statement: string) => {
    const mark = `${tenant} ${statement}`
    if (taken.has(mark)) return
    try {
      const namespace = await engine.tenant(tenant, optionsOf(tenant))
      const caller = namespace.backendOf({ account: legacyAccount, roles: [] })
      await caller.takeStatement(new Uint8Array(Buffer.from(statement, "base64")))
      taken.add(mark)
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      log.warn("statement-refused", { tenant, code: error.code, cause: error.message })
    }
  }
  return {
    keyOf(tenant) {
      const key = Object.hasOwn(given, tenant) ? given[tenant] : told.get(tenant)
      return key === undefined ? undefined : fromHex(key)
    },
    async take(tenants) {
      for (const { tenant, key } of tenants) {
        if (told.has(tenant) && told.get(tenant) !== key) log.warn("administrator-changed", { tenant })
        told.set(tenant, key)
      }
      for (const { tenant, statements } of tenants) for (const one of statements) await takeOne(tenant, one)
    },
  }
}
