/**
 * Requests to an S3 service: signed (Signature Version 4), sent again with jitter where that may help, answers bounded. What S3 says is
 * in Amazon's API reference, "Authenticating Requests (AWS Signature Version 4)" and "Error Responses".
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http"
import { Agent as HttpsAgent, request as requestHttps } from "node:https"
import { setTimeout as sleep } from "node:timers/promises"
import aws4 from "aws4"
import { credentialsFor, type Keys } from "./credentials.ts"
import { isConflict, S3Failure } from "./failure.ts"
import { nameOfBucket, type S3Location } from "./location.ts"
import { proxyOf } from "./proxy.ts"
import { readXml, textIn } from "./xml.ts"

/** One request. */
export interface S3Request {
  readonly method: "GET" | "PUT" | "DELETE"
  /** With the location's prefix; the bucket itself when absent. */
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** How requests are made. */
export interface S3ClientOptions {
  /** Tries of each request. */
  readonly attempts: number
  /** A connection that stays silent for so long is given up. */
  readonly idleMs: number
  /** Connections at once. */
  readonly connections: number
  /** Names a proxy, perhaps. */
  readonly env: NodeJS.ProcessEnv
}

/** Sends requests to one bucket. */
export interface S3Client {
  /** The answer once its status says that all is well, its body unread. Throws S3Failure, ERR_LIMIT, ERR_BAD_FORMAT, ERR_CREDENTIALS. */
  send(request: S3Request, signal: AbortSignal): Promise<IncomingMessage>
  /** Closes connections that are idle. */
  close(): void
}

const connectMs = 5000
const [firstPauseMs, throttledPauseMs, mostPauseMs] = [100, 500, 20_000]
/** Keys that end are asked for anew so long before. */
const renewKeysMs = 5 * 60_000
const throttled = new Set([
  ..."BandwidthLimitExceeded PriorRequestNotComplete RequestLimitExceeded RequestThrottled SlowDown Throttling".split(
    " ",
  ),
  ..."ThrottlingException TooManyRequestsException".split(" "),
])
const skewed = new Set([
  "RequestTimeTooSkewed",
  "RequestExpired",
  "RequestInTheFuture",
  "SignatureDoesNotMatch",
  "AuthFailure",
])
/** A region becomes a part of a host's name, to which our signature goes. */
const regionPattern = /^[a-z0-9-]{1,40}$/
/** A clock that is so wrong is what a signature is refused for. */
const skewMs = 4 * 60_000

/** A client of the bucket at `location`; the first request tells whether it is there. */
export function createS3Client(location: S3Location, options: S3ClientOptions): S3Client {
  const name = nameOfBucket(location)
  const agentOptions = { keepAlive: true, maxSockets: options.connections, ...proxyOf(options.env) }
  const agents = { "http:": new HttpAgent(agentOptions), "https:": new HttpsAgent(agentOptions) }
  const keys = memoized(credentialsFor(location))
  let { region } = location
  let clockOffsetMs = 0

  /** One exchange. Throws S3Failure for what is no success. */
  const exchange = async (request: S3Request, offsetMs: number, signal: AbortSignal): Promise<IncomingMessage> => {
    const { accessKeyId, secretAccessKey, sessionToken } = await keys()
    const url = urlOf({ ...location, region }, request)
    const headers = {
      ...request.headers,
      host: url.host,
      "user-agent": "holdfast",
      // Bodies are not hashed for the signature: what is stored is verified by what it is.
      "x-amz-content-sha256": request.body ? "UNSIGNED-PAYLOAD" : emptyHash,
      "x-amz-date": new Date(Date.now() + offsetMs).toISOString().replace(/[:-]|\.\d{3}/g, ""),
      ...(request.method === "PUT" && { "content-length": String(request.body?.length ?? 0) }),
    }
    const signed = aws4.sign(
      { method: request.method, path: `${url.pathname}${url.search}`, service: "s3", region, headers, host: url.host },
      { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) },
    )
    const answer = await ask(url, { ...request, headers: signed.headers as Record<string, string> })
    if (answer.statusCode! >= 200 && answer.statusCode! < 300) return answer
    throw await failureIn(answer, name)

    function ask(target: URL, { method, headers, body }: S3Request): Promise<IncomingMessage> {
      const start = target.protocol === "https:" ? requestHttps : requestHttp
      const agent = agents[target.protocol as keyof typeof agents]
      return new Promise((resolve, reject) => {
        const sent = start(target, { method, headers, agent, signal })
        const late = () => sent.destroy(Object.assign(new Error("no answer in time"), { name: "TimeoutError" }))
        sent.setTimeout(options.idleMs, late)
        sent.once("socket", (socket) => {
          if (!socket.connecting) return
          const timer = setTimeout(late, connectMs)
          socket.once("connect", () => clearTimeout(timer)).once("close", () => clearTimeout(timer))
        })
        sent.on("error", reject) // more than one may come, such as when an answer is given up
        sent.once("response", (answer) => {
          answer.on("error", () => undefined) // whoever reads it hears of it
          // Before its reader goes on: what is still to be sent lies in memory that serves for something else from then on.
          answer.once("end", () => sent.writableFinished || sent.destroy())
          resolve(answer)
        })
        sent.end(body)
      })
    }
  }

  return {
    async send(request, signal) {
      let isMoved = false
      let isLate = false
      for (let attempt = 1; ; attempt++) {
        const usedMs = clockOffsetMs // others may learn of the service's clock meanwhile
        try {
          return await exchange(request, usedMs, signal)
        } catch (error) {
          if (signal.aborted) throw error
          const failure = error instanceof S3Failure ? error : undefined
          // Elsewhere than at AWS a region is only a word, and nobody may send us to another host.
          const moved = location.endpoint === undefined ? failure?.region : undefined
          if (moved !== undefined && moved !== region && !isMoved) {
            region = moved
            isMoved = true
            continue
          }
          const offsetMs = (failure?.dateMs ?? Number.NaN) - Date.now()
          if (failure && skewed.has(failure.said) && Math.abs(offsetMs - usedMs) > skewMs && !isLate) {
            clockOffsetMs = offsetMs
            isLate = true
            continue
          }
          if (attempt >= options.attempts || !isTransient(error)) throw error
          const firstMs = failure && isThrottled(failure) ? throttledPauseMs : firstPauseMs
          await sleep(Math.random() * Math.min(mostPauseMs, firstMs * 2 ** attempt), undefined, { signal })
        }
      }
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}

/** SHA-256 of nothing. */
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/** Where a request goes. A bucket whose name has dots is part of the path at AWS: no certificate is for its host's name. */
export function urlOf({ bucket, endpoint, region, pathStyle }: S3Location, { key, query }: S3Request): URL {
  const china = region.startsWith("cn-") ? ".cn" : ""
  const url = new URL(endpoint ?? `https://s3.${region}.amazonaws.com${china}`)
  const inPath = pathStyle || (url.protocol === "https:" && bucket.includes("."))
  if (!inPath) url.host = `${bucket}.${url.host}`
  const base = url.pathname.replace(/\/$/, "")
  const parts = [...(inPath ? [bucket] : []), ...(key === undefined ? [] : key.split("/"))]
  url.pathname = `${base}/${parts.map(encodeURIComponent).join("/")}`
  if (query) url.search = new URLSearchParams(query).toString().replaceAll("+", "%20")
  return url
}

/** What an answer that is no success says. Throws what reading it throws. */
async function failureIn(answer: IncomingMessage, name: string): Promise<S3Failure> {
  const said = await readXml(answer, name)
  const { statusCode: status = 0, headers } = answer
  const region = textIn(said, "Region") ?? headers["x-amz-bucket-region"]
  return new S3Failure(status, textIn(said, "Code") ?? (status === 404 ? "NotFound" : ""), {
    region: typeof region === "string" && regionPattern.test(region) ? region : undefined,
    endpoint: textIn(said, "Endpoint"),
    dateMs: Date.parse(headers.date ?? ""),
  })
}

function isThrottled({ status, said }: S3Failure): boolean {
  return status === 429 || throttled.has(said)
}

/** What may be another time. */
function isTransient(error: unknown): boolean {
  if (error instanceof S3Failure)
    return (
      isThrottled(error) ||
      isConflict(error) ||
      [500, 502, 503, 504].includes(error.status) ||
      error.said === "RequestTimeout"
    )
  const { name, code } = error as NodeJS.ErrnoException
  return (
    name === "TimeoutError" || ["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT", "EAI_AGAIN"].includes(code ?? "")
  )
}

/** Asks for keys once, and again when they end. */
function memoized(source: () => Promise<Keys>): () => Promise<Keys> {
  let held: Promise<Keys> | undefined
  let endsMs = Number.POSITIVE_INFINITY
  return () => {
    if (held && Date.now() < endsMs - renewKeysMs) return held
    const asked = source()
    held = asked
    endsMs = Number.POSITIVE_INFINITY
    asked.then(
      ({ expiration }) => {
        endsMs = expiration?.getTime() ?? Number.POSITIVE_INFINITY
      },
      () => {
        held = undefined
      },
    )
    return asked
  }
}
