/** How fast a command may store and read, as its user says. */
import { HoldfastError } from "@holdfast/core"
import type { Rates } from "@holdfast/store"

const units: Readonly<Record<string, number>> = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

/** The rates that --limit-upload and --limit-download name; undefined without any. Throws ERR_INVALID_ARGUMENT. */
export function ratesOf(optionOf: (name: string) => string | undefined): Rates | undefined {
  const uploadBytesPerSecond = rateOf("--limit-upload", optionOf("--limit-upload"))
  const downloadBytesPerSecond = rateOf("--limit-download", optionOf("--limit-download"))
  if (uploadBytesPerSecond === undefined && downloadBytesPerSecond === undefined) return undefined
  return { uploadBytesPerSecond, downloadBytesPerSecond }
}

function rateOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits = "", unit = ""] = /^([0-9]{1,12}(?:\.[0-9]{1,3})?)([KMG]?)(?:i?B)?$/i.exec(text) ?? []
  const rate = Number(digits) * units[unit.toUpperCase()]!
  if (digits !== "" && rate >= 1024) return rate
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `${option} wants bytes a second, at least 1K: as 500K, 2M or 1.5M.`)
}
