/** What tests of backends share. Node only. */
export { makeAccount, makeOrder, newBatch, type TestAccount } from "./accounts.ts"
export { backendContract, type ContractOptions, type ContractPlace } from "./backend-contract.ts"
export { makeChunk, makeRegisterValue, randomChunk, type TestChunk } from "./shares.ts"
