/** Store: chunks and registers over many backends. */
export { type Answer, answerOf, noQuorum, refusalOf, refusedByServers, shortageOf, tellAnswers } from "./answers.ts"
export { keysOfCap } from "./cap-keys.ts"
export type { CheckOptions } from "./chunk-health.ts"
export type { ShareDamage } from "./chunk-reader.ts"
export type { Rebalanced } from "./chunk-rebalance.ts"
export type { Collection, CollectOptions, Collector, OwnValue } from "./collect.ts"
export type { Collected, Trim } from "./collect-unmark.ts"
export type { Domain, Domains } from "./domains.ts"
export { type IdBounds, IdSet, idPrefixes, mostIdsAtOnce, RecentIds } from "./id-set.ts"
export { paddedLength } from "./padding.ts"
export { type ChunkPipeline, createLocalPipeline, type OpenResult, openEncoded } from "./pipeline.ts"
export { type PlacedServer, Placement, rankServers } from "./placement.ts"
export { type Author, type Device, deviceName, type PastAuthor } from "./register-author.ts"
export type { CommitMarks } from "./register-commit.ts"
export { checkRegister, type RegisterCopy } from "./register-health.ts"
export { levelChunks } from "./register-levels.ts"
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
export { checkShare, openChunk, type PipelineDeps, type SealedChunk, sealChunk } from "./seal.ts"
export type { PlaceShortfall, Shortfall } from "./shortfall.ts"
export { stoppedChunks, stoppedRegisters } from "./stoppable.ts"
export { createStore, type Held, type Store, type StoreDeps } from "./store.ts"
export type { Rates } from "./throttle.ts"
export type { TracedRequest } from "./traced.ts"
export type {
  BlockSample,
  CareKeys,
  ChunkHealth,
  ChunkRange,
  ChunkRef,
  ChunkStore,
  GetChunkOptions,
  Levels,
  OwnedRegisterStore,
  PutChunkResult,
  ReadRangeOptions,
  RegisterCare,
  RegisterContent,
  RegisterKeys,
  RegisterParts,
  RegisterStore,
  RegisterVersion,
  StoreOptions,
  UploadKey,
  WatchableRegisters,
  WatchOptions,
  WriteOptions,
} from "./types.ts"
