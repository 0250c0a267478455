/** From what was typed after --backend to a place of a volume: s3://..., dir:PATH, node:NAME, and its labels. */
import { createHash } from "node:crypto"
import { basename, resolve } from "node:path"
import { fit, HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { domainsOf, type Labels, labelKinds, labelsSchema, type VolumeBackend } from "@holdfast/protocol"
import type { Profile } from "../profile/profile.ts"
import { hasGrid } from "./choose.ts"
import { originOf } from "./leads.ts"

/** How places are looked at. */
export interface PlaceOptions {
  /** Tries what a bucket can do, which writes to it; without, it counts as one that can do little. Default true. */
  readonly probe?: boolean
  /** The places are to keep registers only; other nodes than those that are witnesses of their grid may do that too. */
  readonly asWitnesses?: boolean
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
  return `${place.witness ? "witness: " : ""}${describeKind(place)}${place.labels ? `, in ${describedLabels(place.labels)}` : ""}`
}

/** Labels for people: `site=home/rack=1`. */
export function describedLabels(labels: Labels): string {
  return domainsOf(labels).at(-1)!
}

function describeKind(place: VolumeBackend): string {
  if (place.kind === "directory") return `directory ${place.path}`
  if (place.kind === "node") return `node ${place.name} (${place.id})`
  return `bucket ${place.id}${place.conditionalWrites ? "" : ", without conditional writes"}, at ${originOf(place)}`
}

/** Labels behind what names a place, as they stand at its end. */
const labelsPattern = new RegExp(`(?:,(?:${labelKinds.join("|")})=[^,/]*)+$`)

/** A place without its labels, and these. Throws ERR_INVALID_ARGUMENT. */
function splitLabels(text: string): { readonly place: string; readonly labels?: Labels } {
  const [found] = labelsPattern.exec(text) ?? []
  if (found === undefined) return { place: text }
  return { place: text.slice(0, -found.length), labels: parseLabels(found.slice(1).split(",")) }
}

/** Labels as typed: `site=home`, each kind once. Throws ERR_INVALID_ARGUMENT. */
export function parseLabels(texts: readonly string[]): Labels {
  const pairs = texts.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)] as const)
  const labels = fit(labelsSchema, Object.fromEntries(pairs))
  if ("value" in labels && new Set(pairs.map(([kind]) => kind)).size === pairs.length) return labels.value
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${texts.join(",")}" names no labels. They are ${labelKinds.map((kind) => `${kind}=NAME`).join(", ")}, each once at most, NAME of 1 to 64 letters, digits, ".", "_" and "-".`,
  )
}

async function parsePlace(profile: Profile | undefined, text: string, options: PlaceOptions): Promise<VolumeBackend[]> {
  const { place, labels } = splitLabels(text)
  const found = await parseUnlabelled(profile, place, options)
  return labels ? found.map((one) => ({ ...one, labels })) : found
}

async function parseUnlabelled(
  profile: Profile | undefined,
  text: string,
  options: PlaceOptions,
): Promise<VolumeBackend[]> {
  if (text.startsWith("s3:")) return [await parseBucket(text, options)]
  if (text.startsWith("dir:")) return [parseDirectory(text.slice("dir:".length))]
  if (text.startsWith("node:")) return parseNodes(profile, text.slice("node:".length), options)
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

async function parseNodes(
  profile: Profile | undefined,
  name: string,
  { asWitnesses = false }: PlaceOptions,
): Promise<VolumeBackend[]> {
  if (!profile || !hasGrid(profile))
    throw new HoldfastError(
      "ERR_NO_GRID",
      "Storage nodes let in members of their grid only, and this profile is a member of no grid. Join one with an invitation (holdfast join --invite-file FILE), or start one on this machine (holdfast up).",
    )
  const { openGrid } = await import("./grid.ts")
  const { grid, close } = await openGrid(profile, {})
  close()
  const named = grid.servers.filter((server) => name === "*" || server.name === name || server.id === name)
  const chosen = asWitnesses ? named : named.filter(({ witness }) => !witness)
  if (named.length > 0 && chosen.length === 0)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `The node "${name}" is a witness of its grid and takes no shares. It can be a volume's witness: --witness node:${name}`,
    )
  if (chosen.length === 0)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `The grid has no node "${name}". It has: ${grid.servers.map((server) => server.name).join(", ")}.`,
    )
  // Labels that were typed take the place of those that the node has in its grid.
  return chosen.map(({ id, name, labels }) => ({ kind: "node", id, name, ...(labels && { labels }) }))
}
