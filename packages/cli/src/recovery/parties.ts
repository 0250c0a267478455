/**
 * Who can read a volume's places, counted as parties and not as places: whoever has one credential reads all that it
 * opens. All nodes of a grid let in every member of the tenant; all directories lie on one machine; buckets belong
 * together when their keys are the same, or one service runs them.
 */
import { createHash } from "node:crypto"
import type { VolumeBackend } from "@holdfast/protocol"
import type { Session } from "../session.ts"
import { gridName } from "../volumes/choose.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

/** The parties of a volume: sizes of the groups of places, the largest first. */
export async function partiesOf({ volume, profile, backends }: Session): Promise<number[]> {
  if (volume === gridName) return [backends.length]
  return groupSizes(await Promise.all(profile.volumes.get(volume)!.backends.map(marksOf)))
}

/**
 * So many parts must a kit without words need: more than any f parties hold together, and than any f places. Undefined
 * when it could then not spare f places, or a single party holds enough.
 */
export function openThreshold(places: number, f: number, parties: readonly number[]): number | undefined {
  const held = parties.slice(0, f).reduce((sum, size) => sum + size, 0)
  const threshold = Math.max(f, held) + 1
  return threshold <= places - f ? threshold : undefined
}

/** So few parties hold `threshold` parts together. */
export function partiesFor(threshold: number, parties: readonly number[]): number {
  const held = parties.map((_, i) => parties.slice(0, i + 1).reduce((sum, size) => sum + size, 0))
  return 1 + held.findIndex((parts) => parts >= threshold)
}

/** Places that have any mark in common, also by way of others, are one group. */
export function groupSizes(marks: readonly (readonly string[])[]): number[] {
  const groups: { marks: Set<string>; size: number }[] = []
  for (const own of marks) {
    const joined = groups.filter((group) => own.some((mark) => group.marks.has(mark)))
    for (const group of joined) groups.splice(groups.indexOf(group), 1)
    groups.push({
      marks: new Set([...own, ...joined.flatMap((group) => [...group.marks])]),
      size: 1 + joined.reduce((sum, { size }) => sum + size, 0),
    })
  }
  return groups.map(({ size }) => size).sort((a, b) => b - a)
}

async function marksOf(place: VolumeBackend): Promise<string[]> {
  if (place.kind === "node") return ["grid"]
  if (place.kind === "directory") return ["this machine"]
  return [`service ${serviceOf(place)}`, `key ${await keyMark(place)}`]
}

/** Without an endpoint it is AWS, whatever the region. */
function serviceOf({ endpoint }: Bucket): string {
  return endpoint === undefined ? "aws" : new URL(endpoint).host
}

/** Tells keys apart; those that cannot be read now count by where they should be. */
async function keyMark(place: Bucket): Promise<string> {
  const { credentialsFor } = await import("@holdfast/backends/s3")
  const named = `${place.credentials ?? ""} ${place.profile ?? ""}`
  const id = await credentialsFor(place)().then(
    ({ accessKeyId }) => `id ${accessKeyId}`,
    () => `file ${named}`,
  )
  return createHash("sha256").update(id).digest("hex")
}
