/** What the simulated world asks of each place that stores: a node or a bucket. */
import type { CryptoProvider } from "@holdfast/core"
import type { AccountAccess, Backend, ChunkId, RegisterId } from "@holdfast/protocol"
import type { DeviceGrant } from "./accounts.ts"
import type { Liar } from "./lies.ts"
import type { Caller, SimulatedNetwork } from "./network.ts"
import type { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"

/** What a place is made of. */
export interface StorageParts {
  readonly id: string
  readonly time: SimulatedTime
  readonly random: Random
  readonly crypto: CryptoProvider
  readonly network: SimulatedNetwork
  /** Its clock is wrong by so much. */
  readonly skewMs: number
  readonly drift: number
  /** How old must be what is taken away here. */
  readonly graceMs: number
  /** Changes what it answers. */
  readonly liar: Liar | undefined
  /** Hears of what should never happen. */
  readonly onBug: (error: unknown) => void
}

/** Who connects. */
export interface Visitor {
  readonly caller: Caller
  readonly access: AccountAccess
  readonly device: DeviceGrant
}

/** A share that is held for an account, by its id in hexadecimal. */
export interface HeldMark {
  readonly index: number
  readonly account: string
}

/** One place that stores. */
export interface Storage {
  readonly id: string
  /** True when a process runs, though it may still be starting. */
  readonly isRunning: boolean
  /** True when it serves. */
  readonly isReady: boolean
  readonly crashes: number
  /** Every write fails. */
  isFull: boolean
  /** Typical duration of an operation of its disk. */
  operationMs: number
  readonly kind: "node" | "bucket"
  /** The backend by which a visitor reaches it. */
  connect(visitor: Visitor): Backend
  start(): void
  /** Dies at once. */
  crash(): void
  /** Dies before, between or after the next few operations of its disk. */
  crashAfter(steps: number): void
  /** Looks through all that is stored and drops what is rotten, if it does such a thing. */
  scrub(): Promise<void>
  /** Something that is stored changes by itself; registers too if `registers` is set. */
  rot(registers: boolean): void
  /** All that is stored is gone, as with a new disk. */
  lose(): void
  /** Its clock is set forward or back. */
  jump(ms: number): void
  /** How far it is behind the latest time that it has shown. */
  readonly behindMs: number
  /** Keeps a copy of all that is stored. */
  backUp(): void
  /** All that is stored is as it was when it was copied last; without a copy all is gone. */
  restore(): void
  /** What it acknowledged and no longer has, though nobody removed it; undefined when all is there. */
  brokenPromise(): Promise<string | undefined>
  /** Every share of a chunk that lies there, whether it runs or not. */
  storedShares(id: ChunkId): Uint8Array[]
  /** The value of a register that lies there. */
  storedRegister(id: RegisterId): Uint8Array | undefined
  /** For whom the shares of a chunk are held that lie there. */
  storedMarks(id: ChunkId): HeldMark[]
  /** Every chunk of which a share lies there. */
  storedChunks(): ChunkId[]
}
