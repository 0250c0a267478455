/**
 * An S3 service that answers badly: a small honest one over real HTTP, in memory, and around it whatever a `BadService` does
 * to its answers.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { TestContext } from "node:test"
import { gzipSync } from "node:zlib"

/** What was asked. */
export interface Asked {
  readonly method: string
  /** Key of the object, or prefix of a listing. */
  readonly key: string
  readonly isList: boolean
  readonly after: string
}

/** An answer that is ready to be sent. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** Answers in place of the honest service; sends `honest`, altered, or something else. */
export type BadService = (
  response: ServerResponse,
  honest: Answer,
  asked: Asked,
  objects: ReadonlyMap<string, Buffer>,
) => void

/** Starts a service with one bucket, "bucket"; gives its URL. `seen` has what was asked. */
export async function startBadBucket(t: TestContext, bad: BadService): Promise<{ url: string; seen: Asked[] }> {
  const objects = new Map<string, Buffer>()
  const seen: Asked[] = []
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const url = new URL(request.url!, "http://s3")
    const isList = url.searchParams.has("list-type")
    const key = isList
      ? (url.searchParams.get("prefix") ?? "")
      : decodeURIComponent(url.pathname.slice("/bucket/".length))
    const asked = { method: request.method!, key, isList, after: url.searchParams.get("start-after") ?? "" }
    seen.push(asked)
    const honest = isList
      ? listAnswer(objects, asked, Number(url.searchParams.get("max-keys")))
      : objectAnswer(objects, asked, request, Buffer.concat(pieces))
    bad(response, honest, asked, objects)
  }
  const server = createServer((request, response) => {
    response.on("error", () => undefined)
    serve(request, response).catch(() => request.destroy()) // the client left
  })
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen }
}

/** Sends an answer as it is. */
export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { "content-length": body.length, ...headers }).end(body)
}

/** XML with status 200. */
export function xml(text: string, status = 200): Answer {
  return { status, headers: { "content-type": "application/xml" }, body: Buffer.from(text) }
}

/** A page of a listing. */
export function page(keys: readonly string[], isTruncated = false): Answer {
  const contents = keys.map(
    (key) =>
      `<Contents><Key>${key}</Key><Size>100</Size><LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>`,
  )
  const next = isTruncated ? "<NextContinuationToken>again</NextContinuationToken>" : ""
  return xml(
    `<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><IsTruncated>${isTruncated}</IsTruncated>${next}${contents.join("")}</ListBucketResult>`,
  )
}

function listAnswer(objects: ReadonlyMap<string, Buffer>, { key: prefix, after }: Asked, most: number): Answer {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
  return page(keys.slice(0, most), keys.length > most)
}

function objectAnswer(
  objects: Map<string, Buffer>,
  { method, key }: Asked,
  { headers }: IncomingMessage,
  body: Buffer,
) {
  const empty = { status: 200, headers: { etag: '"e"' }, body: Buffer.alloc(0) }
  const held = objects.get(key)
  if (method === "PUT" && headers["if-none-match"] && held)
    return xml("<Error><Code>PreconditionFailed</Code></Error>", 412)
  if (method === "PUT") objects.set(key, body)
  if (method === "DELETE") objects.delete(key)
  if (method !== "GET") return empty
  return held ? { ...empty, body: held } : xml("<Error><Code>NoSuchKey</Code></Error>", 404)
}

/** Writes `piece` until the connection ends. */
function pour(response: ServerResponse, piece: string | Buffer): void {
  const write = () => {
    while (!response.destroyed && response.write(piece)) {}
  }
  response.on("drain", write)
  write()
}

function dribble(response: ServerResponse, piece: string): void {
  const timer = setInterval(() => response.write(piece), 20)
  response.once("close", () => clearInterval(timer))
}

const html = Buffer.from("<html><body><h1>It works!</h1></body></html>")
const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
const hex = (number: number) => number.toString(16).padStart(64, "0")
/** The position that a listing asks to go on from. */
const positionOf = ({ after }: Asked) => Number.parseInt(/[0-9a-f]{64}/.exec(after)?.[0] ?? "0", 16) || 0

/** Each with a sentence's end: a bucket that ... */
export const badServices: Readonly<Record<string, BadService>> = {
  "never answers": () => undefined,
  "answers without end": (response) => pour(response.writeHead(200), Buffer.alloc(65_536, 32)),
  "announces far too much": (response) => void response.writeHead(200, { "content-length": 2 ** 50 }).write("x"),
  "answers a byte at a time": (response) => dribble(response.writeHead(200, { "content-length": 100_000 }), "<"),
  "sends a huge header": (response) => void response.writeHead(200, { "x-amz-huge": "x".repeat(1024 * 1024) }).end(),
  "resets the connection midway": (response, honest) => {
    response.writeHead(200, { "content-length": honest.body.length + 1 }).write(honest.body, () => {
      response.socket?.resetAndDestroy()
    })
  },
  "announces more than it sends": (response, honest) => {
    response.writeHead(200, { "content-length": honest.body.length + 1 })
    response.write(honest.body, () => response.socket?.end())
  },
  "cuts what it sends": (response, honest) =>
    send(response, { ...honest, body: honest.body.subarray(0, honest.body.length >> 1) }),
  "answers with a web page": (response, honest) => send(response, { ...honest, status: 200, body: html }),
  "fails with a web page": (response) => send(response, { status: 503, headers: {}, body: html }),
  "compresses a bomb": (response) =>
    send(response, { status: 200, headers: { "content-encoding": "gzip" }, body: bomb }),
  "sends elsewhere": (response) =>
    send(response, { status: 307, headers: { location: "http://127.0.0.1:1/bucket/" }, body: html }),
  "names another region": (response) => {
    const error = xml("<Error><Code>PermanentRedirect</Code><Endpoint>127.0.0.1:1</Endpoint></Error>", 301)
    send(response, { ...error, headers: { ...error.headers, "x-amz-bucket-region": "us-evil-1" } })
  },
  "answers everything with an error and status 200": (response) =>
    send(response, xml("<Error><Code>InternalError</Code><Message>so it goes</Message></Error>")),
  "sends document types without end": (response) => send(response, xml("<!DOCTYPE a>".repeat(500_000))),
  "sends entities that grow": (response) => {
    const entities = Array.from({ length: 30 }, (_, i) => `<!ENTITY e${i + 1} "&e${i};&e${i};">`)
    send(response, xml(`<!DOCTYPE a [<!ENTITY e0 "xx">${entities.join("")}]><a>&e30;</a>`))
  },
  "nests without end": (response) => send(response, xml("<a>".repeat(500_000))),
  "sends many small fields": (response) => send(response, xml(`<a>${"<b/>".repeat(1_000_000)}</a>`)),
  "sends what is no XML": (response, honest) => send(response, { ...honest, body: Buffer.from("]]>&&&<<<") }),
  "says success to everything": (response, { headers }) =>
    send(response, { status: 200, headers, body: Buffer.alloc(0) }),
  "lists one page for ever": (response, honest, { isList }) =>
    send(response, isList ? page([`shares/${hex(1)}.000`], true) : honest),
  "lists shares without end": (response, honest, asked) => {
    const from = positionOf(asked)
    const next = Array.from({ length: 1000 }, (_, i) => `shares/${hex(from + i + 1)}.000`)
    send(response, asked.isList && asked.key === "shares/" ? page(next, true) : honest)
  },
  "lists other things without end": (response, honest, asked) => {
    const next = Array.from({ length: 1000 }, (_, i) => `${asked.key}${hex(positionOf(asked) + i + 1)}/not-ours`)
    send(response, asked.isList ? page(next, true) : honest)
  },
  "lists what was not asked for": (response, honest, { isList }) =>
    send(response, isList ? page(["elsewhere/x", "../../etc/passwd", ""]) : honest),
  "lists out of order": (response, honest, { isList, key }) =>
    send(response, isList ? page([`${key}b`, `${key}a`]) : honest),
  "lists broken numbers": (response, honest, { isList, key }) => {
    const { body } = page([`${key}${hex(1)}.000`])
    const text = body.toString().replace(">100<", ">-1e999<").replace("2024-01-01T00:00:00.000Z", "yesterday")
    send(response, isList ? xml(text) : honest)
  },
  "lists nothing": (response, honest, { isList }) => send(response, isList ? page([]) : honest),
  "gives another object": (response, honest, { method, key, isList }, objects) => {
    const other = [...objects].find(([name]) => name !== key)?.[1]
    send(response, method === "GET" && !isList && other ? { ...honest, status: 200, body: other } : honest)
  },
  "alters objects": (response, honest, { method, isList }) => {
    const body = Buffer.from(honest.body)
    if (method === "GET" && !isList && body.length > 0) body[body.length - 1]! ^= 1
    send(response, { ...honest, body })
  },
  "gives objects of any size": (response, honest, { method, isList }) =>
    send(response, method === "GET" && !isList ? { ...honest, body: Buffer.alloc(20 * 1024 * 1024) } : honest),
  "lies about what it took": (response, honest) => {
    send(response, { ...honest, headers: { ...honest.headers, etag: '"00000000000000000000000000000000"' } })
  },
  "says that all is there already": (response, honest, { method }) =>
    send(response, method === "PUT" ? xml("<Error><Code>PreconditionFailed</Code></Error>", 412) : honest),
  "takes everything and forgets it": (response, _honest, { method, isList }) => {
    if (method === "GET" && !isList) send(response, xml("<Error><Code>NoSuchKey</Code></Error>", 404))
    else send(response, isList ? page([]) : { status: 200, headers: { etag: '"e"' }, body: Buffer.alloc(0) })
  },
  "refuses our keys": (response) => send(response, xml("<Error><Code>InvalidAccessKeyId</Code></Error>", 403)),
  "has no such bucket": (response) => send(response, xml("<Error><Code>NoSuchBucket</Code></Error>", 404)),
}
