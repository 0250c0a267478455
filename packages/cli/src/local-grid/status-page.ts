/** A small web page on loopback that shows how the local grid is. No script, no secret, nothing from elsewhere. */
import { createServer } from "node:http"
import type { LocalGridConfig } from "./config.ts"
import type { PartState } from "./supervisor.ts"

/** What the page shows. */
export interface StatusPageOptions {
  readonly port: number
  readonly config: LocalGridConfig
  readonly parts: readonly PartState[]
}

const headers = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
}

/** Serves the page on 127.0.0.1. */
export async function startStatusPage(options: StatusPageOptions): Promise<{ close(): Promise<void> }> {
  const allowedHosts = new Set([`127.0.0.1:${options.port}`, `localhost:${options.port}`])
  const server = createServer((request, response) => {
    // A page of another site may resolve its own name to 127.0.0.1; its Host header gives it away.
    if (!allowedHosts.has(request.headers.host ?? "")) response.writeHead(421).end()
    else if (request.method !== "GET" && request.method !== "HEAD")
      response.writeHead(405, { allow: "GET, HEAD" }).end()
    else if (request.url !== "/") response.writeHead(404).end()
    else response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : page(options))
  })
  server.requestTimeout = 10_000
  server.maxConnections = 64
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(options.port, "127.0.0.1", resolve)
  })
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const style = `:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}body{max-width:46rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}
.wide{overflow-x:auto}code,pre{font-family:ui-monospace,monospace}pre{padding:.8rem;overflow-x:auto;border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.4rem}.down{font-weight:bold}`

function page({ config, parts }: StatusPageOptions): string {
  const running = parts.filter((part) => part.pid !== undefined).length
  const nodesLost = parts.filter((part) => part.name !== "coordinator" && part.pid === undefined).length
  const { k, happy, n } = config.coding
  const spare = n - k - nodesLost
  const verdict =
    spare < 0
      ? "Too many nodes are down: some files cannot be read until nodes come back."
      : `Files can be read, and ${spare} more ${spare === 1 ? "node" : "nodes"} may fail.`
  const rows = parts.map(
    (part) =>
      `<tr><th scope="row">${part.name}</th><td${part.pid ? "" : ' class="down"'}>${part.pid ? "running" : "down"}</td>` +
      `<td>127.0.0.1:${part.port}</td><td>${part.pid ?? ""}</td><td>${part.restarts}</td></tr>`,
  )
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="refresh" content="5"><title>Holdfast: ${running} of ${parts.length} running</title><style>${style}</style></head>
<body><main><h1>Holdfast on this machine</h1><p role="status">${running} of ${parts.length} processes run. ${verdict}</p>
<div class="wide" tabindex="0" role="region" aria-label="Processes"><table><caption>Processes of the local grid</caption>
<thead><tr><th scope="col">Part</th><th scope="col">State</th><th scope="col">Address</th><th scope="col">Process</th><th scope="col">Restarts</th></tr></thead>
<tbody>${rows.join("")}</tbody></table></div>
<p>Coding: any ${k} of ${n} shares restore a file; a put needs ${happy} distinct nodes.</p>
<h2>What to type next</h2><pre tabindex="0"><code>holdfast put README.md home:/
holdfast ls -l home:/
holdfast cat home:/README.md
holdfast check --deep home:/</code></pre></main></body></html>`
}
