/** A client of the simulated world: the real store and tree over simulated links, with a clock of its own that is wrong. */
import type { CryptoProvider, Env } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"
import { createMemorySeen, createStore, type RegisterKeys, type RegisterStore, type Store } from "@holdfast/store"
import { createTreeIo, Tree, type TreeIo } from "@holdfast/tree"
import type { RegisterHistory } from "./history.ts"
import type { Span } from "./model.ts"
import type { Caller } from "./network.ts"
import type { Storage } from "./storage.ts"
import { type SimulatedTime, skewedClock } from "./time.ts"

/** What a client stands on. */
export interface ClientParts {
  readonly id: string
  readonly time: SimulatedTime
  readonly crypto: CryptoProvider
  readonly servers: readonly Storage[]
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly mode: "crash" | "byzantine"
  readonly keys: RegisterKeys
  readonly secret: Uint8Array
  readonly history: RegisterHistory
  readonly skewMs: number
  readonly drift: number
}

/** One client. After a crash it begins anew with what it had on its disk: the sequence numbers it has seen. */
export class SimulatedClient {
  readonly id: string
  readonly #parts: ClientParts
  readonly #seen = createMemorySeen()
  #caller: Caller & { isAlive: boolean }
  #env!: Env
  #store!: Store
  #registers!: RegisterStore
  #io!: TreeIo
  /** What it is doing. */
  task: string | undefined
  /** Since when, for the model. */
  span: Span | undefined
  /** Hears of a sequence that it is about to write. */
  onWrite: (sequence: number) => void = () => undefined
  /** Called once when what it does is cut off. */
  onCrash: () => void = () => undefined

  private constructor(parts: ClientParts) {
    this.id = parts.id
    this.#parts = parts
    this.#caller = { id: parts.id, isAlive: false, calls: 0, most: 0 }
  }

  /** A client that has just started. */
  static async create(parts: ClientParts): Promise<SimulatedClient> {
    const client = new SimulatedClient(parts)
    await client.restart()
    return client
  }

  /** Drops everything that was under way and starts anew. To be called between two events. */
  async restart(): Promise<void> {
    const { id, time, crypto, servers, coding, mode, secret, history, skewMs, drift } = this.#parts
    this.#caller.isAlive = false
    const caller = { id, isAlive: true, calls: 0, most: 0 }
    this.#caller = caller
    if (this.task) this.onCrash()
    this.task = undefined
    this.span = undefined
    const clock = skewedClock(time, { skewMs, drift, isAlive: () => caller.isAlive })
    this.#env = { crypto, clock }
    this.#store = await createStore({
      env: this.#env,
      servers: servers.map((server) => ({ backend: server.connect(caller, this.#env), weight: 1 })),
      coding,
      registerMode: mode,
      convergenceSecret: secret,
      seen: this.#seen,
    })
    this.#registers = history.watch(id, this.#store.registers, (sequence) => caller.isAlive && this.onWrite(sequence))
    this.forget()
  }

  get store(): Store {
    return this.#store
  }

  get registers(): RegisterStore {
    return this.#registers
  }

  get backends(): readonly Backend[] {
    return this.#store.backends
  }

  /** Calls over the network since it started. */
  get calls(): number {
    return this.#caller.calls
  }

  /** From now on it may make so many calls. */
  allow(calls: number): void {
    this.#caller.most = this.#caller.calls + calls
  }

  /** True until the process that is running now crashes. */
  lifeline(): () => boolean {
    const caller = this.#caller
    return () => caller.isAlive
  }

  /** What its own clock says. */
  nowMs(): number {
    return this.#env.clock.nowMs()
  }

  /** Forgets the nodes it has read, as a new command would. */
  forget(): void {
    this.#io = createTreeIo({ chunks: this.#store.chunks, env: this.#env })
  }

  /** What the tree is opened with. */
  treeOptions() {
    return {
      chunks: this.#store.chunks,
      registers: this.#registers,
      env: this.#env,
      keys: this.#parts.keys,
      io: this.#io,
    }
  }

  /** The tree that all clients share. */
  tree(): Tree {
    return new Tree(this.treeOptions())
  }
}
