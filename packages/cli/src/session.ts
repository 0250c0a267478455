/** A session with a grid: profile, servers and store composed. The only place that knows how they fit together. */

import { existsSync } from "node:fs"
import { createNodeBackend } from "@holdfast/backends/node"
import type { BufferPool, Env } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import {
  createAgent,
  expiresSoon,
  fetchGrid,
  type Identity,
  loadGrid,
  parseAddress,
  renewIdentity,
  requestBytes,
} from "@holdfast/network"
import type { Backend, GridDescription, GridServer } from "@holdfast/protocol"
import { createStore, type Rollback, type Store } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { pathsOf } from "./profile/paths.ts"
import { openProfile, type Profile, unknownAlias } from "./profile/profile.ts"
import type { AskPassphrase } from "./profile/secrets.ts"

/** Everything a command needs of the grid. */
export interface Session {
  readonly profile: Profile
  readonly grid: GridDescription
  readonly env: Env
  readonly backends: readonly Backend[]
  readonly store: Store
  /** The capability behind an alias. Throws ERR_UNKNOWN_ALIAS. */
  capOf(alias: string): string
  close(): Promise<void>
}

/** A cached grid description older than this is refreshed, if the coordinator answers. */
const refreshAfterMs = 60_000
/** With less left than this and no renewal, the user must hear of it. */
const warnBeforeMs = 14 * 86_400_000

/** How a session is opened. */
export interface SessionOptions {
  /** For a locked profile. */
  readonly passphrase: AskPassphrase
  /** Takes an older root than one seen before, for reading; called with what was found. */
  readonly onRollback?: (rollback: Rollback) => void
  /** Called when the certificate ends within two weeks and could not be renewed. */
  readonly onCertificateEnding?: (notAfterMs: number) => void
}

/** Opens the grid of a profile. Throws ERR_NO_PROFILE. */
export async function openSession(
  profileName: string,
  environment: NodeJS.ProcessEnv,
  { passphrase, onRollback, onCertificateEnding }: SessionOptions,
): Promise<Session> {
  const profile = await openProfile(pathsOf(environment), profileName, passphrase)
  // While the coordinator is away, or refuses, the present certificate does until it ends.
  const identity = await profile.identity()
  const renewed = await renewIdentity(profile.identityDir, identity).catch(() => identity)
  if (expiresSoon(renewed, Date.now(), warnBeforeMs)) onCertificateEnding?.(renewed.notAfterMs)
  const grid = await currentGrid(profile, renewed)
  const bundledWorker = new URL("./chunk-worker.mjs", import.meta.url)
  const pipeline = createWorkerPool(existsSync(bundledWorker) ? { workerUrl: bundledWorker } : {})
  const backends = grid.servers.map((server) => connect(server, renewed, pipeline.buffers))
  const store = await createStore({
    env: nodeEnv,
    servers: backends.map((backend, i) => ({ backend, weight: Math.max(1, grid.servers[i]!.capacityBytes) })),
    coding: grid.coding,
    registerMode: grid.registerMode,
    convergenceSecret: profile.convergenceSecret,
    seen: profile.seen,
    pipeline,
    ...(onRollback ? { onRollback } : {}),
  })
  return {
    profile,
    grid,
    env: nodeEnv,
    backends: store.backends,
    store,
    capOf(alias) {
      const cap = profile.aliases.get(alias)
      if (!cap) throw unknownAlias(alias, [...profile.aliases.keys()])
      return cap
    },
    async close() {
      await profile.flush()
      await store.close()
    },
  }
}

async function currentGrid(profile: Profile, identity: Identity): Promise<GridDescription> {
  const cached = await loadGrid(profile.identityDir).catch(() => undefined)
  if (cached && Date.now() - cached.issuedMs < refreshAfterMs) return cached
  return (await fetchGrid(profile.identityDir, { identity })).grid
}

/** A backend that reaches a server over mutual TLS. Large answers lie in arrays of `buffers`. */
export function connect(server: GridServer, identity: Identity, buffers?: BufferPool): Backend {
  const agent = createAgent(identity, { expectedId: server.id, expectedRole: "node" })
  const { host, port } = parseAddress(server.address)
  const allocation = buffers ? { allocate: (length: number) => buffers.take(length) } : {}
  return createNodeBackend({
    id: server.id,
    address: server.address,
    request: (call) => requestBytes(agent, { host, port, ...allocation, ...call }),
    close: () => agent.destroy(),
  })
}
