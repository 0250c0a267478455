/**
 * Where descriptions that somebody else wrote really lead, and the user's word before keys of buckets are used there. The id of a
 * place is a name that its writer chose; this goes by what is connected to.
 */
import type { VolumeBackend, VolumeDescription } from "@holdfast/protocol"
import { confirm } from "../confirm.ts"
import type { Context } from "../context.ts"
import type { Profile } from "../profile/profile.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

/** Scheme, host and port that a bucket's requests go to. */
export function originOf({ endpoint, region }: Bucket): string {
  if (endpoint === undefined) return `https://s3.${region}.amazonaws.com`
  return URL.parse(endpoint)?.origin ?? endpoint
}

/** What a place is, and what it leads to, for people. */
export function describeLead(place: VolumeBackend): string {
  if (place.kind === "directory") return `directory ${place.path}`
  if (place.kind === "node") return `node ${place.name} (${place.id}) of the grid`
  return `bucket ${place.bucket} at ${originOf(place)}, with ${keysOf(place)}`
}

/** What a description is checked against. */
export interface LeadsQuestion {
  readonly volumes: Iterable<VolumeDescription>
  /** Places that the user named or uses already. */
  readonly known: Iterable<VolumeBackend>
  /** The user said yes before. */
  readonly yes: boolean
  /** What is done without. */
  readonly refused: string
}

/**
 * Asks before keys go to a host that none of the known places is at. Throws ERR_INVALID_ARGUMENT where nobody can be asked,
 * ERR_ABORTED.
 */
export async function confirmLeads(context: Context, { volumes, known, yes, refused }: LeadsQuestion): Promise<void> {
  const origins = new Set([...known].filter((place) => place.kind === "s3").map(originOf))
  const places = [...volumes].flatMap(({ backends }) => backends)
  const strange = places.filter((place): place is Bucket => place.kind === "s3" && !origins.has(originOf(place)))
  if (yes || strange.length === 0) return
  await confirm(context, {
    warning: [
      "This leads to hosts that you have not used yet, and your keys would be used there:",
      ...strange.map((place) => `  ${describeLead(place)};`),
    ],
    question: "Is that where they belong?",
    insteadOfAsking: "If that is right, add --yes.",
    refusal: refused,
  })
}

/** All places of a profile's volumes. */
export function placesOf(profile: Pick<Profile, "volumes">): VolumeBackend[] {
  return [...profile.volumes.values()].flatMap(({ backends }) => backends)
}

function keysOf({ credentials, profile }: Bucket): string {
  if (credentials !== undefined) return `the keys in ${credentials}`
  return profile === undefined ? "the keys of your AWS configuration" : `the keys of the AWS profile ${profile}`
}
