/** Protocol: every format that leaves a process, and the port behind which shares are kept. */

export type {
  Backend,
  CallOptions,
  ListOptions,
  ProposeOutcome,
  PutOutcome,
  RegisterId,
  ShareInfo,
  ShareQuery,
  ShareRemoval,
  Usage,
} from "./backend.ts"
export {
  type Cap,
  decodeCap,
  encodeCap,
  type ImmutableCap,
  type ImmutableVerifyCap,
  type LiteralCap,
  looksLikeCap,
  maxVerifyIds,
  type ReadCap,
  toReadCap,
  toVerifyCap,
  type VerifyCap,
  verifyKeyOf,
  type WriteCap,
} from "./cap.ts"
export {
  type ChunkId,
  type Coding,
  chunkIdOf,
  type Descriptor,
  decodeDescriptor,
  decodeShare,
  encodeDescriptor,
  encodeShareHeader,
  payloadBytes,
  type Share,
  shareDomain,
  shareName,
} from "./chunk.ts"
export { type CodewordDeps, hasHashOf, inconsistentError, isCodeword } from "./codeword.ts"
export { type GridDescription, type GridServer, gridDescriptionSchema, gridServerSchema, maxRevoked } from "./grid.ts"
export { decodeInvite, encodeInvite, type Invite } from "./invite.ts"
export { checkListing } from "./listing.ts"
export {
  decodeRecoveryPart,
  encodeRecoveryParts,
  isAffordablePassphrase,
  openRecoveryBody,
  openRecoveryRegisterSeed,
  type PassphraseParameters,
  type RecoveryBody,
  type RecoveryPart,
  recoveryKeyCheck,
  recoveryPassphraseParameters,
  recoveryRegisterSeed,
  recoveryShareHash,
  sealRecoveryBody,
} from "./recovery-kit.ts"
export {
  type BucketKeys,
  checkOtherSecret,
  decodeRecoverySecrets,
  encodeRecoverySecrets,
  type JoinedGrid,
  type RecoverySecrets,
} from "./recovery-secrets.ts"
export {
  ancestryOf,
  type BoundFields,
  boundFieldsOf,
  decodeRegisterValue,
  parseRegisterValue,
  type RegisterOrder,
  type RegisterValue,
  readCheckOf,
  registerHashOf,
  registerIdOf,
  signBoundValue,
  statementOf,
  type UnsignedValue,
} from "./register.ts"
export {
  type Ancestry,
  appendLevel,
  joinLevel,
  type Level,
  type LevelProof,
  levelLeaf,
  levelNode,
  type Mountain,
  mountainsOf,
  peaksOver,
  proveLevel,
  provesLevel,
  rootOver,
} from "./register-ancestry.ts"
export { decodeEpochStatement, type EpochStatement, signEpochStatement } from "./register-epoch.ts"
export {
  extendLineage,
  type Followed,
  type Lineage,
  namesAncestor,
  signRegisterValue,
} from "./register-lineage.ts"
export { compareOrder, whyRefused } from "./register-order.ts"
export { payloadHash, verifyShare } from "./share-check.ts"
export { parseVolume, type VolumeBackend, type VolumeDescription } from "./volume.ts"
export {
  decodeFailure,
  decodeFrames,
  decodeHeld,
  decodeIds,
  decodeListRequest,
  decodeProposeOutcomes,
  decodePutOutcomes,
  decodeQueries,
  decodeRemovals,
  decodeShareInfos,
  decodeUsage,
  decodeWholeFrames,
  encodeFailure,
  encodeFrames,
  encodeHeld,
  encodeIds,
  encodeListRequest,
  encodeProposeOutcomes,
  encodePutOutcomes,
  encodeQueries,
  encodeRemovals,
  encodeShareInfos,
  encodeUsage,
  type FrameLimits,
  registersPerRequest,
} from "./wire.ts"
