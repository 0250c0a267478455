/** A store over memory backends that can be taken down, emptied and tampered with. */

import { createMemoryPlace } from "@holdfast/backends"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type AccountAccess, type Backend, toReadCap } from "@holdfast/protocol"
import { makeAccount, newBatch, type TestAccount } from "@holdfast/protocol/testing"
import {
  type Collector,
  createMemorySeen,
  createStore,
  type SeenStore,
  type Store,
  type StoreDeps,
} from "@holdfast/store"

/** The account that uses a grid unless another is named. */
export const owner = await makeAccount(nodeCrypto)

/** Marks of tests that put shares themselves. */
export const someBatch = newBatch(nodeCrypto)

/** A memory place behind a switch. */
export interface SwitchedServer {
  /** As the owner sees it. */
  readonly backend: Backend
  backendOf(access: AccountAccess): Backend
  down: boolean
  /** Changes what is read from it. */
  tamper: ((share: Uint8Array) => Uint8Array) | undefined
  /** Forgets everything. */
  empty(): void
}

export function switchedServer(id: string, nowMs: () => number = Date.now): SwitchedServer {
  const fresh = () => createMemoryPlace(id, nodeCrypto, { nowMs })
  let place = fresh()
  const faces = new Map<AccountAccess, Backend>()
  const live = (access: AccountAccess) => {
    if (server.down) throw new Error(`${id} is down`)
    return place.backendOf(access)
  }
  const server: SwitchedServer = {
    down: false,
    tamper: undefined,
    empty() {
      place = fresh()
    },
    backendOf(access) {
      const face = faces.get(access) ?? switched(id, () => live(access), server)
      faces.set(access, face)
      return face
    },
    get backend() {
      return server.backendOf(owner)
    },
  }
  return server
}

function switched(id: string, live: () => Backend, server: Pick<SwitchedServer, "tamper">): Backend {
  return {
    id,
    marksWithAnswer: true,
    putShares: async (...args) => live().putShares(...args),
    getShares: async (...args) => {
      const shares = await live().getShares(...args)
      return shares.map((share) => (share && server.tamper ? server.tamper(share) : share))
    },
    getBlocks: async (...args) => {
      if (server.tamper) throw new Error(`${id} has no share that begins as one does`)
      return live().getBlocks(...args)
    },
    hasShares: async (...args) => live().hasShares(...args),
    markShares: async (...args) => live().markShares(...args),
    listMarks: async (...args) => live().listMarks(...args),
    listRegisters: async (...args) => live().listRegisters(...args),
    collectToken: async (...args) => live().collectToken(...args),
    unmark: async (...args) => live().unmark(...args),
    readRegisters: async (...args) => live().readRegisters(...args),
    keptValues: async (...args) => live().keptValues(...args),
    confirmMarks: async (...args) => live().confirmMarks(...args),
    proposeRegisters: async (...args) => live().proposeRegisters(...args),
    usage: async (...args) => live().usage(...args),
    close: async () => undefined,
  }
}

/** Who gives orders for an account. */
export function collectorOf({ publicKey, seed }: TestAccount): Collector {
  return { publicKey, sign: (bytes) => nodeCrypto.sign(seed, bytes) }
}

export interface Grid {
  readonly servers: SwitchedServer[]
  /** Lets time pass at the places. */
  pass(ms: number): void
  /** A new client of the same owner, with nothing cached. */
  client(seen?: SeenStore, options?: Pick<StoreDeps, "onRollback"> & { readonly account?: TestAccount }): Promise<Store>
}

export function testGrid(count = 5, coding = { k: 3, happy: 4, n: 5 }): Grid {
  let aheadMs = 0
  const servers = Array.from({ length: count }, (_, i) => switchedServer(`n${i + 1}`, () => Date.now() + aheadMs))
  return {
    servers,
    pass(ms) {
      aheadMs += ms
    },
    client: (seen = createMemorySeen(), { account = owner, ...options } = {}) =>
      createStore({
        env: nodeEnv,
        servers: servers.map((server) => ({ backend: server.backendOf(account), weight: 1 })),
        account: account.account,
        coding,
        registerMode: "crash",
        seen,
        hedgeMs: 50,
        ...options,
      }),
  }
}

/** Content of a register that says nothing. */
export const emptyParts = { content: new Uint8Array(), care: new Uint8Array() }

/** Keys of a new register. */
export async function newKeys() {
  const seed = nodeCrypto.random(32)
  const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
  return { seed, publicKey, readKey }
}

/** Commits `chunks` under a new register; true when that was acknowledged. */
export async function commit(store: Store, chunks: readonly Uint8Array[], accounts: readonly Uint8Array[] = []) {
  return store.registers.write(await newKeys(), 0, emptyParts, { chunks, accounts })
}
