/** What the tree asks of the store: chunks by reference and one signed value per register. */
import type { BufferPool } from "@holdfast/core"
import type { ChunkId, RegisterId } from "@holdfast/protocol"

/** A chunk and the key that opens it. */
export interface ChunkRef {
  /** 32 bytes. */
  readonly id: ChunkId
  /** AES-256-GCM key, 32 bytes. */
  readonly key: Uint8Array
}

/** Options of a put or get. */
export interface StoreOptions {
  readonly signal?: AbortSignal
}

/** A part of a chunk's plaintext. */
export interface ChunkRange {
  readonly offset: number
  readonly length: number
  /** Plaintext bytes that the chunk probably has: when right, a first read takes one round trip, else two. */
  readonly likelyBytes?: number
}

/** What a put did. */
export interface PutChunkResult extends ChunkRef {
  /** Bytes sent to servers; 0 when all shares were there already. */
  readonly sentBytes: number
}

/** Encrypted, dispersed chunks over the servers of a grid. */
export interface ChunkStore {
  /** For large plaintexts: such arrays reach the threads that do the work without a copy, and are used again. */
  readonly buffers: BufferPool
  /**
   * Encrypts under a convergent key, disperses and stores `plaintext` (1 to limits.chunkBytes bytes; the store owns it
   * from now on). Resolves when at least `happy` distinct servers hold it durably. Throws ERR_NOT_ENOUGH_SERVERS.
   */
  putChunk(plaintext: Uint8Array, options?: StoreOptions): Promise<PutChunkResult>
  /**
   * The plaintext, with the zero padding at its end. Nothing is cached here.
   * Throws ERR_NOT_ENOUGH_SHARES, ERR_CORRUPT, ERR_INCONSISTENT.
   */
  getChunk(ref: ChunkRef, options?: StoreOptions): Promise<Uint8Array>
  /**
   * Some bytes of the plaintext, from as few servers and bytes as can be: blocks that prove themselves where the chunk is of version
   * 2, else the whole chunk. Throws as `getChunk`, and ERR_CORRUPT when the chunk is shorter.
   */
  readRange(ref: ChunkRef, range: ChunkRange, options?: StoreOptions): Promise<Uint8Array>
  /**
   * Before something new refers to chunks: that they are still there, and are spared by garbage collections under way. What
   * was stored here just now costs nothing. Throws ERR_NOT_ENOUGH_SHARES.
   */
  confirmChunks(ids: readonly ChunkId[]): Promise<void>
}

/** The newest content of a register, opened. */
export interface RegisterContent {
  readonly sequence: number
  readonly content: Uint8Array
  /** What a verify capability opens. */
  readonly care: Uint8Array
  /** Others with the same sequence: writers raced, and the next write must merge them all. */
  readonly siblings?: readonly RegisterParts[]
}

/** What a register value encrypts. */
export type RegisterParts = Pick<RegisterContent, "content" | "care">

/** What a verify capability opens of a register. */
export interface RegisterCare {
  readonly sequence: number
  /** Several when writers raced to the same sequence. */
  readonly care: readonly Uint8Array[]
}

/** Keys to one register: the seed to write, public and read key to read. */
export interface RegisterKeys {
  readonly publicKey: Uint8Array
  readonly readKey: Uint8Array
  readonly seed?: Uint8Array
}

/** Keys that only open the care of a register. */
export interface CareKeys {
  readonly publicKey: Uint8Array
  readonly verifyKey: Uint8Array
}

/** Registers kept by quorum. */
export interface RegisterStore {
  /** The newest value; undefined when no server knows the register. Throws ERR_NO_QUORUM, ERR_ROLLBACK, ERR_FORK. */
  read(keys: RegisterKeys, options?: StoreOptions): Promise<RegisterContent | undefined>
  /** The newest care, which needs no read key; otherwise as `read`. */
  readCare(keys: CareKeys, options?: StoreOptions): Promise<RegisterCare | undefined>
  /**
   * Writes `content` and `care` as the value after sequence `after` (0 for the first). False when another writer was faster:
   * re-read, merge, try again. Throws ERR_NO_QUORUM, ERR_WRONG_CAPABILITY without a seed.
   */
  write(keys: RegisterKeys, after: number, parts: RegisterParts, options?: StoreOptions): Promise<boolean>
}

/** What came of asking for a block by chance. */
export interface BlockSample {
  readonly id: ChunkId
  /** The share that was chosen; unknown when no server has any of the chunk. */
  readonly index?: number
  /** Who gave it, or failed to. */
  readonly server?: string
  /** "missing" when all answered and none has it, "silent" when one that may have it did not answer. */
  readonly state: "good" | "wrong" | "missing" | "silent"
}

/** Health of one chunk. */
export interface ChunkHealth {
  readonly id: ChunkId
  readonly k: number
  readonly n: number
  /** Distinct share indices found good. */
  readonly goodShares: number
  /** Servers that hold a good share which counts for no other server. */
  readonly distinctServers: number
  /** Shares found that do not verify, as "server/index". */
  readonly corrupt: readonly string[]
  /** Its shares do not all follow from the same data: nothing mends that. Known only where k shares were read. */
  readonly inconsistent: boolean
  /** Shares written by a repair or moved by a rebalance. */
  readonly placed: number
  /** Why servers gave no answer, by their ids: what they hold is not known. */
  readonly silent: ReadonlyMap<string, string>
}

export type { ChunkId, RegisterId }
