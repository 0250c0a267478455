/** What the operating system answers to work on local files, as errors of ours. */
import { type ErrorCode, HoldfastError } from "../errors.ts"
import { whoseIs } from "./other-user.ts"

const lossy = "\ufffd"

/** The error of a local file operation as a HoldfastError: what, where, what to do. */
export function localError(error: unknown, local: string): HoldfastError {
  if (error instanceof HoldfastError) return error
  const systemCode = (error as NodeJS.ErrnoException | undefined)?.code
  if (systemCode === undefined) throw error // a bug of ours
  const place = `"${local}"`
  const details = { path: local, systemCode }
  const make = (code: ErrorCode, message: string) => new HoldfastError(code, message, details, { cause: error })
  switch (systemCode) {
    case "ENOSPC":
    case "EDQUOT":
      return make(
        "ERR_DISK_FULL",
        `The local disk is full: ${place} could not be written. Free some space and run it again.`,
      )
    case "EFBIG":
      return make("ERR_LIMIT", `${place} would be larger than a file may be here. Name a place on another file system.`)
    case "ENOENT":
      return make("ERR_NOT_FOUND", `${place} does not exist on this machine.${lossyHint(local)}`)
    case "EACCES":
    case "EPERM":
      return make(
        "ERR_IO",
        `This user may not read or write ${place}. ${whoseIs(local) ?? "Change its permissions or leave it out."}`,
      )
    case "ENOTDIR":
      return make("ERR_NOT_A_DIRECTORY", `${place} is not a folder, so nothing can be put inside it.`)
    case "EISDIR":
      return make("ERR_IS_A_DIRECTORY", `${place} is a folder.`)
    case "ENAMETOOLONG":
      return make("ERR_INVALID_NAME", `The name ${place} is longer than this file system allows.`)
    default:
      return make("ERR_IO", `${place} could not be read or written: ${systemCode}.`)
  }
}

function lossyHint(local: string): string {
  return local.includes(lossy) ? " Its name is not valid UTF-8; rename it first." : ""
}
