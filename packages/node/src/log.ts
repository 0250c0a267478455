/** Structured logs: one JSON object a line. Fields are names, counts and codes; never keys, tokens or content. */

/** How much an event matters. */
export type LogLevel = "info" | "warn" | "error"

/** What is logged beside the event. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/** Takes events. */
export type Logger = (level: LogLevel, event: string, fields?: LogFields) => void

/** A logger that writes JSON lines. */
export function jsonLogger(write: (line: string) => void, nowMs: () => number): Logger {
  return (level, event, fields = {}) =>
    write(`${JSON.stringify({ time: new Date(nowMs()).toISOString(), level, event, ...fields })}\n`)
}
