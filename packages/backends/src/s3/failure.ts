/** What a bucket's answers mean: errors of ours. */
import { type ErrorCode, excerpt, HoldfastError } from "@holdfast/core"

/** What a service said that is no success. */
export class S3Failure extends Error {
  /** Status of the answer. */
  readonly status: number
  /** The error's code, as NoSuchKey; empty when the service gave none. */
  readonly said: string
  /** Where the bucket is, when the answer says so. */
  readonly region: string | undefined
  /** Where to ask instead, when the answer says so. */
  readonly endpoint: string | undefined
  /** When it answered, by its own clock; NaN when it does not say. */
  readonly dateMs: number

  constructor(
    status: number,
    said: string,
    more: {
      readonly region?: string | undefined
      readonly endpoint?: string | undefined
      readonly dateMs?: number
    } = {},
  ) {
    super(`S3 answered with status ${status}`)
    this.status = status
    this.said = said
    this.region = more.region
    this.endpoint = more.endpoint
    this.dateMs = more.dateMs ?? Number.NaN
  }
}

/** There is no such object. A bucket that is not there is another matter. */
export function isMissing(error: unknown): boolean {
  const said = saidIn(error)
  return said === "NoSuchKey" || (said === "NotFound" && statusOf(error) === 404)
}

/** A part was asked for that begins after an object's end. */
export function isOutOfRange(error: unknown): boolean {
  return statusOf(error) === 416
}

/** A conditional write found an object. */
export function isPreconditionFailed(error: unknown): boolean {
  return statusOf(error) === 412
}

/** Something else was being done with the object at that time: whether there is one then, the service does not say. */
export function isConflict(error: unknown): boolean {
  return conflictCodes.has(saidIn(error))
}

const conflictCodes = new Set(["ConditionalRequestConflict", "OperationAborted"])

/** The service refuses conditional writes as such. */
export function isUnsupported(error: unknown): boolean {
  const { status } = error instanceof HoldfastError ? (error.details as { status?: number }) : {}
  return (status ?? statusOf(error)) === 501
}

/** The account's or the bucket's allowance is used up; of the service itself nothing is said. */
const quotaCodes = new Set(["QuotaExceeded", "QuotaExceededException", "XMinioAdminBucketQuotaExceeded"])
const fullCodes = new Set(["InsufficientCapacity", "InsufficientStorage", "XMinioStorageFull", "StorageFull"])

/** The error of ours for what a request to the bucket `name` failed with. */
export function s3Error(name: string, error: unknown): HoldfastError {
  const status = statusOf(error)
  const said = printable(saidIn(error))
  const details = { server: name, status, code: (error as NodeJS.ErrnoException).code ?? said }
  const fail = (code: ErrorCode, why: string) =>
    new HoldfastError(code, `Bucket ${name}: ${why}`, details, { cause: error })
  if (status === undefined) return fail("ERR_SERVER_UNREACHABLE", unreachable(error))
  if (status < 300) return fail("ERR_BAD_FORMAT", "its answer is not one that S3 gives.")
  const elsewhere = elsewhereOf(error)
  if (elsewhere) return fail("ERR_REMOTE", elsewhere)
  if (said === "NoSuchBucket") return fail("ERR_REMOTE", "there is no such bucket. Make it with your provider's tools.")
  // Before the status: Ceph and others answer 403 to who has used up a quota.
  if (quotaCodes.has(said)) return fail("ERR_QUOTA_EXCEEDED", `its quota is used up (${said}).`)
  if (status === 507 || fullCodes.has(said)) return fail("ERR_SERVER_FULL", "it is full, or its quota is used up.")
  if (status === 401 || status === 403)
    return fail("ERR_REFUSED", `it refused our keys (${said || status}). Check them, and what they are allowed to do.`)
  if (status === 429 || (status >= 500 && status !== 501) || isConflict(error))
    return fail("ERR_SERVER_UNREACHABLE", `it answered with status ${status} (${said || "no reason given"}).`)
  return fail("ERR_REMOTE", `it answered with status ${status} (${said || "no reason given"}).`)
}

/** What to write instead, when the service says that the bucket is in another region, or under another address. */
function elsewhereOf(error: unknown): string | undefined {
  if (!(error instanceof S3Failure)) return undefined
  const { status, said, region, endpoint } = error
  if (said !== "AuthorizationHeaderMalformed" && status !== 301 && status !== 307) return undefined
  if (region !== undefined) return `it is in region ${region}. Say so in its address: region=${region}`
  if (endpoint !== undefined && /^[A-Za-z0-9.-]{1,200}$/.test(endpoint))
    return `it is at ${endpoint}. Say so in its address: endpoint=https://${endpoint}`
  return "it is in another region, and does not say in which. Say so in its address: region=NAME"
}

function unreachable(error: unknown): string {
  const { name, code } = error as NodeJS.ErrnoException
  if (name === "TimeoutError" || name === "AbortError") return "it did not answer in time."
  return `it cannot be reached (${printable(code ?? name ?? "no reason given")}).`
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3Failure ? error.status : undefined
}

/** The error's code, as the service says it. */
function saidIn(error: unknown): string {
  return error instanceof S3Failure ? error.said : ""
}

/** What a server says may go to a terminal. */
function printable(text: string): string {
  return excerpt(text, 100).replace(/[^\x20-\x7e]/g, "?")
}
