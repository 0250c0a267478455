/**
 * The port every place for shares implements: memory, directory, storage node, S3. All calls are batches and all are
 * idempotent, so a caller may repeat them after a lost answer. `@holdfast/protocol/testing` has the suite they all pass.
 */
import type { ChunkId } from "./chunk.ts"

/** SHA-256 that names a register: 32 bytes. */
export type RegisterId = Uint8Array & { readonly __id?: "register" }

/** Options of every call over a network. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/** What became of one share of a batch. */
export type PutOutcome =
  | { readonly ok: true /** It was there already. */; readonly existed: boolean }
  | { readonly ok: false; readonly code: "bad-share" | "full" | "quota" | "io"; readonly message: string }

/** Which share is meant; without `index`, any share of the chunk that the backend holds. */
export interface ShareQuery {
  readonly id: ChunkId
  readonly index?: number
  /** Without `index`: the share that is most likely held, where guessing saves a request. */
  readonly likely?: number
}

/** Which share is to go; without `index`, every share of the chunk. */
export interface ShareRemoval extends Omit<ShareQuery, "likely"> {
  /** What was stored or confirmed at this moment of the backend's clock or later stays: somebody needs it again. */
  readonly touchedBeforeMs?: number
}

/** A line of a listing, in order of (id, index). */
export interface ShareInfo {
  readonly id: ChunkId
  readonly index: number
  /** Stored bytes, header included. */
  readonly sizeBytes: number
  /** When it was stored or last confirmed by a put, ms since the epoch. */
  readonly touchedMs: number
}

/** Where a listing goes on. */
export interface ListOptions extends CallOptions {
  /** Lists what comes after this share. */
  readonly after?: { readonly id: ChunkId; readonly index: number }
  /** At most so many, 1 to 4096. */
  readonly limit: number
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

/** What became of a proposed register value. */
export type ProposeOutcome =
  | { readonly accepted: true }
  | {
      readonly accepted: false /** The value held instead, to re-read and merge; absent when refused for its form. */
      readonly current?: Uint8Array
      readonly message: string
    }

/** How full a backend is, as far as the caller may know. */
export interface Usage {
  readonly usedBytes: number
  readonly shareCount: number
  /** Most bytes the caller may use; absent when unlimited. */
  readonly quotaBytes?: number
  /** Bytes still free for everybody; absent when unknown. */
  readonly availableBytes?: number
}

/** A place for shares and registers, not trusted with plaintext. */
export interface Backend {
  /** Stable name of the server: its member id. Placement depends on it. */
  readonly id: string
  /** Stores shares durably before it answers; each item is a whole encoded share. */
  putShares(shares: readonly Uint8Array[], options?: CallOptions): Promise<PutOutcome[]>
  /** Encoded shares in the order asked; undefined where there is none. The caller verifies them. */
  getShares(queries: readonly ShareQuery[], options?: CallOptions): Promise<(Uint8Array | undefined)[]>
  /** Blocks of shares in the order asked; undefined where the share is not held. The caller verifies them. */
  getBlocks(queries: readonly BlockQuery[], options?: CallOptions): Promise<(BlockAnswer | undefined)[]>
  /** Indices held of each chunk. With `touch`, marks them as confirmed now, as a put of the same share would. */
  hasShares(ids: readonly ChunkId[], options?: CallOptions & { readonly touch?: boolean }): Promise<number[][]>
  listShares(options: ListOptions): Promise<ShareInfo[]>
  /** Removes shares; what is not there is not an error. */
  removeShares(removals: readonly ShareRemoval[], options?: CallOptions): Promise<void>
  /** Encoded register values in the order asked; undefined where there is none. */
  readRegisters(ids: readonly RegisterId[], options?: CallOptions): Promise<(Uint8Array | undefined)[]>
  /** Takes each correctly signed value whose sequence number is higher than the one held (or equal, byte for byte). */
  proposeRegisters(values: readonly Uint8Array[], options?: CallOptions): Promise<ProposeOutcome[]>
  usage(options?: CallOptions): Promise<Usage>
  close(): Promise<void>
}
