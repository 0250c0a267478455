/** Core: what every other package stands on. Nothing here knows Node or a page. */
export { isAbort, untilAborted } from "./abort.ts"
export { BufferPool, type BufferPoolOptions, discard } from "./buffer-pool.ts"
export * from "./bytes.ts"
export { decodeBase32, encodeBase32 } from "./codec/base32.ts"
export { type CborBounds, type CborValue, decodeCbor, encodeCbor } from "./codec/cbor.ts"
export { FieldReader } from "./codec/field-reader.ts"
export type { CryptoProvider } from "./crypto/provider.ts"
export { isStrictSignature } from "./crypto/signature.ts"
export { deriveKey, domainPrefix, hashesAfter, hashSmall, macSmall } from "./crypto/small.ts"
export type { Clock, Env } from "./env.ts"
export { assert, type ErrorCode, type ErrorDetails, HoldfastError, isHoldfastError } from "./errors.ts"
export { limits } from "./limits.ts"
export { ownValue } from "./own-value.ts"
export { mapOrdered, mapPool, mapPoolToEnd, Semaphore } from "./pool.ts"
export {
  finiteNumber,
  fit,
  integer,
  list,
  matching,
  parseOr,
  record,
  type Schema,
  statedVersion,
  text,
} from "./schema.ts"
export * from "./shown-text.ts"
export { cut } from "./stream/cut.ts"
export { isoTime } from "./times.ts"
