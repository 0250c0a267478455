/** What the command's exit code says, and how errors are shown. docs/errors.md lists both. */
import {
  type ErrorCode,
  type ErrorDetails,
  HoldfastError,
  isHoldfastError,
  redactedValue,
  shownJson,
} from "@holdfast/core"
import { isDenied, whoseIs } from "@holdfast/core/node"
import { createScreen, type Streams } from "./screen.ts"

/** Exit codes of the command. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4,
  damaged: 5,
  refused: 6,
  locked: 7,
  incomplete: 8,
} as const

const byError: Partial<Record<ErrorCode, number>> = {
  ERR_INVALID_ARGUMENT: exitCodes.usage,
  ERR_NOT_FOUND: exitCodes.notFound,
  ERR_UNKNOWN_ALIAS: exitCodes.notFound,
  ERR_NO_PROFILE: exitCodes.notFound,
  ERR_NO_GRID: exitCodes.notFound,
  ERR_NOT_ENOUGH_SERVERS: exitCodes.unavailable,
  ERR_NOT_ENOUGH_SHARES: exitCodes.unavailable,
  ERR_NO_QUORUM: exitCodes.unavailable,
  ERR_SERVER_UNREACHABLE: exitCodes.unavailable,
  ERR_SERVER_FULL: exitCodes.unavailable,
  ERR_CORRUPT: exitCodes.damaged,
  ERR_INCONSISTENT: exitCodes.damaged,
  ERR_ROLLBACK: exitCodes.damaged,
  ERR_FORK: exitCodes.damaged,
  ERR_UNPROVEN: exitCodes.damaged,
  ERR_BAD_FORMAT: exitCodes.damaged,
  ERR_BAD_CAPABILITY: exitCodes.refused,
  ERR_WRONG_CAPABILITY: exitCodes.refused,
  ERR_REFUSED: exitCodes.refused,
  ERR_PINNED: exitCodes.refused,
  ERR_MOVED: exitCodes.refused,
  ERR_INVITE: exitCodes.refused,
  ERR_LOCKED: exitCodes.locked,
  ERR_WRONG_PASSPHRASE: exitCodes.locked,
  ERR_EXPOSED: exitCodes.refused,
  ERR_CREDENTIALS: exitCodes.refused,
  ERR_QUOTA_EXCEEDED: exitCodes.refused,
  ERR_INCOMPLETE: exitCodes.incomplete,
}

/** The exit code for an error. */
export function exitCodeOf(error: unknown): number {
  const known = knownError(error)
  return known ? (byError[known.code] ?? exitCodes.failed) : exitCodes.failed
}

/** Shows an error: its message for people, or an object with --json; a stack only for our own bugs or on request. */
export function reportError(context: Streams & { readonly env: NodeJS.ProcessEnv }, error: unknown): void {
  const known = knownError(error)
  const { code, message, details } = known ?? { code: "ERR_INTERNAL", message: messageOf(error), details: {} }
  const screen = createScreen(context)
  if (context.json) context.stdout.write(`${shownJson(redactedValue({ error: { code, message, details } }))}\n`)
  else screen.warn(message)
  if (!context.json) screen.tell(linesOf(details))
  if (context.env["HOLDFAST_DEBUG"] === "1" && error instanceof Error) screen.tell((error.stack ?? "").split("\n"))
  else if (!known && !context.json)
    context.stderr.write("This looks like a bug. Set HOLDFAST_DEBUG=1 to see where it happened.\n")
}

/** Further lines of a message, each of which may quote what comes from elsewhere. */
function linesOf({ lines }: ErrorDetails): readonly string[] {
  return Array.isArray(lines) ? lines.map(String) : []
}

/** Our own errors, and what the operating system answered; the rest are bugs. */
function knownError(error: unknown): HoldfastError | undefined {
  if (isHoldfastError(error)) return error
  if (!(error instanceof Error) || !("syscall" in error)) return undefined
  const { code = "", path } = error as NodeJS.ErrnoException
  const whose = path !== undefined && isDenied(error) ? whoseIs(path) : undefined
  const isFull = code === "ENOSPC" || code === "EDQUOT"
  return new HoldfastError(
    isFull ? "ERR_DISK_FULL" : "ERR_IO",
    `The system answered: ${error.message}.${isFull ? " Free some space on that disk, then try again." : ""}${whose === undefined ? "" : ` ${whose}`}`,
    { code },
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
