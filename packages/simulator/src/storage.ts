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
  /** Most that an account may be charged, and who may drop one; as much as it likes, and nobody, when absent. */
  readonly accounts?: { readonly quotaBytes: number; readonly administrator: Uint8Array }
  /** A bucket's lists show changes after so long at most; those of registers too where that may be. */
  readonly lag?: { readonly mostMs: number; readonly registers: boolean } | undefined
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
  /** The epoch of the volume that it knows. */
  readonly epoch?: number
}

/** What a place holds of one chunk. */
export interface Holding {
  /** Of shares. */
  readonly indices: Set<number>
  /** Indices that are held for each account, by its id in hexadecimal. */
  readonly marks: Map<string, Set<number>>
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
  /** Its owner changes what is stored, past its process; tells what. */
  intrude(random: Random): string
  /** Fails when something outside of what it stores in was touched. */
  checkOutside?(): void
  /** Lists that lag show all from now on. */
  catchUp?(): void
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
  /** Those of them that nobody is about to delete. */
  lastingShares(id: ChunkId): Uint8Array[]
  /** The value of a register that lies there. */
  storedRegister(id: RegisterId): Uint8Array | undefined
  /** What lies there of each chunk, by its id in hexadecimal. */
  holdings(): ReadonlyMap<string, Holding>
}

/** Takes down a share, and for whom it is held if for anybody. */
export function addHolding(
  holdings: Map<string, Holding>,
  chunk: string,
  { index, account }: { readonly index: number; readonly account: string | null },
): void {
  const holding = holdings.get(chunk) ?? { indices: new Set(), marks: new Map() }
  holdings.set(chunk, holding)
  holding.indices.add(index)
  if (account === null) return
  const marked = holding.marks.get(account) ?? new Set()
  holding.marks.set(account, marked.add(index))
}
