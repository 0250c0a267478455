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
export { type Counted, TripCounter } from "./trips.ts"
export { makeTwoFaced, type TwoFacedChunk, withSameTag } from "./two-faced.ts"
export { VirtualClock } from "./virtual-clock.ts"
