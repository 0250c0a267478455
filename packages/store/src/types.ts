/** What the tree asks of the store: chunks by reference and one signed value per register. */
import type { BufferPool } from "@holdfast/core"
import type { AccountId, ChunkId, Level, RegisterId, RegisterOrder } from "@holdfast/protocol"
import type { Answer } from "./answers.ts"
import type { Author, PastAuthor } from "./register-author.ts"

/** A chunk and the key that opens it. */
export interface ChunkRef {
  /** 32 bytes. */
  readonly id: ChunkId
  /** AES-256-GCM key, 32 bytes. */
  readonly key: Uint8Array
}

/** Options of every call that asks servers. */
export interface StoreOptions {
  /**
   * The call throws its reason as soon as it aborts, and requests that nobody else waits for are ended. A write that was stopped may
   * still become what is read, or not.
   */
  readonly signal?: AbortSignal | undefined
}

/** Options of a put. */
export interface PutChunkOptions extends StoreOptions {
  /**
   * What lay in the same place before. When it holds the same it is the result, and servers are sent only what they lack of it.
   * Never what may lie elsewhere: who may have something stored there would see whether it is there.
   */
  readonly before?: ChunkRef | undefined
  /** Makes the key, in place of chance, so that an upload which was interrupted goes on. */
  readonly upload?: UploadKey | undefined
  /** Hears what the chunk is called as soon as that is certain: before any of it is stored. */
  readonly onSealed?: ((ref: ChunkRef) => void) | undefined
}

/** Options of a get. */
export interface GetChunkOptions extends StoreOptions {
  /** The chunk is read ahead: nobody hears of damage to it unless this resolves to true, as it may be there no more for good reasons. */
  readonly isNeeded?: Promise<boolean> | undefined
}

/** What one upload makes keys of, on the client alone: forgotten when it is committed. */
export interface UploadKey {
  /** 32 random bytes. */
  readonly secret: Uint8Array
  /** Where the content goes: the same content elsewhere has another key. */
  readonly place: string
  /** An upload with this secret was interrupted: what it stored is asked for, and not sent again. */
  readonly isAgain: boolean
}

/** A part of a chunk's plaintext. */
export interface ChunkRange {
  readonly offset: number
  readonly length: number
  /** Plaintext bytes that the chunk probably has: when right, a first read takes one round trip, else two. */
  readonly likelyBytes?: number
}

/** Options of a read of a range. */
export interface ReadRangeOptions extends StoreOptions {
  /**
   * Hears of the whole plaintext, with the padding at its end, when that had to be read; who keeps it need not ask again.
   * `isInBlocks` is false for a chunk that is always read whole, true when too few servers gave blocks this time.
   */
  readonly onWhole?: (plaintext: Uint8Array, chunk: { readonly isInBlocks: boolean }) => void
}

/** What a put did. */
export interface PutChunkResult extends ChunkRef {
  /** Bytes sent to servers; 0 when `before` holds the same and all of its shares were there. */
  readonly sentBytes: number
}

/** Encrypted, dispersed chunks over the servers of a grid. */
export interface ChunkStore {
  /** For large plaintexts: such arrays reach the threads that do the work without a copy, and are used again. */
  readonly buffers: BufferPool
  /**
   * Encrypts under a random key, disperses and stores `plaintext` (1 to limits.chunkBytes bytes; the store owns it
   * from now on), marked for the store's account. Resolves when at least `happy` distinct servers hold it durably. Throws
   * ERR_NOT_ENOUGH_SERVERS.
   */
  putChunk(plaintext: Uint8Array, options?: PutChunkOptions): Promise<PutChunkResult>
  /**
   * The plaintext, with the zero padding at its end. Nothing is cached here.
   * Throws ERR_NOT_ENOUGH_SHARES, ERR_CORRUPT, ERR_INCONSISTENT.
   */
  getChunk(ref: ChunkRef, options?: GetChunkOptions): Promise<Uint8Array>
  /**
   * Some bytes of the plaintext, from as few servers and bytes as can be: blocks that prove themselves where the chunk is of version
   * 2, else the whole chunk. Throws as `getChunk`, and ERR_CORRUPT when the chunk is shorter.
   */
  readRange(ref: ChunkRef, range: ChunkRange, options?: ReadRangeOptions): Promise<Uint8Array>
}

/** The newest content of a register, opened. */
export interface RegisterContent extends RegisterVersion {
  readonly epoch?: number
  readonly sequence: number
  /** It names an owner, who may begin another epoch. */
  readonly isOwned?: boolean
  /** Others with the same sequence: writers raced, and the next write must merge them all. */
  readonly siblings?: readonly RegisterVersion[]
}

/** What a register value encrypts. */
export interface RegisterParts {
  readonly content: Uint8Array
  /** What a verify capability opens. */
  readonly care: Uint8Array
}

/** A register value, opened. */
export interface RegisterVersion extends RegisterParts {
  /** Who wrote it, when that is proven. */
  readonly author?: Author
  /** Who wrote the versions before, as its writer says; newest first. */
  readonly past?: readonly PastAuthor[]
  /** Where its history lies: chunks that must be kept. */
  readonly levels?: Levels
}

/** What a verify capability opens of a register. */
export interface RegisterCare {
  readonly epoch?: number
  readonly sequence: number
  /** Several when writers raced to the same sequence. */
  readonly care: readonly Uint8Array[]
  /** Where the history of each lies. */
  readonly levels?: readonly (Levels | undefined)[]
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

/** Options of a register write. */
export interface WriteOptions extends StoreOptions {
  /** Chunks that the value refers to and the one before may not have: acknowledged only when they are there to stay. */
  readonly chunks?: readonly ChunkId[]
  /** Accounts that the value and these chunks are held for, besides the store's own. */
  readonly accounts?: readonly AccountId[]
  /** Names this profile as the owner from this value on, if nobody is named yet: of a tree from before there were owners. */
  readonly claim?: boolean
  /** The epoch of the value that is followed: one number may be used again in another epoch. Any when absent. */
  readonly afterEpoch?: number | undefined
}

/** Options of a watch. */
export interface WatchOptions {
  /** Ends it, without an error. */
  readonly signal?: AbortSignal | undefined
  /** Hears each time that no quorum can be read after something changed; it is tried again. What it throws ends the watch. */
  readonly onFailure?: ((error: Error) => void) | undefined
}

/** Options of reading a register. */
export interface ReadRegisterOptions extends StoreOptions {
  /**
   * Hears what was seen here last, while the servers are asked: most often it still is the newest, so that what it refers to may be read
   * ahead. It is a guess, and nothing else may be done with it.
   */
  readonly onRemembered?: (content: RegisterContent) => void
}

/** Registers kept by quorum. */
export interface RegisterStore {
  /** The newest value; undefined when no server knows the register. Throws ERR_NO_QUORUM, ERR_ROLLBACK, ERR_FORK, ERR_UNPROVEN. */
  read(keys: RegisterKeys, options?: ReadRegisterOptions): Promise<RegisterContent | undefined>
  /** The newest care, which needs no read key; otherwise as `read`. */
  readCare(keys: CareKeys, options?: StoreOptions): Promise<RegisterCare | undefined>
  /**
   * Writes `content` and `care` as the value after sequence `after` (0 for the first). False when another writer was faster:
   * re-read, merge, try again. When true, a quorum holds the value, and each of `chunks` lies on `happy` servers that keep it
   * whatever is collected beside it. Throws ERR_NO_QUORUM, ERR_NOT_ENOUGH_SHARES, ERR_NOT_ENOUGH_SERVERS, and
   * ERR_WRONG_CAPABILITY without a seed.
   */
  write(keys: RegisterKeys, after: number, parts: RegisterParts, options?: WriteOptions): Promise<boolean>
}

/** Registers that tell of their changes, and whose owner may begin another epoch. */
export interface OwnedRegisterStore extends RegisterStore {
  /**
   * What `read` gives now, if there is anything, and then each newer version, once. Who takes them slowly gets the newest and not each in
   * between. Servers that lie or are silent delay nothing as long as one tells the truth; outages are waited for. Ends when the signal
   * aborts or the store closes; throws as `read`, but for ERR_NO_QUORUM.
   */
  watch(keys: RegisterKeys, options?: WatchOptions): AsyncIterable<RegisterContent>
  /** The same of the care, which needs no read key. */
  watchCare(keys: CareKeys, options?: WatchOptions): AsyncIterable<RegisterCare>
  /**
   * Begins another epoch with what was seen here last: whatever was written since is left out, as the owner says. Throws
   * ERR_WRONG_CAPABILITY when that version names another owner.
   */
  beginEpoch(keys: RegisterKeys, ownerSeed: Uint8Array, options?: WriteOptions): Promise<RegisterOrder>
}

/** Registers for who watches them, where that can be. */
export type WatchableRegisters = RegisterStore & Partial<Pick<OwnedRegisterStore, "watch">>

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
  /** How many of these would be left when all servers of a domain were lost, by its name; all of them without one that is not named. */
  readonly leftWithout: ReadonlyMap<string, number>
  /** Servers that hold a good share which counts for no other server. */
  readonly distinctServers: number
  /** Shares found that do not verify, as "server/index". */
  readonly corrupt: readonly string[]
  /** Its shares do not all follow from the same data: nothing mends that. Known only where k shares were read. */
  readonly inconsistent: boolean
  /** Shares written by a repair or moved by a rebalance. */
  readonly placed: number
  /** Servers that said what they hold, by their ids: of many servers not all are asked about one chunk. */
  readonly answering: readonly string[]
  /** Why servers gave no answer, by their ids: what they hold is not known. */
  readonly silent: ReadonlyMap<string, string>
  /** Servers that answer and have no share of their own: where a repair can put one. */
  readonly vacant: readonly string[]
  /** Why servers did not take what a repair was to place there. */
  readonly refused: readonly Answer[]
}

export type { ChunkId, RegisterId }

/** A chunk that holds levels, or lists chunks that do. */
export interface LevelChunk extends ChunkRef {
  /** Bytes of it that count; the rest is padding. */
  readonly length: number
  /** Levels, or chunks listed. */
  readonly count: number
}

/** The levels of one value. */
export interface Levels {
  /** The newest. */
  readonly inline: readonly Level[]
  /** Those before. */
  readonly tail?: LevelChunk
  /** Lists the chunks of all before these, 4,096 in each. */
  readonly index?: LevelChunk
}
