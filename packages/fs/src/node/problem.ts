/** What transfers over many files leave out, and which errors are of one file only. */
import { type ErrorCode, type HoldfastError, isHoldfastError } from "@holdfast/core"

/** Something that was left out of a transfer, and why. */
export interface Problem {
  /** The place, exactly; of a local name that is not UTF-8, with its bytes escaped in its last part. */
  readonly path: string
  /** The bytes of such a path, in hexadecimal. */
  readonly pathHex?: string
  readonly code: ErrorCode
  readonly message: string
}

/** What concerns one of many only; anything else ends the command. */
const ofOne: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "ERR_ALREADY_EXISTS",
  "ERR_BAD_FORMAT",
  "ERR_CORRUPT",
  "ERR_INCONSISTENT",
  "ERR_INVALID_ARGUMENT",
  "ERR_INVALID_NAME",
  "ERR_IS_A_DIRECTORY",
  "ERR_LIMIT",
  "ERR_NOT_A_DIRECTORY",
  "ERR_NOT_EMPTY",
  "ERR_NOT_ENOUGH_SHARES",
  "ERR_NOT_FOUND",
  "ERR_UNSUPPORTED_VERSION",
])

/** True for an error that says nothing of the others. */
export function concernsOne(error: unknown): error is HoldfastError {
  if (!isHoldfastError(error)) return false
  return ofOne.has(error.code) || (error.code === "ERR_IO" && error.details["path"] !== undefined)
}

/** The result of `work`; what concerns this place only is reported and gives undefined. */
export async function orReport<T>(
  path: string,
  { onProblem }: { readonly onProblem: (problem: Problem) => void },
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!concernsOne(error)) throw error
    onProblem({ path, code: error.code, message: error.message })
    return undefined
  }
}
