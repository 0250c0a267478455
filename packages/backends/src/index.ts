/** Backends: places for shares and registers. The others have doors of their own: `directory`, `storage-node`, `s3`. */
export { createMemoryBackend, createMemoryPlace, type MemoryOptions, type MemoryPlace } from "./memory.ts"
export type { PlaceAccounts } from "./place-accounts.ts"
export { batchBytes, leastGraceMs, markBytes, rowBytes, usualGraceMs } from "./rules.ts"
