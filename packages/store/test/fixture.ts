/** A store over memory backends that can be taken down, emptied and tampered with. */

import { createMemoryBackend } from "@holdfast/backends"
import { nodeEnv } from "@holdfast/core/node"
import type { Backend } from "@holdfast/protocol"
import { createMemorySeen, createStore, type SeenStore, type Store, type StoreDeps } from "@holdfast/store"

/** A memory backend behind a switch. */
export interface SwitchedServer {
  readonly backend: Backend
  down: boolean
  /** Changes what is read from it. */
  tamper: ((share: Uint8Array) => Uint8Array) | undefined
  /** Forgets everything. */
  empty(): void
}

export function switchedServer(id: string): SwitchedServer {
  let inner = createMemoryBackend(id, nodeEnv.crypto)
  const live = () => {
    if (server.down) throw new Error(`${id} is down`)
    return inner
  }
  const server: SwitchedServer = {
    down: false,
    tamper: undefined,
    empty() {
      inner = createMemoryBackend(id, nodeEnv.crypto)
    },
    backend: {
      id,
      putShares: async (...args) => live().putShares(...args),
      getShares: async (...args) => {
        const shares = await live().getShares(...args)
        return shares.map((share) => (share && server.tamper ? server.tamper(share) : share))
      },
      getBlocks: async (...args) => live().getBlocks(...args),
      hasShares: async (...args) => live().hasShares(...args),
      listShares: async (...args) => live().listShares(...args),
      removeShares: async (...args) => live().removeShares(...args),
      readRegisters: async (...args) => live().readRegisters(...args),
      proposeRegisters: async (...args) => live().proposeRegisters(...args),
      usage: async (...args) => live().usage(...args),
      close: async () => undefined,
    },
  }
  return server
}

export interface Grid {
  readonly servers: SwitchedServer[]
  /** A new client of the same owner, with nothing cached. */
  client(seen?: SeenStore, options?: Pick<StoreDeps, "onRollback">): Promise<Store>
}

export function testGrid(count = 5, coding = { k: 3, happy: 4, n: 5 }): Grid {
  const servers = Array.from({ length: count }, (_, i) => switchedServer(`n${i + 1}`))
  return {
    servers,
    client: (seen = createMemorySeen(), options = {}) =>
      createStore({
        env: nodeEnv,
        servers: servers.map(({ backend }) => ({ backend, weight: 1 })),
        coding,
        registerMode: "crash",
        convergenceSecret: new Uint8Array(32).fill(7),
        seen,
        hedgeMs: 50,
        ...options,
      }),
  }
}
