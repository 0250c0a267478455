/** What a bucket's answers mean: errors of ours from those of the S3 client. */
import { type ErrorCode, excerpt, HoldfastError } from "@holdfast/core"

interface ServiceFailure {
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
  /** Where AuthorizationHeaderMalformed says the bucket is. */
  readonly Region?: string
  /** Where PermanentRedirect sends to. */
  readonly Endpoint?: string
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
}

/** There is no such object. A bucket that is not there is another matter. */
export function isMissing(error: unknown): boolean {
  const { name } = error as ServiceFailure
  return name === "NoSuchKey" || (name === "NotFound" && statusOf(error) === 404)
}

/** A part was asked for that begins after an object's end. */
export function isOutOfRange(error: unknown): boolean {
  return statusOf(error) === 416
}

/** A conditional write found an object. */
export function isPreconditionFailed(error: unknown): boolean {
  return statusOf(error) === 412 || (error as ServiceFailure).name === "ConditionalRequestConflict"
}

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
  const said = printable((error as ServiceFailure).name ?? "")
  const details = { server: name, status, code: (error as ServiceFailure).code ?? said }
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
  if (status === 429 || (status >= 500 && status !== 501))
    return fail("ERR_SERVER_UNREACHABLE", `it answered with status ${status} (${said || "no reason given"}).`)
  return fail("ERR_REMOTE", `it answered with status ${status} (${said || "no reason given"}).`)
}

/** What to write instead, when the service says that the bucket is in another region, or under another address. */
function elsewhereOf(error: unknown): string | undefined {
  const { name, Region, Endpoint, $response } = error as ServiceFailure
  const isMoved = (status?: number) => status === 301 || status === 307
  if (name !== "AuthorizationHeaderMalformed" && !isMoved(statusOf(error))) return undefined
  const region = Region ?? $response?.headers?.["x-amz-bucket-region"]
  if (typeof region === "string" && /^[a-z0-9-]{1,40}$/.test(region))
    return `it is in region ${region}. Say so in its address: region=${region}`
  if (typeof Endpoint === "string" && /^[A-Za-z0-9.-]{1,200}$/.test(Endpoint))
    return `it is at ${Endpoint}. Say so in its address: endpoint=https://${Endpoint}`
  return "it is in another region, and does not say in which. Say so in its address: region=NAME"
}

function unreachable(error: unknown): string {
  const { name, code } = error as ServiceFailure
  if (name === "TimeoutError" || name === "AbortError") return "it did not answer in time."
  return `it cannot be reached (${printable(code ?? name ?? "no reason given")}).`
}

function statusOf(error: unknown): number | undefined {
  const status = (error as ServiceFailure).$metadata?.httpStatusCode
  return status === undefined || status === 0 ? undefined : status
}

/** What a server says may go to a terminal. */
function printable(text: string): string {
  return excerpt(text, 100).replace(/[^\x20-\x7e]/g, "?")
}
