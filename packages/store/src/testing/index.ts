/** What tests of the store and of what stands on it share. */

export { attacks } from "./attacks.ts"
export { createMemoryChunks, type MemoryChunks } from "./chunks.ts"
export type { LiarOptions } from "./heard.ts"
export { createLiar, type Liar, type Lie, lies } from "./liar.ts"
export {
  type Attack,
  chunkIds,
  createMaliciousService,
  type MaliciousService,
  type Recorded,
  sharesInstead,
  together,
  valuesInstead,
} from "./malicious.ts"
export { makeTwoFaced, type TwoFacedChunk, withSameTag } from "./two-faced.ts"
