/** A small web page on loopback that shows how the local grid is. No script, no secret, nothing from elsewhere. */
import { createHash } from "node:crypto"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import type { LocalGridConfig } from "./config.ts"
import type { PartState } from "./supervisor.ts"

/** What the page shows. */
export interface StatusPageOptions {
  readonly port: number
  readonly config: LocalGridConfig
  readonly parts: readonly PartState[]
}

const style = `:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}body{max-width:46rem;margin:0 auto;padding:1rem}
table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.4rem 0}th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}
.wide{overflow-x:auto}code,pre{font-family:ui-monospace,monospace}pre{padding:.8rem;overflow-x:auto;border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:.4rem}.down{font-weight:bold}
:focus-visible{outline:3px solid Highlight;outline-offset:2px}`

const headers = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
}

const refreshing = "/?refresh"

/** Serves the page on 127.0.0.1, on another port when the asked-for one is taken. */
export async function startStatusPage(
  options: StatusPageOptions,
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const allowedHosts = new Set<string>()
  const server = createServer((request, response) => {
    const { method, url } = request
    const answer = (status: number, text: string, more: Readonly<Record<string, string>> = {}) => {
      const content = document(`Holdfast: ${text}`, `<h1>${text}</h1>`)
      response.writeHead(status, { ...headers, ...more }).end(method === "HEAD" ? undefined : content)
    }
    // A page of another site may resolve its own name to 127.0.0.1; its Host header gives it away.
    if (!allowedHosts.has(request.headers.host ?? "")) answer(421, "This page is for this machine only")
    else if (method !== "GET" && method !== "HEAD") answer(405, "This page can only be read", { allow: "GET, HEAD" })
    else if (url !== "/" && url !== refreshing) answer(404, "There is no such page")
    else response.writeHead(200, headers).end(method === "HEAD" ? undefined : page(options, url === refreshing))
  })
  server.requestTimeout = 10_000
  server.maxConnections = 64
  const port = await listenOn(server, options.port).catch(() => listenOn(server, 0))
  for (const name of ["127.0.0.1", "localhost"]) allowedHosts.add(`${name}:${port}`)
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

function page({ config, parts }: StatusPageOptions, isRefreshing: boolean): string {
  const running = parts.filter((part) => part.pid !== undefined).length
  const { k, happy, n } = config.coding
  const state = `${running} of ${parts.length} processes run.`
  const refresh = isRefreshing
    ? `The page loads itself anew every 5 seconds. <a href="/">Stop that</a>`
    : `<a href="/">Load again</a>, or <a href="${refreshing}">every 5 seconds</a>`
  const body = `<h1>Holdfast on this machine</h1><p role="status">${state} ${verdict(config, parts)}</p>
<p>As of ${new Date().toISOString().slice(0, 19).replace("T", " ")} UTC. ${refresh}.</p>
<div class="wide" tabindex="0" role="region" aria-label="Processes"><table><caption>Processes of the local grid</caption>
<thead><tr><th scope="col">Part</th><th scope="col">State</th><th scope="col">Port</th><th scope="col">Process</th><th scope="col">Restarts</th></tr></thead>
<tbody>${parts.map(row).join("")}</tbody></table></div>
<p>Coding: any ${k} of ${n} shares restore a file; a put needs ${happy} distinct nodes.</p>
<h2>What to type next</h2><p>In a checkout, <code>npx holdfast</code> instead of <code>holdfast</code>.</p>
<pre tabindex="0" role="region" aria-label="Commands"><code>holdfast put README.md home:
holdfast ls -l home:
holdfast cat home:README.md
holdfast check --deep home:</code></pre>`
  return document(
    `Holdfast: ${running} of ${parts.length} running`,
    body,
    isRefreshing ? `<meta http-equiv="refresh" content="5">` : "",
  )
}

function verdict({ coding: { k, n }, nodes }: LocalGridConfig, parts: readonly PartState[]): string {
  const up = parts.filter(({ name, pid }) => pid !== undefined && nodes.some((node) => node.name === name)).length
  const spare = Math.min(n, nodes.length) - k - (nodes.length - up)
  if (spare < 0) return "Too many nodes are down: some files cannot be read until nodes come back."
  return `Files can be read, and ${spare} more ${spare === 1 ? "node" : "nodes"} may fail.`
}

function row({ name, pid, port, restarts }: PartState): string {
  const state = pid === undefined ? `<td class="down">down</td>` : "<td>running</td>"
  return `<tr><th scope="row">${escaped(name)}</th>${state}<td>${port}</td><td>${pid ?? ""}</td><td>${restarts}</td></tr>`
}

function document(title: string, body: string, head = ""): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
${head}<title>${title}</title><style>${style}</style></head><body><main>${body}</main></body></html>`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
