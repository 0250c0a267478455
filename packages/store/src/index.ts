/** Store: chunks and registers over many backends. */
export type { CheckOptions } from "./chunk-health.ts"
export type { GarbageOptions, GarbageResult } from "./garbage.ts"
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
export { createRegisterStore } from "./register-store.ts"
export { checkShare, openChunk, type PipelineDeps, rebuildShares, type SealedChunk, sealChunk } from "./seal.ts"
export { createStore, type Store, type StoreDeps } from "./store.ts"
export type {
  BlockSample,
  CareKeys,
  ChunkHealth,
  ChunkRange,
  ChunkRef,
  ChunkStore,
  PutChunkResult,
  RegisterCare,
  RegisterContent,
  RegisterKeys,
  RegisterParts,
  RegisterStore,
  StoreOptions,
} from "./types.ts"
