/**
 * Where a bucket is, as people write it: s3://BUCKET/PREFIX?endpoint=URL&region=NAME&profile=NAME or &credentials=FILE.
 * A location never holds a key: it names where the key is.
 */
import { excerpt, HoldfastError } from "@holdfast/core"

/** A bucket, or the part of it under a prefix. */
export interface S3Location {
  readonly bucket: string
  /** Empty, or ends in a slash. */
  readonly prefix: string
  /** URL of the service; the region's own of Amazon when absent. */
  readonly endpoint?: string | undefined
  readonly region: string
  /** The bucket is the first part of the path, not of the host name. */
  readonly pathStyle: boolean
  /** Name of a profile in the credentials file. */
  readonly profile?: string | undefined
  /** A credentials file of its own, absolute; AWS's usual places when absent. */
  readonly credentials?: string | undefined
}

const parameters = new Set(["endpoint", "region", "style", "profile", "credentials"])
const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const prefixPattern = /^(?:[A-Za-z0-9._-]{1,128}\/){0,8}$/

/** Parses s3://... Throws ERR_INVALID_ARGUMENT; never repeats what may be a secret. */
export function parseS3Location(text: string): S3Location {
  const url = URL.parse(text)
  if (url?.protocol !== "s3:") throw invalid("it does not begin with s3://BUCKET")
  if (url.username !== "" || url.password !== "")
    throw invalid(
      "keys do not belong into it, where other users of the machine see them. Put them into a file and name that: credentials=FILE, or name a profile of your AWS configuration: profile=NAME",
    )
  for (const name of url.searchParams.keys())
    if (!parameters.has(name))
      throw invalid(`it has the unknown parameter "${excerpt(name, 32)}"; known are ${[...parameters].join(", ")}`)
  if (url.hash !== "") throw invalid("a # has no meaning in it")
  const value = (name: string) => url.searchParams.get(name) || undefined
  const endpoint = value("endpoint")
  const style = value("style") ?? (endpoint === undefined ? "host" : "path")
  if (style !== "path" && style !== "host") throw invalid("style is path or host")
  const trimmed = url.pathname.replace(/^\/+|\/+$/g, "")
  const [profile, credentials] = [value("profile"), value("credentials")]
  return checkS3Location({
    bucket: url.host,
    prefix: trimmed === "" ? "" : `${trimmed}/`,
    ...(endpoint !== undefined && { endpoint: normalEndpoint(endpoint) }),
    region: value("region") ?? "us-east-1",
    pathStyle: style === "path",
    ...(profile !== undefined && { profile }),
    ...(credentials !== undefined && { credentials }),
  })
}

/** The same location, when its parts have the right form. Throws ERR_INVALID_ARGUMENT. */
function checkS3Location(location: S3Location): S3Location {
  const { bucket, prefix, endpoint, region } = location
  if (!bucketPattern.test(bucket)) throw invalid(`"${excerpt(bucket, 64)}" cannot name a bucket`)
  if (!prefixPattern.test(prefix)) throw invalid("the prefix has letters, digits, dots and dashes, and at most 8 parts")
  if (endpoint !== undefined) normalEndpoint(endpoint)
  if (!/^[A-Za-z0-9-]{1,64}$/.test(region)) throw invalid("the region has letters, digits and dashes")
  return location
}

/** A short name of the bucket for messages and placement: bucket@host/prefix. */
export function nameOfBucket({ bucket, endpoint, region, prefix }: S3Location): string {
  const host = endpoint === undefined ? `s3.${region}.amazonaws.com` : new URL(endpoint).host
  return `${bucket}@${host}${prefix === "" ? "" : `/${prefix.slice(0, -1)}`}`
}

function normalEndpoint(text: string): string {
  const url = URL.parse(text)
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw invalid("the endpoint is a URL such as https://s3.example.org")
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw invalid("the endpoint has a host and perhaps a port and a path, nothing else")
  return url.href.replace(/\/$/, "")
}

function invalid(why: string): HoldfastError {
  return new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `This is no place of a bucket: ${why}. Example: s3://photos?endpoint=https://s3.example.org&profile=example`,
  )
}
