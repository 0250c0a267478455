/** The monitoring listener: GET /health and GET /metrics in plain HTTP, on loopback unless told otherwise. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"

/** What the listener shows. */
export interface MonitorSource {
  /** False while the node starts or stops. */
  ready(): boolean
  metrics(): Promise<string>
}

/** Creates the listener; it does not listen yet. */
export function createMonitor(source: MonitorSource): Server {
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: 5000, requestTimeout: 5000, keepAliveTimeout: 5000 },
    (request, response) => void answerTo(source, request, response),
  )
  server.maxConnections = 64
  return server
}

async function answerTo(source: MonitorSource, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = (status: number, type: string, text: string) =>
    response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(text) }).end(text)
  try {
    if (request.method !== "GET") answer(405, "text/plain", "Only GET is answered here.\n")
    else if (request.url === "/health")
      answer(source.ready() ? 200 : 503, "application/json", `{"ready":${source.ready()}}\n`)
    else if (request.url === "/metrics") answer(200, "text/plain; version=0.0.4", await source.metrics())
    else answer(404, "text/plain", "There are /health and /metrics here.\n")
  } catch {
    if (!response.headersSent) answer(500, "text/plain", "The metrics cannot be read.\n")
  }
}
