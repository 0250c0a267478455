/**
 * What a backend asks of a bucket: a few object operations with bounds, deadlines and errors of ours. The S3 client
 * signs, keeps connections open and tries again; here is what it leaves open.
 */
import type { IncomingMessage } from "node:http"
import { discard, HoldfastError, Semaphore } from "@holdfast/core"
import { createS3Client, type S3Request } from "./client.ts"
import { isMissing, isOutOfRange, isPreconditionFailed, S3Failure, s3Error } from "./failure.ts"
import { nameOfBucket, type S3Location } from "./location.ts"
import { type Element, readXml, textIn } from "./xml.ts"

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
  const { attempts = 3, idleMs = 15_000, deadlineMs = 30_000, env = process.env } = options
  const name = nameOfBucket(location)
  const client = createS3Client(location, { attempts, idleMs, connections: parallelRequests, env })
  const places = new Semaphore(parallelRequests)
  const closing = new AbortController()
  const at = (key: string) => `${location.prefix}${key}`
  const allocate = options.allocate ?? ((sizeBytes: number) => new Uint8Array(sizeBytes))

  /** Runs one request with a place, a deadline and errors of ours; `read` takes the answer, all of it. */
  const request = <T>(
    asked: S3Request,
    { sizeBytes, signal }: RequestOptions & { readonly sizeBytes: number },
    read: (answer: IncomingMessage) => Promise<T>,
  ) =>
    places.run(async () => {
      if (signal?.aborted) throw cancelled(signal)
      const late = AbortSignal.timeout(deadlineMs + Math.ceil(sizeBytes / leastBytesPerMs))
      try {
        return await read(
          await client.send(asked, AbortSignal.any([late, closing.signal, ...(signal ? [signal] : [])])),
        )
      } catch (error) {
        if (error instanceof HoldfastError) throw error
        if (signal?.aborted) throw cancelled(signal)
        throw s3Error(name, late.aborted ? late.reason : error)
      }
    })

  /** Reads an object, or the part that `headers` ask for; undefined when there is none. */
  const read = async (key: string, maxBytes: number, headers: Record<string, string>, rest: RequestOptions) => {
    try {
      return await request(
        { method: "GET", key: at(key), headers },
        { ...rest, sizeBytes: maxBytes },
        async (answer) => ({
          bytes: await readBody(answer, { name, key, maxBytes, allocate }),
          atMs: dateOf(answer, name),
        }),
      )
    } catch (error) {
      const { cause } = error as HoldfastError
      if (isMissing(cause) || (headers["range"] !== undefined && isOutOfRange(cause))) return undefined
      throw error
    }
  }

  return {
    name,
    async put(key, bytes, { ifAbsent = false, ...rest } = {}) {
      const headers = { "content-type": "application/octet-stream", ...(ifAbsent && { "if-none-match": "*" }) }
      try {
        const asked: S3Request = { method: "PUT", key: at(key), headers, body: bytes }
        return await request(asked, { ...rest, sizeBytes: bytes.length }, async (answer) => {
          await readNothing(answer, name)
          return { stored: true, atMs: dateOf(answer, name) }
        })
      } catch (error) {
        if (ifAbsent && isPreconditionFailed((error as HoldfastError).cause)) return { stored: false, atMs: 0 }
        throw error
      }
    },
    get: (key, maxBytes, rest = {}) => read(key, maxBytes, {}, rest),
    // A service that knows no ranges sends the whole, which then is more than asked for.
    getPart: (key, offset, length, rest = {}) =>
      read(key, length, { range: `bytes=${offset}-${offset + length - 1}` }, rest),
    async list(prefix, { after, limit, ...rest }) {
      const found: ObjectInfo[] = []
      let last = after
      let atMs = 0
      while (found.length < limit) {
        const query = {
          "list-type": "2",
          "max-keys": String(Math.min(pageLength, limit - found.length)),
          prefix: at(prefix),
          ...(last !== undefined && { "start-after": at(last) }),
        }
        const page = await request({ method: "GET", query }, { ...rest, sizeBytes: 0 }, async (answer) => ({
          ...pageIn(await readXml(answer, name), location.prefix),
          atMs: dateOf(answer, name),
        }))
        atMs ||= page.atMs
        for (const { key } of page.infos) {
          if (!key.startsWith(prefix) || (last !== undefined && key <= last)) throw malformed(name)
          last = key
        }
        found.push(...page.infos)
        if (page.infos.length === 0 || !page.isTruncated) break
      }
      return { infos: found.slice(0, limit), atMs }
    },
    async remove(key, rest = {}) {
      const asked: S3Request = { method: "DELETE", key: at(key) }
      await request(asked, { ...rest, sizeBytes: 0 }, (answer) => readNothing(answer, name))
    },
    close(): void {
      closing.abort()
      client.close()
    },
  }
}

/** Reads an answer in which nothing is asked for. Throws S3Failure for an error that comes with the status of a success. */
async function readNothing(answer: IncomingMessage, name: string): Promise<void> {
  const said = await readXml(answer, name)
  if (said?.name === "Error") throw new S3Failure(answer.statusCode!, textIn(said, "Code") ?? "")
}

/** A page of a listing. Throws S3Failure for what is none. */
function pageIn(
  root: Element | undefined,
  prefix: string,
): { readonly infos: ObjectInfo[]; readonly isTruncated: boolean } {
  if (root?.name !== "ListBucketResult") throw new S3Failure(200, "")
  const infos = root.children
    .filter(({ name }) => name === "Contents")
    .map((element) => {
      const [key, size, modified] = ["Key", "Size", "LastModified"].map((field) => textIn(element, field) ?? "")
      const [sizeBytes, modifiedMs] = [Number(size), Date.parse(modified!)]
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || Number.isNaN(modifiedMs)) throw new S3Failure(200, "")
      return { key: key!.slice(prefix.length), sizeBytes, modifiedMs }
    })
  return { infos, isTruncated: textIn(root, "IsTruncated") === "true" }
}

/** When the bucket answered, by the only clock by which anything here is called old. Throws ERR_BAD_FORMAT when it does not say. */
function dateOf({ headers }: IncomingMessage, name: string): number {
  const dateMs = Date.parse(headers.date ?? "")
  if (Number.isSafeInteger(dateMs) && dateMs > 0) return dateMs
  throw new HoldfastError("ERR_BAD_FORMAT", `Bucket ${name} does not say when it answers (no Date), as S3 always does.`)
}

interface Reading {
  readonly name: string
  readonly key: string
  readonly maxBytes: number
  readonly allocate: (sizeBytes: number) => Uint8Array
}

/** Reads the body into one array; events, since an async iterator costs more than the bytes. */
function readBody(stream: IncomingMessage, { name, key, maxBytes, allocate }: Reading): Promise<Uint8Array> {
  const announced = Number(stream.headers["content-length"] ?? Number.NaN)
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      stream.destroy()
      reject(error)
    }
    const tooLarge = () =>
      fail(new HoldfastError("ERR_LIMIT", `Bucket ${name} gave more than ${maxBytes} bytes for ${key}.`))
    if (!(announced <= maxBytes)) return tooLarge()
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
