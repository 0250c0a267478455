/** What tests of backends share. Node only. */
export { backendContract } from "./backend-contract.ts"
export { makeChunk, makeChunkOf, makeRegisterValue, randomChunk, type TestChunk } from "./shares.ts"
