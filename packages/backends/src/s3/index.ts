/** A bucket of any S3-compatible service as a backend. Specification of what lies in it: docs/formats/bucket.md. */
import { type BucketOptions, openBucket } from "./bucket.ts"
import type { S3Location } from "./location.ts"
import { type BucketBackend, createObjectBackend, type ObjectOptions } from "./objects.ts"

export { openBucketAccounts } from "./accounts.ts"
export { type Bucket, openBucket } from "./bucket.ts"
export { type CredentialSource, credentialsFor } from "./credentials.ts"
export { nameOfBucket, parseS3Location, type S3Location } from "./location.ts"
export { encodeMarker, type Marker, markerKey, newMarker, readMarker } from "./marker.ts"
export type { BucketBackend } from "./objects.ts"
export { type Capabilities, probeBucket, probeWriting } from "./probe.ts"
export { type UpgradeProgress, upgradeBucket } from "./upgrade.ts"

/** How a bucket serves as a backend. */
export interface S3Options extends BucketOptions, ObjectOptions {
  readonly location: S3Location
}

/** Opens a bucket as a backend; the first call tells whether it can be reached. */
export function createS3Backend(options: S3Options): BucketBackend {
  return createObjectBackend(openBucket(options.location, options), options)
}
