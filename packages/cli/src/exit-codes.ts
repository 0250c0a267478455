/** What the command's exit code says, and how errors are shown. docs/errors.md lists both. */
import { type ErrorCode, isHoldfastError } from "@holdfast/core"
import type { Context } from "./context.ts"

/** Exit codes of the command. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4,
  damaged: 5,
  refused: 6,
} as const

const byError: Partial<Record<ErrorCode, number>> = {
  ERR_INVALID_ARGUMENT: exitCodes.usage,
  ERR_NOT_FOUND: exitCodes.notFound,
  ERR_UNKNOWN_ALIAS: exitCodes.notFound,
  ERR_NO_PROFILE: exitCodes.notFound,
  ERR_NOT_ENOUGH_SERVERS: exitCodes.unavailable,
  ERR_NOT_ENOUGH_SHARES: exitCodes.unavailable,
  ERR_NO_QUORUM: exitCodes.unavailable,
  ERR_SERVER_UNREACHABLE: exitCodes.unavailable,
  ERR_SERVER_FULL: exitCodes.unavailable,
  ERR_CORRUPT: exitCodes.damaged,
  ERR_ROLLBACK: exitCodes.damaged,
  ERR_BAD_FORMAT: exitCodes.damaged,
  ERR_BAD_CAPABILITY: exitCodes.refused,
  ERR_WRONG_CAPABILITY: exitCodes.refused,
  ERR_REFUSED: exitCodes.refused,
  ERR_INVITE: exitCodes.refused,
  ERR_LOCKED: exitCodes.refused,
  ERR_QUOTA_EXCEEDED: exitCodes.refused,
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  return isHoldfastError(error) ? (byError[error.code] ?? exitCodes.failed) : exitCodes.failed
}

/** Shows an error: its message for people, or an object with --json; a stack only for our own bugs or on request. */
export function reportError(context: Context, error: unknown): void {
  const known = isHoldfastError(error)
  if (context.json) {
    const { message, code, details } = known ? error : { message: messageOf(error), code: "ERR_INTERNAL", details: {} }
    context.stdout.write(`${JSON.stringify({ error: { code, message, details } })}\n`)
    return
  }
  context.stderr.write(`holdfast: ${messageOf(error)}\n`)
  if (context.env["HOLDFAST_DEBUG"] === "1" && error instanceof Error) context.stderr.write(`${error.stack}\n`)
  else if (!known) context.stderr.write("This looks like a bug. Set HOLDFAST_DEBUG=1 to see where it happened.\n")
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
