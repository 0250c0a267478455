/** Backends: places for shares and registers. Those that need Node are in `@holdfast/backends/node`. */
export { createMemoryBackend, type MemoryOptions } from "./memory.ts"
