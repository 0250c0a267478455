/** What tests of the store and of what stands on it share. */

export type { LiarOptions } from "./heard.ts"
export { createLiar, type Liar, type Lie, lies } from "./liar.ts"
