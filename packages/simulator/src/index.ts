/** The simulator: the whole product in one process under one seed. */
export { type FaultKind, faultKinds } from "./faults.ts"
export { type RunOptions, type RunResult, simulate } from "./simulate.ts"
