/** Protocol: every format that leaves a process, and the port behind which shares are kept. */

export type {
  Backend,
  BlockAnswer,
  BlockQuery,
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
export { blockBytes, blockCount, leavesOf, rootOf } from "./block-tree.ts"
export {
  blocksPerRequest,
  decodeBlockAnswers,
  decodeBlockQueries,
  encodeBlockAnswers,
  encodeBlockQueries,
} from "./block-wire.ts"
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
  type ChunkVersion,
  type Coding,
  chunkIdOf,
  type Descriptor,
  decodeDescriptor,
  decodeShare,
  decodeShareHead,
  encodeDescriptor,
  encodeShareHeader,
  keyCheckOf,
  leavesLength,
  maxShareHeadBytes,
  payloadBytes,
  type Share,
  type ShareHead,
  shareDomain,
  shareName,
  versionOf,
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
  type PassphraseParameters,
  type RecoveryBody,
  type RecoveryPart,
  recoveryKeyCheck,
  recoveryRegisterSeed,
  recoveryShareHash,
  sealRecoveryBody,
} from "./recovery-kit.ts"
export { decodeRecoverySecrets, encodeRecoverySecrets, type RecoverySecrets } from "./recovery-secrets.ts"
export {
  decodeRegisterValue,
  extendLineage,
  type Followed,
  type Lineage,
  mayFollow,
  type RegisterValue,
  registerHashOf,
  registerIdOf,
  signRegisterValue,
} from "./register.ts"
export { leavesIn, payloadHash, verifyShare } from "./share-check.ts"
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
