/** Numbers among options. */
import { HoldfastError } from "@holdfast/core"

/** The whole number that `text` is. Throws ERR_INVALID_ARGUMENT naming the option. */
export function wholeNumber(flag: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `${flag} takes a whole number, not "${text}".`)
  return value
}
