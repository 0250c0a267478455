/** Store: chunks and registers over many backends. */
export type { ChunkHealth, ChunkRef, ChunkStore, PutChunkResult, RegisterContent, RegisterKeys, RegisterStore, StoreOptions } from "./types.ts"
