/**
 * A log that nobody outside can fill the disk with: of one event at one level it writes so many lines a minute and no more. The
 * first line after that minute says how many were left out.
 */
import type { Logger, LogLevel } from "./log.ts"

const usualMost = 120
const windowMs = 60_000

interface Window {
  startMs: number
  written: number
  leftOut: number
}

/** `logger`, of which each event writes at most `most` lines a minute. Events are words of ours, so there are few. */
export function sparingLogger(
  logger: Logger,
  { nowMs, most = usualMost }: { readonly nowMs: () => number; readonly most?: number },
): Logger {
  const windows = new Map<string, Window>()
  const log = (level: LogLevel) => {
    return (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
      const name = `${level} ${event}`
      const now = nowMs()
      const known = windows.get(name)
      const isNew = !known || Math.abs(now - known.startMs) >= windowMs
      const window = isNew ? { startMs: now, written: 0, leftOut: 0 } : known
      windows.set(name, window)
      if (window.written >= most) return void window.leftOut++
      window.written++
      const leftOut = isNew ? (known?.leftOut ?? 0) : 0
      logger[level](event, leftOut > 0 ? { ...fields, leftOut } : fields)
    }
  }
  return { error: log("error"), warn: log("warn"), info: log("info"), debug: logger.debug }
}
