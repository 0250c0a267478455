/** What a supervisor asks a daemon: whether it is well, and its metrics, on loopback unless told otherwise. */
import { shownJson } from "@holdfast/core"
import { closeServer, listen } from "../tls/server.ts"
import { formatAddress } from "../tls/unreachable.ts"
import { redact } from "./log.ts"

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
