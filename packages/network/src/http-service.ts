/** What every daemon has beside its work: a monitor on loopback, and a structured log that cannot hold a secret. */
import { excerpt, redacted, shownJson } from "@holdfast/core"
import { formatAddress } from "./tls/agent.ts"
import { closeServer, listen } from "./tls/server.ts"

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

/** The state of a daemon, for a supervisor. */
export interface Health {
  readonly ok: boolean
  readonly details?: Readonly<Record<string, unknown>>
}

/** Where a monitor listens: on a free port of 127.0.0.1 unless told otherwise; false for none. */
export type MonitorPlace = { readonly host?: string; readonly port?: number } | false

/** Serves /metrics and /health in plain HTTP at `place`; undefined without. */
export async function startMonitor(
  place: MonitorPlace = {},
  { metrics, health }: { readonly metrics: () => Promise<string>; readonly health: () => Health | Promise<Health> },
): Promise<{ readonly address: string; close(): Promise<void> } | undefined> {
  if (place === false) return undefined
  const { host = "127.0.0.1", port = 0 } = place
  const { createServer } = await import("node:http") // here: it takes every command that needs none 30 ms to load
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: 5_000, requestTimeout: 10_000 },
    (request, response) => {
      const answer = (status: number, type: string, body: string) =>
        response.writeHead(status, { "content-type": type, "x-content-type-options": "nosniff" }).end(body)
      if (request.method !== "GET") answer(405, "text/plain", "only GET\n")
      else if (request.url === "/metrics")
        metrics().then(
          (text) => answer(200, "text/plain; version=0.0.4; charset=utf-8", text),
          () => answer(500, "text/plain", "the metrics cannot be read\n"),
        )
      else if (request.url === "/health")
        Promise.resolve()
          .then(health)
          .then(
            (state) => answer(state.ok ? 200 : 503, "application/json", `${shownJson(redact(state, 0))}\n`),
            () => answer(503, "application/json", '{"ok":false}\n'),
          )
      else answer(404, "text/plain", "try /metrics or /health\n")
    },
  )
  server.maxConnections = 32
  const bound = await listen(server, { host, port })
  return { address: formatAddress(host, bound), close: () => closeServer(server, 500) }
}

function redact(value: unknown, depth: number): unknown {
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
