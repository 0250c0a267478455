/** Keys of buckets in a recovery kit, and back as files of the restored profile. */
import { createHash } from "node:crypto"
import { dirname, join } from "node:path"
import { isHoldfastError } from "@holdfast/core"
import { makePrivateFolder, writeSecretFile } from "@holdfast/core/node"
import type { BucketKeys, RecoverySecrets, VolumeBackend, VolumeDescription } from "@holdfast/protocol"

/** Keys of the buckets of `volumes` by place, and the places whose keys cannot go into a kit, with the reason. */
export interface CollectedKeys {
  readonly keys: ReadonlyMap<string, BucketKeys>
  readonly missing: readonly { readonly place: string; readonly why: string }[]
}

/** Reads the keys of every bucket. */
export async function collectBucketKeys(volumes: Iterable<VolumeDescription>): Promise<CollectedKeys> {
  const { credentialsFor } = await import("@holdfast/backends/s3")
  const keys = new Map<string, BucketKeys>()
  const missing: { place: string; why: string }[] = []
  for (const place of [...volumes].flatMap(({ backends }) => backends)) {
    if (place.kind !== "s3" || keys.has(place.id)) continue
    try {
      const { accessKeyId, secretAccessKey, sessionToken } = await credentialsFor(place)()
      if (sessionToken === undefined) keys.set(place.id, { accessKeyId, secretAccessKey })
      else missing.push({ place: place.id, why: "its keys are temporary" })
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      missing.push({ place: place.id, why: error.message })
    }
  }
  return { keys, missing }
}

/**
 * The secrets with each bucket, but those of `named`, looking for its keys in a file of the profile's folder; and the files
 * to write there.
 */
export function placeBucketKeys(
  secrets: RecoverySecrets,
  { dir, named }: { readonly dir: string; readonly named: readonly VolumeBackend[] },
): { readonly secrets: RecoverySecrets; readonly files: ReadonlyMap<string, BucketKeys> } {
  const files = new Map<string, BucketKeys>()
  const place = (backend: VolumeBackend): VolumeBackend => {
    const keys = secrets.bucketKeys.get(backend.id)
    const isNamed = named.some((one) => one.kind === "s3" && backend.kind === "s3" && sameBucket(one, backend))
    if (backend.kind !== "s3" || !keys || isNamed) return backend
    const path = join(dir, "bucket-keys", createHash("sha256").update(backend.id).digest("hex").slice(0, 16))
    files.set(path, keys)
    const { profile: _, ...rest } = backend
    return { ...rest, credentials: path }
  }
  const volumes = secrets.volumes.map((volume) => ({ ...volume, backends: volume.backends.map(place) }))
  return { secrets: { ...secrets, volumes }, files }
}

/** Writes the files, readable by their owner only. */
export async function writeBucketKeys(files: ReadonlyMap<string, BucketKeys>): Promise<void> {
  for (const [path, { accessKeyId, secretAccessKey }] of files) {
    makePrivateFolder(dirname(path))
    const lines = [`[default]`, `aws_access_key_id = ${accessKeyId}`, `aws_secret_access_key = ${secretAccessKey}`, ""]
    await writeSecretFile(path, lines.join("\n"))
  }
}

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

function sameBucket(a: Bucket, b: Bucket): boolean {
  return a.bucket === b.bucket && a.prefix === b.prefix && a.endpoint === b.endpoint
}
