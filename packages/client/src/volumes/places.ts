/** From what was typed after --backend to a place of a volume: s3://..., dir:PATH, node:NAME. */
import { createHash } from "node:crypto"
import { basename, resolve } from "node:path"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { VolumeBackend } from "@holdfast/protocol"
import type { Profile } from "../profile/profile.ts"
import { hasGrid } from "./choose.ts"
import { originOf } from "./leads.ts"

/** How places are looked at. */
export interface PlaceOptions {
  /** Tries what a bucket can do, which writes to it; without, it counts as one that can do little. Default true. */
  readonly probe?: boolean
  /** Hears what the user should know of a bucket that can be used. */
  readonly onNote?: (text: string) => void
}

/**
 * The places that `texts` name; without a profile no nodes. Throws ERR_INVALID_ARGUMENT, and what a bucket that is tried
 * fails with.
 */
export async function parsePlaces(
  profile: Profile | undefined,
  texts: readonly string[],
  options: PlaceOptions = {},
): Promise<VolumeBackend[]> {
  const places = (await Promise.all(texts.map((text) => parsePlace(profile, text, options)))).flat()
  const ids = places.map(({ id }) => id)
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  if (twice !== undefined)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `${twice} is named twice; a volume needs each place once.`)
  return places
}

/** What a place is, for people. */
export function describePlace(place: VolumeBackend): string {
  if (place.kind === "directory") return `directory ${place.path}`
  if (place.kind === "node") return `node ${place.name} (${place.id})`
  return `bucket ${place.id}${place.conditionalWrites ? "" : ", without conditional writes"}, at ${originOf(place)}`
}

async function parsePlace(profile: Profile | undefined, text: string, options: PlaceOptions): Promise<VolumeBackend[]> {
  if (text.startsWith("s3:")) return [await parseBucket(text, options)]
  if (text.startsWith("dir:")) return [parseDirectory(text.slice("dir:".length))]
  if (text.startsWith("node:")) return parseNodes(profile, text.slice("node:".length))
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    "--backend takes s3://BUCKET?endpoint=URL, dir:PATH, node:NAME or node:* (every node of the grid).",
  )
}

async function parseBucket(text: string, { probe = true, onNote }: PlaceOptions): Promise<VolumeBackend> {
  const { nameOfBucket, parseS3Location, probeBucket } = await import("@holdfast/backends/s3")
  const parsed = parseS3Location(text)
  const location = parsed.credentials === undefined ? parsed : { ...parsed, credentials: resolve(parsed.credentials) }
  if (!probe) return { kind: "s3", id: nameOfBucket(location), ...location, conditionalWrites: false }
  const { conditionalWrites, listing, deleting } = await probeBucket(location, { crypto })
  if (listing === "broken")
    throw new HoldfastError(
      "ERR_REMOTE",
      `Bucket ${nameOfBucket(location)} does not list its objects in order, so it cannot hold a volume.`,
    )
  if (!deleting)
    onNote?.(
      `the keys of bucket ${nameOfBucket(location)} may not delete, as is right for a device that only stores: old versions and garbage pile up there until \`holdfast gc\` runs with keys that may.`,
    )
  return bucketAsFound(
    { kind: "s3", id: nameOfBucket(location), ...location, conditionalWrites },
    { conditionalWrites, listing },
  )
}

/** The description of a bucket that was tried. */
export function bucketAsFound(
  place: Extract<VolumeBackend, { kind: "s3" }>,
  { conditionalWrites, listing }: { conditionalWrites: boolean; listing: "strong" | "delayed" | "broken" | undefined },
): VolumeBackend {
  const { listing: _, ...rest } = place
  return { ...rest, conditionalWrites, ...(listing === "delayed" && { listing }) }
}

function parseDirectory(text: string): VolumeBackend {
  if (text === "") throw new HoldfastError("ERR_INVALID_ARGUMENT", "dir: needs a path, such as dir:/mnt/backup.")
  const path = resolve(text)
  // The path itself may be private, and too long for a name in messages.
  const mark = createHash("sha256").update(path).digest("hex").slice(0, 8)
  const name = basename(path).replace(/[^\x21-\x7e]/g, "_") || "root"
  return { kind: "directory", id: `${name}-${mark}`, path }
}

async function parseNodes(profile: Profile | undefined, name: string): Promise<VolumeBackend[]> {
  if (!profile || !hasGrid(profile))
    throw new HoldfastError(
      "ERR_NO_GRID",
      "Storage nodes let in members of their grid only, and this profile is a member of no grid. Join one with an invitation (holdfast join --invite-file FILE), or start one on this machine (holdfast up).",
    )
  const { openGrid } = await import("./grid.ts")
  const { grid } = await openGrid(profile, {})
  const chosen = grid.servers.filter((server) => name === "*" || server.name === name || server.id === name)
  if (chosen.length === 0)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `The grid has no node "${name}". It has: ${grid.servers.map((server) => server.name).join(", ")}.`,
    )
  return chosen.map((server) => ({ kind: "node", id: server.id, name: server.name }))
}
