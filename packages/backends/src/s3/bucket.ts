/**
 * What a backend asks of a bucket: a few object operations with bounds, deadlines and errors of ours. The S3 client
 * signs, keeps connections open and retries with jitter; here is what it leaves open.
 */
import { Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"
import type { Readable } from "node:stream"
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from "@aws-sdk/client-s3"
import { discard, HoldfastError, Semaphore } from "@holdfast/core"
import { NodeHttpHandler } from "@smithy/node-http-handler"
import { dateOf, guardAnswers, readDates } from "./answers.ts"
import { credentialsFor } from "./credentials.ts"
import { isMissing, isOutOfRange, isPreconditionFailed, s3Error } from "./failure.ts"
import { nameOfBucket, type S3Location } from "./location.ts"
import { proxyOf } from "./proxy.ts"

/** A line of a listing, in order of keys. Keys are without the location's prefix. */
export interface ObjectInfo {
  readonly key: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

/** How a bucket is used. */
export interface BucketOptions {
  /** Gives arrays for what is read; new ones when absent. */
  readonly allocate?: (sizeBytes: number) => Uint8Array
  /** Tries of each request before it fails; 3 by default. */
  readonly attempts?: number
  /** A connection that stays silent for so long is given up; 15 s by default. */
  readonly idleMs?: number
  /** A request may take so long, and a millisecond more for each 16 bytes; 30 s by default. */
  readonly deadlineMs?: number
  /** Names a proxy, perhaps; that of the process by default. */
  readonly env?: NodeJS.ProcessEnv
}

/** Options of one request. */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
}

/** Objects in the order of their keys. */
export interface Listing {
  readonly infos: ObjectInfo[]
  /** When the bucket answered, by its own clock: the first page, if there were several. */
  readonly atMs: number
}

/** An open bucket. All times are the bucket's own. */
export interface Bucket {
  /** What it is called in messages. */
  readonly name: string
  /** Stores an object; with `ifAbsent` only where there is none, atomically on services that know conditional writes. */
  put(
    key: string,
    bytes: Uint8Array,
    options?: RequestOptions & { readonly ifAbsent?: boolean },
  ): Promise<{ readonly stored: boolean; readonly atMs: number }>
  /** The bytes of an object of at most `maxBytes`; undefined when there is none. Throws ERR_LIMIT. */
  get(
    key: string,
    maxBytes: number,
    options?: RequestOptions,
  ): Promise<{ readonly bytes: Uint8Array; readonly atMs: number } | undefined>
  /** Some bytes of an object, fewer where it ends; undefined when there is none, or nothing at that place. */
  getPart(
    key: string,
    offset: number,
    length: number,
    options?: RequestOptions,
  ): Promise<{ readonly bytes: Uint8Array; readonly atMs: number } | undefined>
  /** Objects whose keys begin with `prefix`, after the key `after`, at most `limit`. */
  list(
    prefix: string,
    options: RequestOptions & { readonly after?: string | undefined; readonly limit: number },
  ): Promise<Listing>
  /** Removes an object; one that is not there is no error. */
  remove(key: string, options?: RequestOptions): Promise<void>
  /** Gives up what is under way. */
  close(): void
}

const parallelRequests = 16
/** Slow lines are served, dribbling servers not. */
const leastBytesPerMs = 16
const pageLength = 1000

/** Opens the bucket at `location`; the first request tells whether it is there. */
export function openBucket(location: S3Location, options: BucketOptions = {}): Bucket {
  const name = nameOfBucket(location)
  const client = new S3Client(clientConfig(location, options))
  markUnsigned(client)
  guardAnswers(client, name)
  readDates(client)
  const { deadlineMs = 30_000 } = options
  const places = new Semaphore(parallelRequests)
  const closing = new AbortController()
  const Bucket = location.bucket
  const at = (key: string) => `${location.prefix}${key}`
  const allocate = options.allocate ?? ((sizeBytes: number) => new Uint8Array(sizeBytes))

  /** Runs one request with a place, a deadline and errors of ours. */
  const request = <T>(sizeBytes: number, { signal }: RequestOptions, send: (abortSignal: AbortSignal) => Promise<T>) =>
    places.run(async () => {
      if (signal?.aborted) throw cancelled(signal)
      const late = AbortSignal.timeout(deadlineMs + Math.ceil(sizeBytes / leastBytesPerMs))
      const abortSignal = AbortSignal.any([late, closing.signal, ...(signal ? [signal] : [])])
      try {
        return await send(abortSignal)
      } catch (error) {
        if (error instanceof HoldfastError) throw error
        if (signal?.aborted) throw cancelled(signal)
        throw s3Error(name, late.aborted ? late.reason : error)
      }
    })

  return {
    name,
    put: (key, bytes, { ifAbsent = false, ...rest } = {}) =>
      request(bytes.length, rest, async (abortSignal) => {
        const condition = ifAbsent ? { IfNoneMatch: "*" } : {}
        const command = new PutObjectCommand({ Bucket, Key: at(key), Body: bytes, ...condition })
        try {
          return { stored: true, atMs: dateOf(await client.send(command, { abortSignal }), name) }
        } catch (error) {
          if (ifAbsent && isPreconditionFailed(error)) return { stored: false, atMs: 0 }
          throw error
        }
      }),
    get: (key, maxBytes, rest = {}) =>
      request(maxBytes, rest, async (abortSignal) => {
        try {
          const answer = await client.send(new GetObjectCommand({ Bucket, Key: at(key) }), { abortSignal })
          const reading = { name, key, maxBytes, allocate }
          const bytes = await readBody(answer.Body as NodeJS.ReadableStream, reading, answer.ContentLength)
          return { bytes, atMs: dateOf(answer, name) }
        } catch (error) {
          if (isMissing(error)) return undefined
          throw error
        }
      }),
    getPart: (key, offset, length, rest = {}) =>
      request(length, rest, async (abortSignal) => {
        try {
          const Range = `bytes=${offset}-${offset + length - 1}`
          const answer = await client.send(new GetObjectCommand({ Bucket, Key: at(key), Range }), { abortSignal })
          // A service that knows no ranges sends the whole, which then is more than asked for.
          const reading = { name, key, maxBytes: length, allocate }
          const bytes = await readBody(answer.Body as NodeJS.ReadableStream, reading, answer.ContentLength)
          return { bytes, atMs: dateOf(answer, name) }
        } catch (error) {
          if (isMissing(error) || isOutOfRange(error)) return undefined
          throw error
        }
      }),
    async list(prefix, { after, limit, ...rest }) {
      const found: ObjectInfo[] = []
      let last = after
      let atMs = 0
      while (found.length < limit) {
        const MaxKeys = Math.min(pageLength, limit - found.length)
        const StartAfter = last === undefined ? undefined : at(last)
        const page = await request(0, rest, (abortSignal) =>
          client.send(new ListObjectsV2Command({ Bucket, Prefix: at(prefix), StartAfter, MaxKeys }), { abortSignal }),
        )
        atMs ||= dateOf(page, name)
        const infos = (page.Contents ?? []).map(({ Key = "", Size = 0, LastModified }) => ({
          key: Key.slice(location.prefix.length),
          sizeBytes: Size,
          modifiedMs: LastModified?.getTime() ?? 0,
        }))
        for (const { key } of infos) {
          if (!key.startsWith(prefix) || (last !== undefined && key <= last)) throw malformed(name)
          last = key
        }
        found.push(...infos)
        if (infos.length === 0 || !page.IsTruncated) break
      }
      return { infos: found.slice(0, limit), atMs }
    },
    async remove(key, rest = {}) {
      await request(0, rest, (abortSignal) =>
        client.send(new DeleteObjectCommand({ Bucket, Key: at(key) }), { abortSignal }),
      )
    },
    close(): void {
      closing.abort()
      client.destroy()
    },
  }
}

function clientConfig(
  location: S3Location,
  { attempts = 3, idleMs = 15_000, env = process.env }: BucketOptions,
): S3ClientConfig {
  const agentOptions = { keepAlive: true, maxSockets: parallelRequests, ...proxyOf(env) }
  return {
    region: location.region,
    ...(location.endpoint !== undefined && { endpoint: location.endpoint }),
    forcePathStyle: location.pathStyle,
    credentials: credentialsFor(location),
    maxAttempts: attempts,
    retryMode: "standard",
    // Every share and register is verified by what it is; a second checksum only costs.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    // Elsewhere than at AWS a region is only a word, and nobody may send us to another host.
    followRegionRedirects: location.endpoint === undefined,
    requestHandler: new NodeHttpHandler({
      httpAgent: new HttpAgent(agentOptions),
      httpsAgent: new HttpsAgent(agentOptions),
      connectionTimeout: 5000,
      socketTimeout: idleMs,
    }),
  }
}

/** Bodies are not hashed again for the request's signature: what is stored is verified by what it is. */
function markUnsigned(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { method?: string; headers?: Record<string, string> }
      if (request.method === "PUT" && request.headers) request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
      return next(args)
    },
    { step: "build", name: "unsignedPayload" },
  )
}

interface Reading {
  readonly name: string
  readonly key: string
  readonly maxBytes: number
  readonly allocate: (sizeBytes: number) => Uint8Array
}

/** Reads the body into one array; events, since an async iterator costs more than the bytes. */
function readBody(body: NodeJS.ReadableStream, reading: Reading, announced: number | undefined): Promise<Uint8Array> {
  const { name, key, maxBytes, allocate } = reading
  const stream = body as Readable
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      stream.destroy()
      reject(error)
    }
    const tooLarge = () =>
      fail(new HoldfastError("ERR_LIMIT", `Bucket ${name} gave more than ${maxBytes} bytes for ${key}.`))
    if (announced === undefined || announced > maxBytes) return tooLarge()
    const bytes = allocate(announced)
    let length = 0
    stream.on("data", (piece: Uint8Array) => {
      if (length + piece.length > announced) return tooLarge()
      bytes.set(piece, length)
      length += piece.length
      discard(piece)
    })
    stream.once("error", reject)
    stream.once("close", () => reject(Object.assign(new Error("the answer was cut short"), { code: "ECONNRESET" })))
    stream.once("end", () => {
      if (length === announced) return resolve(bytes.subarray(0, announced))
      fail(new HoldfastError("ERR_BAD_FORMAT", `Bucket ${name} gave ${length} of the ${announced} bytes of ${key}.`))
    })
  })
}

function malformed(name: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `Bucket ${name} gave a list that is out of order or not what was asked.`)
}

function cancelled(signal: AbortSignal): HoldfastError {
  return new HoldfastError("ERR_ABORTED", "The request was cancelled.", {}, { cause: signal.reason })
}
