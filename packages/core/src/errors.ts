/**
 * The one family of errors that Holdfast throws for what can go wrong outside our own code.
 * A code is stable and for programs; the message is for people and says what was wrong, where, and what to do.
 * Bugs are assertions, never one of these.
 */

/** Every code that Holdfast can report. Documented for users in docs/errors.md. */
export type ErrorCode =
  | "ERR_BAD_FORMAT" // bytes from outside are not what their place requires
  | "ERR_UNSUPPORTED_VERSION" // made by a newer Holdfast
  | "ERR_BAD_CAPABILITY" // mistyped or not a capability
  | "ERR_WRONG_CAPABILITY" // a capability that does not grant what was asked
  | "ERR_UNKNOWN_ALIAS"
  | "ERR_NOT_FOUND"
  | "ERR_ALREADY_EXISTS"
  | "ERR_NOT_A_DIRECTORY"
  | "ERR_IS_A_DIRECTORY"
  | "ERR_NOT_EMPTY"
  | "ERR_INVALID_NAME"
  | "ERR_INVALID_ARGUMENT"
  | "ERR_NOT_ENOUGH_SERVERS" // a put could not reach `happy` distinct servers
  | "ERR_NOT_ENOUGH_SHARES" // a read found fewer than k good shares
  | "ERR_CORRUPT" // authenticated data does not verify
  | "ERR_INCONSISTENT" // a chunk whose shares do not all follow from the same data
  | "ERR_NO_QUORUM" // too few servers answered for a register
  | "ERR_ROLLBACK" // servers offer an older register value than one seen before
  | "ERR_FORK" // servers show two histories of one register
  | "ERR_UNPROVEN" // a register's history cannot be shown to go on from what was seen
  | "ERR_CONFLICT" // lost a race more often than we retry
  | "ERR_SERVER_FULL"
  | "ERR_QUOTA_EXCEEDED"
  | "ERR_SERVER_UNREACHABLE"
  | "ERR_REFUSED" // the other side refused our certificate or request
  | "ERR_MOVED" // the volume has moved to other places
  | "ERR_PINNED" // what is pinned would be weakened, and nobody was there to be asked
  | "ERR_INVITE" // an invitation is wrong, expired or used
  | "ERR_LOCKED" // the profile is locked with a passphrase
  | "ERR_WRONG_PASSPHRASE" // it does not open the locked profile
  | "ERR_EXPOSED" // a file with secrets may be read by others
  | "ERR_NO_PROFILE"
  | "ERR_NO_GRID" // the profile is a member of no grid
  | "ERR_CREDENTIALS" // no usable keys for a bucket
  | "ERR_DISK_FULL" // the local disk
  | "ERR_IO" // another local input/output error
  | "ERR_LIMIT" // something from outside is larger than we accept
  | "ERR_INCOMPLETE" // some of what was asked for was done, and some could not be
  | "ERR_ABORTED"
  | "ERR_REMOTE" // the other side failed in a way of its own

/** Data beside the message, for programs. Never holds a secret. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/** An error with a stable `code`, a message for people, and details for programs. */
export class HoldfastError extends Error {
  override readonly name: string = "HoldfastError"
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.details = details
  }
}

/** True when `error` is a HoldfastError, with this code if one is given. */
export function isHoldfastError(error: unknown, code?: ErrorCode): error is HoldfastError {
  return error instanceof HoldfastError && (code === undefined || error.code === code)
}

/** Throws a plain Error (a bug of ours) unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`)
}
