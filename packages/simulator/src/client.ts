/** A client of the simulated world: the real store and tree over simulated links, with a clock of its own that is wrong. */
import type { CryptoProvider, Env } from "@holdfast/core"
import { type FileSystem, type Files, filesOf } from "@holdfast/fs"
import { type AccountRole, accountRoles, type Backend, encodeCap } from "@holdfast/protocol"
import { type Collector, createStore, type Device, type RegisterKeys, type Store } from "@holdfast/store"
import { createTreeIo, Tree, type TreeIo } from "@holdfast/tree"
import { addDeviceList, type DeviceGrant, grantTo, type SimulatedAccount } from "./accounts.ts"
import { WrongClock } from "./clocks.ts"
import type { DurableSeen } from "./history.ts"
import type { Span } from "./model.ts"
import { type Caller, newMemory } from "./network.ts"
import type { Random } from "./random.ts"
import { createDiskSeen } from "./seen.ts"
import type { Storage } from "./storage.ts"
import type { SimulatedTime } from "./time.ts"
import type { SimulatedTree } from "./trees.ts"

/** What a client stands on. */
export interface ClientParts {
  readonly id: string
  readonly time: SimulatedTime
  readonly crypto: CryptoProvider
  readonly servers: readonly Storage[]
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly mode: "crash" | "byzantine"
  /** The server that keeps no shares. */
  readonly witness?: string | undefined
  readonly account: SimulatedAccount
  /** What the account allows it; all when absent. */
  readonly roles?: readonly AccountRole[]
  /** The epoch of the volume that it knows; the first when absent. */
  readonly epoch?: number
  readonly random: Random
  readonly skewMs: number
  readonly drift: number
}

/** What it shows to places, and writes its versions with. */
interface Papers {
  readonly grant: DeviceGrant
  readonly device: Device
}

/** One client. After a crash it begins anew with what it had on its disk: the sequence numbers it has seen. */
export class SimulatedClient {
  readonly id: string
  readonly #parts: ClientParts
  /** What time it is there; after a sleep it may not know how long it slept. */
  readonly clock: WrongClock
  readonly #seen: DurableSeen
  readonly #grant: DeviceGrant
  readonly #device: Device
  /** Where it names its trees: its account's list, or one of its own when it may only append. */
  readonly listKeys: RegisterKeys
  /** Who signs what it orders: nobody that places know when it may only append. */
  readonly collector: Collector
  #caller: Caller & { isAlive: boolean }
  #env!: Env
  #store!: Store
  #io!: TreeIo
  /** How long it has waited of its own will. */
  pausedMs = 0
  /** What it is doing. */
  task: string | undefined
  /** Since when, for the model. */
  span: Span | undefined
  /** Hears of a sequence that it is about to write. */
  onWrite: (sequence: number) => void = () => undefined
  /** Called once when what it does is cut off. */
  onCrash: () => void = () => undefined

  private constructor(
    parts: ClientParts,
    { grant, device, listKeys, collector }: Pick<SimulatedClient, "listKeys" | "collector"> & Papers,
  ) {
    this.id = parts.id
    this.listKeys = listKeys
    this.collector = collector
    this.#parts = parts
    this.#grant = grant
    this.#device = device
    this.clock = new WrongClock(parts.time, parts)
    this.#seen = createDiskSeen(parts.time, parts.random.fork("seen"))
    this.#caller = { id: parts.id, isAlive: false, calls: 0, most: 0, memory: newMemory() }
  }

  /** A client that has just started. */
  static async create(parts: ClientParts): Promise<SimulatedClient> {
    const { crypto, account, id, roles = accountRoles } = parts
    const seed = crypto.random(32)
    const mayCollect = roles.includes("collect")
    const device = {
      ...{ device: await crypto.publicKeyOf(seed), account: account.id, name: id },
      sign: (message: Uint8Array) => crypto.sign(seed, message),
    }
    const client = new SimulatedClient(parts, {
      grant: await grantTo(crypto, account, { device: id, roles }),
      device,
      listKeys: mayCollect ? account.listKeys : await addDeviceList(crypto, account),
      collector: mayCollect ? account.collector : { publicKey: device.device, sign: device.sign },
    })
    await client.restart()
    return client
  }

  /** Drops everything that was under way and starts anew. To be called between two events. */
  async restart(): Promise<void> {
    const { id, crypto, servers, coding, mode, account, roles = accountRoles, epoch, witness } = this.#parts
    this.#caller.isAlive = false
    const caller = { id, isAlive: true, calls: 0, most: 0, memory: newMemory() }
    this.#caller = caller
    if (this.task) this.onCrash()
    this.task = undefined
    this.span = undefined
    this.#env = { crypto, clock: this.clock.of(() => caller.isAlive) }
    const visitor = { caller, access: { account: account.id, roles }, device: this.#grant, ...(epoch && { epoch }) }
    this.#store = await createStore({
      env: this.#env,
      servers: servers.map((server) => ({
        backend: server.connect(visitor),
        weight: 1,
        keeps: { shares: server.id !== witness, registers: true },
      })),
      coding,
      account: account.id,
      registerMode: mode,
      seen: this.#seen,
      device: async () => this.#device,
    })
    this.forget()
  }

  get store(): Store {
    return this.#store
  }

  get account(): SimulatedAccount {
    return this.#parts.account
  }

  get env(): Env {
    return this.#env
  }

  get backends(): readonly Backend[] {
    return this.#store.backends
  }

  /** Calls over the network since it started. */
  get calls(): number {
    return this.#caller.calls
  }

  /** What its requests and answers took at most. */
  get memory(): Readonly<Caller["memory"]> {
    return this.#caller.memory
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

  /** The client for what is done by the process that runs now: once that has crashed, whatever is asked of it throws. */
  process(): SimulatedClient {
    const isAlive = this.lifeline()
    return new Proxy(this, {
      get(client, name) {
        // What was computing when the process crashed must not go on by means of the next one.
        if (!isAlive()) throw new Error(`${client.id} has crashed`)
        const value: unknown = Reflect.get(client, name, client)
        return typeof value === "function" ? value.bind(client) : value
      },
      set: (client, name, value) => isAlive() && Reflect.set(client, name, value, client),
    })
  }

  /** Forgets the nodes it has read, as a new command would. */
  forget(): void {
    this.#io = createTreeIo({ chunks: this.#store.chunks, env: this.#env })
  }

  /** What a tree is opened with; who does not own it may only read it. */
  treeOptions({ keys: { seed, ...keys }, owners, history }: SimulatedTree) {
    const caller = this.#caller
    const registers = history.watch(this.#store.registers, {
      ...{ client: this.id, seen: this.#seen, isAlive: () => caller.isAlive },
      onWrite: (sequence) => caller.isAlive && this.onWrite(sequence),
    })
    return {
      chunks: this.#store.chunks,
      registers,
      env: this.#env,
      keys: owners.includes(this.account) ? { ...keys, seed } : keys,
      io: this.#io,
      account: this.account.id,
    }
  }

  tree(tree: SimulatedTree): Tree {
    return new Tree(this.treeOptions(tree))
  }

  /** The strongest capability to a tree that its account has. */
  capOf({ keys: { seed, publicKey, readKey }, owners }: SimulatedTree): string {
    return encodeCap(owners.includes(this.account) ? { kind: "dw", seed } : { kind: "dr", publicKey, readKey })
  }

  /** File systems whose one register is that of this tree, watched. */
  filesOf(tree: SimulatedTree): Files {
    return filesOf(this.treeOptions(tree))
  }

  /** The tree as files and directories. */
  files(tree: SimulatedTree): Promise<FileSystem> {
    return this.filesOf(tree).open(this.capOf(tree), { label: `${tree.name}:` })
  }

  /** Opens trees of the world by their capabilities, each through its own history; `unwatched` ones through none. */
  openerOf(trees: readonly SimulatedTree[], unwatched: readonly SimulatedTree[]): Pick<Files, "open"> {
    const all = new Map(trees.map((tree) => [this.capOf(tree), this.filesOf(tree)]))
    const { store, env } = this
    const other = filesOf({ chunks: store.chunks, registers: store.registers, env, io: this.#io })
    for (const tree of unwatched) all.set(this.capOf(tree), other)
    return {
      open: (cap, options) => (all.get(typeof cap === "string" ? cap : encodeCap(cap)) ?? other).open(cap, options),
    }
  }
}
