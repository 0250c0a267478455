/** Store: chunks and registers over many backends. */
export type { CheckOptions } from "./chunk-health.ts"
export type { GarbageOptions, GarbageResult } from "./garbage.ts"
export { paddedLength } from "./padding.ts"
export { type ChunkPipeline, createLocalPipeline, type OpenResult, openEncoded } from "./pipeline.ts"
export { type PlacedServer, rankServers } from "./placement.ts"
export { type Author, type Device, deviceName, type PastAuthor } from "./register-author.ts"
export { type Levels, levelChunks } from "./register-levels.ts"
export { quorumOf } from "./register-quorum.ts"
export { type Rollback, rollbackError, type SignedEvidence } from "./register-rollback.ts"
export {
  type AcceptedHistory,
  createMemorySeen,
  forgetfulSeen,
  mergeSeen,
  type Seen,
  type SeenStore,
} from "./register-seen.ts"
export { createRegisterStore } from "./register-store.ts"
export { checkShare, openChunk, type PipelineDeps, rebuildShares, type SealedChunk, sealChunk } from "./seal.ts"
export { createStore, type Store, type StoreDeps } from "./store.ts"
export type {
  CareKeys,
  ChunkHealth,
  ChunkRef,
  ChunkStore,
  OwnedRegisterStore,
  PutChunkResult,
  RegisterCare,
  RegisterContent,
  RegisterKeys,
  RegisterParts,
  RegisterStore,
  RegisterVersion,
  StoreOptions,
} from "./types.ts"
