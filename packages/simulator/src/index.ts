/** The simulator: the whole product in one process under one seed. */
export { applyEdit, type Defect, defects, type Edit } from "./defects.ts"
export { type FaultKind, faultKinds } from "./faults.ts"
export { commandOf, parseOptions, usualSteps } from "./options.ts"
export { failureReport, summaryOf } from "./report.ts"
export { harmfulRoles, type Omission, omissions, type RoleKind, roleKinds } from "./roles.ts"
export type { RunOptions, RunResult } from "./run.ts"
export { shorten } from "./shorten.ts"
export { freshSeed, simulate } from "./simulate.ts"
