/** A structured log that cannot hold a secret. */
import { excerpt, redacted, shownJson } from "@holdfast/core"

/** From the most to the least urgent. */
export type LogLevel = "error" | "warn" | "info" | "debug"

/** Writes one JSON line per event. */
export interface Logger {
  error(event: string, fields?: Readonly<Record<string, unknown>>): void
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void
  info(event: string, fields?: Readonly<Record<string, unknown>>): void
  debug(event: string, fields?: Readonly<Record<string, unknown>>): void
}

const levels: readonly LogLevel[] = ["error", "warn", "info", "debug"]
/** True for the name of a level. */
export function isLogLevel(text: string): text is LogLevel {
  return (levels as readonly string[]).includes(text)
}

const secretName = /token|key|seed|secret|passw|passphrase|authorization|cookie|^cap$|capability|invite/i

/** A logger to `stream`; events less urgent than `level` (default info) are dropped. Secret-looking fields are hidden. */
export function createLogger({
  stream,
  level = "info",
}: {
  readonly stream: { write(text: string): unknown }
  readonly level?: LogLevel
}): Logger {
  const enabled = levels.indexOf(level)
  const log =
    (of: LogLevel) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
      if (levels.indexOf(of) > enabled) return
      const line = {
        time: new Date().toISOString(),
        level: of,
        event: redact(event, 0),
        ...(redact(fields, 0) as object),
      }
      stream.write(`${shownJson(line)}\n`)
    }
  return { error: log("error"), warn: log("warn"), info: log("info"), debug: log("debug") }
}

/** A value as a log or a monitor may show it: cut, without what looks like a secret. `depth` is how deep it lies in what is shown. */
export function redact(value: unknown, depth: number): unknown {
  if (typeof value === "string") return excerpt(value, 2000)
  if (typeof value === "bigint") return value.toString()
  if (value instanceof Error) return redact("code" in value ? `${value.code}: ${value.message}` : value.message, depth)
  if (typeof value !== "object" || value === null) return value
  if (value instanceof Uint8Array) return `[${value.length} bytes]`
  if (depth >= 4) return "[deep]"
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => redact(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      redacted(name),
      secretName.test(name) ? "[hidden]" : redact(item, depth + 1),
    ]),
  )
}
