/** What one device keeps: names, keys, what it has seen. */
export { joinProfile } from "./join.ts"
export { joinNode } from "./join-node.ts"
export { type Paths, pathsOf, profileDir } from "./paths.ts"
export { isListening, isRunning, markOf, stopProcess } from "./process.ts"
export { checkAlias, createProfile, noProfile, openProfile, type Profile, unknownAlias } from "./profile.ts"
export { keyOfPassphrase } from "./sealed-secrets.ts"
export {
  changing,
  hasSecrets,
  holding,
  isLocked,
  lockSecrets,
  readSecrets,
  secretFiles,
  unlockSecrets,
} from "./secrets.ts"
export { openSeen } from "./seen.ts"
export type { ProfileUploads, UploadSecret } from "./uploads.ts"
