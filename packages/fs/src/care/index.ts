/** Looking after what file systems stand on: health and repair, samples, rebalancing, holding, collection. */
export {
  type Footing,
  type FootingOptions,
  footingOf,
  footingOfCap,
  idsOf,
  onlyVerifies,
  type StoredChunk,
} from "./footing.ts"
export {
  type AccountListing,
  type CollectGarbageOptions,
  type CollectingAccount,
  type CollectingVolume,
  type CollectReport,
  collectGarbage,
} from "./garbage.ts"
export {
  addUnreadable,
  type CheckHealthOptions,
  checkHealth,
  type DomainReport,
  emptyReport,
  type Health,
  type HealthReport,
  isBad,
} from "./health.ts"
export { holdCap, type LinkedTree, linkedIn } from "./hold.ts"
export { type MaintainOptions, maintain } from "./maintenance/loop.ts"
export { maintainVolumes } from "./maintenance/maintain.ts"
export { decodeMemory, emptyMemory, encodeMemory, type MaintenanceMemory } from "./maintenance/memory.ts"
export type {
  CollectedSum,
  HeldVolumes,
  MaintainedTree,
  MaintainedVolume,
  MaintenanceDeps,
  MaintenanceFolder,
  RoundReport,
  TreeReport,
  VolumeReport,
} from "./maintenance/ports.ts"
export { type Hours, partDone, type Schedule, usualSchedule } from "./maintenance/schedule.ts"
export { gather, type Needed } from "./needed.ts"
export type { NeededRoot } from "./needed-root.ts"
export { type RebalanceReport, rebalance } from "./rebalance.ts"
export { type SampleReport, sampleHealth } from "./sample.ts"
export { sweepBuckets } from "./sweep.ts"
