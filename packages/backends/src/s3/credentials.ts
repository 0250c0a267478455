/** Keys to a bucket: from a named file that only its owner may read, a profile of AWS's files, or AWS's variables. */
import { fromEnv, fromIni } from "@aws-sdk/credential-providers"
import { HoldfastError } from "@holdfast/core"
import { refuseExposed } from "@holdfast/core/node"
import type { S3Location } from "./location.ts"

/** What the S3 client asks for keys. */
export type CredentialSource = () => Promise<{ accessKeyId: string; secretAccessKey: string; sessionToken?: string }>

/**
 * The keys for `location`: its credentials file, else its profile, else the variables AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY, else the default profile. Throws ERR_CREDENTIALS, ERR_EXPOSED when asked.
 */
export function credentialsFor({ bucket, credentials, profile }: S3Location): CredentialSource {
  return async () => {
    try {
      if (credentials !== undefined) {
        await refuseExposed([credentials])
        return await fromIni({ filepath: credentials, configFilepath: credentials, profile: profile ?? "default" })()
      }
      if (profile !== undefined) return await fromIni({ profile })()
      return await fromEnv()().catch(() => fromIni({ profile: "default" })())
    } catch (cause) {
      if (cause instanceof HoldfastError) throw cause
      const place =
        credentials !== undefined
          ? `${credentials} has no usable keys${profile ? ` under [${profile}]` : " under [default]"}`
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
