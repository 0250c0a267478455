/** What tests of backends share. Node only. */
export { makeAccount, makeOrder, newBatch, type TestAccount } from "./accounts.ts"
export { backendContract } from "./backend-contract.ts"
export type { ContractOptions, ContractPlace } from "./contract-place.ts"
export { makeChunk, makeChunkOf, makeRegisterValue, randomChunk, type TestChunk } from "./shares.ts"
