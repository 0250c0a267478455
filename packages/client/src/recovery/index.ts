/** A profile in recovery kits: what goes into one, and a profile made anew from it. */
export { placeBucketKeys, writeBucketKeys } from "./bucket-keys.ts"
export { type MadeKit, makeRecoveryKit } from "./make.ts"
export { type SecretWish, secretFor } from "./protect.ts"
export { digestOf, type Restorable, readRecord, remember } from "./record.ts"
export { type Relocated, relocated, restoreProfile } from "./restore.ts"
export { findOpenKits, kitStates, kitText } from "./state.ts"
export { normalSecret } from "./words.ts"
