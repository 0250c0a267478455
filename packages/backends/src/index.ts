/** Backends: places for shares and registers. Those that need Node are in `@holdfast/backends/node`. */
export { createMemoryBackend, createMemoryPlace, type MemoryOptions, type MemoryPlace, onlyAccount } from "./memory.ts"
export type { PlaceAccounts } from "./place-accounts.ts"
export { batchBytes, leastGraceMs, markBytes, rowBytes, usualGraceMs } from "./rules.ts"
