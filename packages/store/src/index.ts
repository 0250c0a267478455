/** Store: chunks and registers over many backends. */
export type { CheckOptions, Rebalanced } from "./chunk-health.ts"
export type { Collected, Collection, CollectOptions, Collector, OwnValue, Trim } from "./collect.ts"
export { IdSet } from "./id-set.ts"
export { paddedLength } from "./padding.ts"
export { type ChunkPipeline, createLocalPipeline, type OpenResult, openEncoded } from "./pipeline.ts"
export { type PlacedServer, rankServers } from "./placement.ts"
export { quorumOf } from "./register-quorum.ts"
export {
  createMemorySeen,
  mergeSeen,
  type Rollback,
  rollbackError,
  type Seen,
  type SeenStore,
  type SignedEvidence,
} from "./register-seen.ts"
export { type CommitMarks, createRegisterStore } from "./register-store.ts"
export { checkShare, openChunk, type PipelineDeps, rebuildShares, type SealedChunk, sealChunk } from "./seal.ts"
export { createStore, type Held, type Store, type StoreDeps } from "./store.ts"
export type {
  CareKeys,
  ChunkHealth,
  ChunkRef,
  ChunkStore,
  PutChunkResult,
  RegisterCare,
  RegisterContent,
  RegisterKeys,
  RegisterParts,
  RegisterStore,
  StoreOptions,
  WriteOptions,
} from "./types.ts"
