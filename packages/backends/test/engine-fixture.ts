/** Engines over folders that go with their test. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { type AccountAccess, accountRoles } from "@holdfast/protocol"
import { type Engine, type EngineOptions, type NamespaceOptions, openEngine } from "../src/directory/index.ts"

/** Who uses a tenant where it matters not. */
export const someone: AccountAccess = { account: new Uint8Array(32).fill(7), roles: accountRoles }

/** A tenant as `someone` sees it. */
export async function tenantOf(engine: Engine, name: string, options?: NamespaceOptions) {
  return (await engine.tenant(name, options)).backendOf(someone)
}

/** A folder that goes with the test. */
export async function temporary(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** An engine that is closed with the test. */
export async function opened(t: TestContext, dir: string, options: Partial<EngineOptions> = {}) {
  const engine = await openEngine({ dir, crypto, clock, reservedBytes: 0, ...options })
  t.after(() => engine.close())
  return engine
}
