/** Keys to a bucket: from a named file that only its owner may read, a profile of AWS's files, or AWS's variables. */
import { HoldfastError } from "@holdfast/core"
import { readSecretFile } from "@holdfast/core/node"
import type { S3Location } from "./location.ts"

/** What signs requests. */
export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  /** Until then they are good; for ever when absent. */
  readonly expiration?: Date | undefined
}

/** What the S3 client asks for keys. */
export type CredentialSource = () => Promise<Keys>

/**
 * The keys for `location`: its credentials file, else its profile, else the variables AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY, else the default profile. Throws ERR_CREDENTIALS, ERR_EXPOSED when asked.
 */
export function credentialsFor({ bucket, credentials, profile }: S3Location): CredentialSource {
  return async () => {
    try {
      if (credentials !== undefined) {
        const keys = keysIn(Buffer.from(readSecretFile(credentials)).toString("utf8"), profile ?? "default")
        if (keys) return keys
        throw new Error("no keys")
      }
      return (profile === undefined ? keysOfEnvironment() : undefined) ?? (await keysOfProfile(profile ?? "default"))
    } catch (cause) {
      if (cause instanceof HoldfastError) throw cause
      const place =
        credentials !== undefined
          ? `${credentials} has no usable keys under [${profile ?? "default"}]; programs and roles in it are not used, but with profile=NAME those of your AWS configuration are`
          : profile !== undefined
            ? `there is no usable profile "${profile}" in the AWS configuration`
            : "neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor a default profile is set"
      // The cause stays out: it may quote the file.
      throw new HoldfastError(
        "ERR_CREDENTIALS",
        `No keys for bucket ${bucket}: ${place}. A credentials file has the lines [default], aws_access_key_id = ... and aws_secret_access_key = ...`,
        { bucket },
      )
    }
  }
}

/** The keys in AWS's variables; undefined when they are not set. */
function keysOfEnvironment(): Keys | undefined {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) return undefined
  const keys = { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY }
  return { ...keys, ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }) }
}

/** The keys of a profile of AWS's files, which may come from a program or a service. */
async function keysOfProfile(profile: string): Promise<Keys> {
  const { fromIni } = await import("@aws-sdk/credential-providers") // large, and few need it
  return fromIni({ profile })()
}

/**
 * The keys under `[section]` of a file as AWS's tools write it, and nothing else of it: whoever sends a description of a volume may
 * send the file too, and what AWS's library does for other lines runs programs and sends files away.
 */
function keysIn(text: string, section: string) {
  const found = new Map<string, string>()
  let isAsked = false
  for (const line of text.replace(/^\ufeff/, "").split(/\r?\n/)) {
    const bare = line.replace(/(?:^|\s)[#;].*$/, "").trim()
    const header = /^\[\s*(?:profile\s+)?["']?(.*?)["']?\s*\]$/.exec(bare)
    if (header) isAsked = header[1] === section
    const at = bare.indexOf("=")
    if (!header && isAsked && at > 0) found.set(bare.slice(0, at).trim().toLowerCase(), bare.slice(at + 1).trim())
  }
  const accessKeyId = found.get("aws_access_key_id")
  const secretAccessKey = found.get("aws_secret_access_key")
  const sessionToken = found.get("aws_session_token")
  if (!accessKeyId || !secretAccessKey) return undefined
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
}
