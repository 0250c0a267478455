/**
 * The port every place for shares implements: memory, directory, storage node, S3. All calls are batches and all are
 * idempotent, so a caller may repeat them after a lost answer. `@holdfast/protocol/testing` has the suite they all pass.
 *
 * A backend is opened for one account. What it stores is held for the accounts that marked it, and goes when no mark is left;
 * only an account's own signed order takes its marks away. Specification: docs/protocols/marks.md.
 */
import type { SignedUnmark } from "./account.ts"
import type { AccountId, BatchToken, ChunkId, RegisterId } from "./ids.ts"

/** Options of every call over a network. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/** For whom something is held. */
export interface MarkOptions extends CallOptions {
  /** The batch that the marks belong to. */
  readonly batch: BatchToken
  /** Accounts that it is held for besides the caller's own, at most `limits.careAccounts`; charged to the caller. */
  readonly accounts?: readonly AccountId[]
  /**
   * It serves a removal: places with limits take a little more for those than for all else, as no commit can be made without
   * storing something. A place bounds that, whoever says so.
   */
  readonly forRemoval?: boolean
}

/** What became of one share of a batch. */
export type PutOutcome =
  | { readonly ok: true /** The caller's account had it marked already. */; readonly existed: boolean }
  | { readonly ok: false; readonly code: "bad-share" | "full" | "quota" | "io"; readonly message: string }

/** What became of one chunk to mark: the indices held and now marked, none when it is not there. */
export type MarkOutcome =
  | { readonly ok: true; readonly held: readonly number[] }
  | { readonly ok: false; readonly code: "quota" | "io"; readonly message: string }

/** Which share is meant; without `index`, any share of the chunk that the backend holds. */
export interface ShareQuery {
  readonly id: ChunkId
  readonly index?: number
  /** Without `index`: the share that is most likely held, where guessing saves a request. */
  readonly likely?: number
}

/** A share that the caller's account has marked: a line of a listing, in order of (id, index). No times: see O10. */
export interface MarkInfo {
  readonly id: ChunkId
  readonly index: number
  /** Stored bytes, header included. */
  readonly sizeBytes: number
}

/** Where a listing goes on. */
export interface ListOptions extends CallOptions {
  /** Lists what comes after this share. */
  readonly after?: { readonly id: ChunkId; readonly index: number }
  /** At most so many, 1 to 4096. */
  readonly limit: number
}

/** Where a listing of registers goes on. */
export interface ListRegistersOptions extends CallOptions {
  readonly after?: RegisterId
  /** At most so many, 1 to 4096. */
  readonly limit: number
}

/** Which of the values kept are asked for. */
export interface KeptOptions extends CallOptions {
  /** Only those of lower sequences than this one: where the last answer ended. */
  readonly below?: number
}

/** A value of a register that a place keeps. */
export interface KeptValue {
  readonly sequence: number
  readonly bytes: Uint8Array
  /** When this place took it, ms since the epoch by its own clock. */
  readonly receivedMs: number
}

/** What an order to unmark did. */
export interface UnmarkOutcome {
  /** Marks taken away. */
  readonly marks: number
  /** Shares that went with their last mark, and their bytes. */
  readonly shares: number
  readonly bytes: number
  /** Marks named in the order that stay, as they are younger than the grace or than the token. */
  readonly young: number
}

/** Blocks of one share of a chunk of version 2 (docs/formats/share.md), and what proves them. */
export interface BlockQuery {
  readonly id: ChunkId
  readonly index: number
  /** Number of the first block, and how many. */
  readonly first: number
  readonly count: number
  /** Whose leaves are wanted beside them: of this share, and of data slices; at most two. */
  readonly leavesOf: readonly number[]
  /** The asker knows the descriptor. */
  readonly haveDescriptor: boolean
  /** Where the payload probably begins, where guessing saves a request. */
  readonly likelyStart?: number
}

/** What a server has of the blocks asked for. The asker verifies it. */
export interface BlockAnswer {
  /** The encoded descriptor, unless the asker has it. */
  readonly descriptor?: Uint8Array
  /** The lists of leaves asked for, one after another; empty where a share has a single block. */
  readonly leaves: Uint8Array
  /** The blocks; none of a chunk of version 1, or beyond the end. */
  readonly blocks: Uint8Array
}

/**
 * Why a place takes no value now: the caller's quota or the disk is used up, the caller is refused whatever it proposes, or the volume
 * has moved on.
 */
export type ProposeRefusal = "quota" | "full" | "refused" | "moved"

/** What became of a proposed register value. */
export type ProposeOutcome =
  | {
      readonly accepted: true
      /** All that the batch marked here is here, and stays (O6). False without a batch that marked something here. */
      readonly vouches: boolean
    }
  | {
      readonly accepted: false
      /** Something that the batch marked here was taken away: put or mark it again under a new batch. */
      readonly marksGone?: true
      /** Why, where it is not for the value itself. */
      readonly code?: ProposeRefusal
      /** The value held instead, to re-read and merge; absent when refused for its form. */
      readonly current?: Uint8Array
      readonly message: string
    }

/** A register that somebody watches. */
export interface WatchedRegister {
  readonly id: RegisterId
  /** Hash (`registerHashOf`) of the value that the watcher knows of; absent for none. */
  readonly hash?: Uint8Array
}

/** What a place says of a batch: all that it marked is here; something of it was taken away; or it marked nothing here. */
export type BatchState = "held" | "gone" | "unknown"

/** How full a backend is, as far as the caller may know. */
export interface Usage {
  readonly usedBytes: number
  readonly shareCount: number
  /** Most bytes the caller may use; absent when unlimited. */
  readonly quotaBytes?: number
  /** Bytes still free for everybody; absent when unknown. */
  readonly availableBytes?: number
}

/** What a run of a sweeper did. */
export interface SweepOutcome {
  /** Objects that are condemned now, to be deleted by a run after the grace. */
  readonly condemned: number
  /** Shares that were deleted, and the bytes of all that was. */
  readonly shares: number
  readonly bytes: number
}

/** A place for shares and registers, not trusted with plaintext, as one account sees it. */
export interface Backend {
  /** Stable name of the server: its member id. Placement depends on it. */
  readonly id: string
  /**
   * What it answers to puts and marks is written down then, and it takes no value for a batch that it has not heard of for half of the
   * shortest grace (rule O6): a commit that follows its marks at once need not confirm them. Absent where marks are put off.
   */
  readonly marksWithAnswer?: true
  /** Stores shares durably and marks them, in one transaction, before it answers; each item is a whole encoded share. */
  putShares(shares: readonly Uint8Array[], options: MarkOptions): Promise<PutOutcome[]>
  /** Marks every share held of each chunk. */
  markShares(ids: readonly ChunkId[], options: MarkOptions): Promise<MarkOutcome[]>
  /** Encoded shares in the order asked; undefined where there is none. The caller verifies them. */
  getShares(queries: readonly ShareQuery[], options?: CallOptions): Promise<(Uint8Array | undefined)[]>
  /** Blocks of shares in the order asked; undefined where the share is not held. The caller verifies them. */
  getBlocks(queries: readonly BlockQuery[], options?: CallOptions): Promise<(BlockAnswer | undefined)[]>
  /** Indices held of each chunk, whoever marked them: who knows its id may ask. */
  hasShares(ids: readonly ChunkId[], options?: CallOptions): Promise<number[][]>
  /** The caller's own marks. */
  listMarks(options: ListOptions): Promise<MarkInfo[]>
  /** Registers that the caller's account proposed, in order of their ids. */
  listRegisters(options: ListRegistersOptions): Promise<RegisterId[]>
  /** Begins a collection: the order to unmark carries it back, and removes nothing that was marked later. At most 64 bytes. */
  collectToken(options?: CallOptions): Promise<Uint8Array>
  /** Carries out an account's signed order to take marks of its own away. Throws ERR_REFUSED. */
  unmark(order: SignedUnmark, options?: CallOptions): Promise<UnmarkOutcome>
  /** Encoded register values in the order asked; undefined where there is none. */
  readRegisters(ids: readonly RegisterId[], options?: CallOptions): Promise<(Uint8Array | undefined)[]>
  /**
   * The newest value and those kept behind it for the caller's account until its collector trims them, newest first. An answer has
   * as many as fit, at least one: go on with `below` until it is empty.
   */
  keptValues(id: RegisterId, options?: KeptOptions): Promise<KeptValue[]>
  /**
   * Hashes of the values held of 1 to `registersPerWait` registers, in the order asked; undefined where there is none. Answers at once
   * when one is another than its watcher knows. Else it waits until one changes, if the place can, and as long as it likes: the caller
   * asks again. Whoever may read may watch. Throws the signal's reason.
   */
  watchRegisters?(
    watched: readonly WatchedRegister[],
    options?: CallOptions,
  ): Promise<readonly (Uint8Array | undefined)[]>
  /**
   * Takes each correctly signed value whose sequence number is higher than the one held (or equal, byte for byte). With a batch
   * it answers, in the same transaction, whether what that marked here is still marked. The register is marked for the caller's
   * account and the `accounts` named. What another account's mark holds, or the caller may not collect, is kept behind the new value.
   */
  proposeRegisters(values: readonly Uint8Array[], options?: Partial<MarkOptions>): Promise<ProposeOutcome[]>
  /** What the caller's account uses. */
  usage(options?: CallOptions): Promise<Usage>
  /**
   * Only of places that have no code of their own, such as buckets: deletes what no account marks, in two runs a grace apart. For
   * whoever may delete; a collection ends with it.
   */
  sweep?(options?: CallOptions): Promise<SweepOutcome>
  /**
   * Says whether all that the batch marked here is here, and writes it down, with these registers, where that was put off. What
   * is `held` stays for the grace from now on. A commit asks for it before any place is given its value, so that no reader sees
   * one whose chunks nobody holds.
   */
  confirmMarks(registers: readonly RegisterId[], options: MarkOptions): Promise<BatchState>
  /**
   * Only of places that tell devices apart: takes the signed record of the caller's account, which says what devices it has. The one
   * of the highest epoch holds; a device that it leaves out is refused from then on.
   */
  publishRecord?(record: Uint8Array, options?: CallOptions): Promise<void>
  close(): Promise<void>
}
