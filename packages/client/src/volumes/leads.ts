/**
 * Where descriptions that somebody else wrote really lead. The id of a place is a name that its writer chose; this goes by what is
 * connected to.
 */
import type { VolumeBackend } from "@holdfast/protocol"
import type { Profile } from "../profile/profile.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

/** Scheme, host and port that a bucket's requests go to. */
export function originOf({ endpoint, region }: Bucket): string {
  // Regions in China are another partition of AWS, with names of its own.
  if (endpoint === undefined) return `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`
  return URL.parse(endpoint)?.origin ?? endpoint
}

/** What a place is, and what it leads to, for people. */
export function describeLead(place: VolumeBackend): string {
  if (place.kind === "directory") return `directory ${place.path}`
  if (place.kind === "node") return `node ${place.name} (${place.id}) of the grid`
  return `bucket ${place.bucket} at ${originOf(place)}, with ${keysOf(place)}`
}

/** All places of a profile's volumes. */
export function placesOf(profile: Pick<Profile, "volumes">): VolumeBackend[] {
  return [...profile.volumes.values()].flatMap(({ backends }) => backends)
}

/** Which keys of the user a bucket is opened with, for people. */
export function keysOf({ credentials, profile }: Bucket): string {
  if (credentials !== undefined)
    return `the keys in ${credentials}${profile === undefined ? "" : ` under [${profile}]`}`
  return profile === undefined ? "the keys of your AWS configuration" : `the keys of the AWS profile ${profile}`
}
