/** What cannot be read of a tree, with its place, as messages have it. */
import { HoldfastError } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { isDamage, type LostNode, type Whereabouts } from "@holdfast/tree"
import { formatPath } from "./path.ts"

/** A directory, or the list of a file's pieces, that cannot be read. */
export interface LostPlace {
  readonly place: string
  readonly what: "directory" | "file"
  readonly chunk: ChunkId
  readonly message: string
}

/** A place for messages: `home:/docs`, `home:/docs@friday`, `home:/docs (version 12)`. */
export function placeIn(label: string, { path, version }: Whereabouts): string {
  if (version === "newest") return `${label}${formatPath(path)}`
  if (version !== "snapshots") return `${label}${formatPath(path)} (version ${version})`
  const [snapshot, ...rest] = path
  if (snapshot === undefined) return `the snapshots of ${label}`
  return rest.length === 0 ? `${label}@${snapshot}` : `${label}@${snapshot}${formatPath(rest)}`
}

/** A lost node of the tree called `label`. */
export function lostPlace(label: string, { what, chunk, error, ...where }: LostNode): LostPlace {
  return { place: placeIn(label, where), what, chunk, message: error.message }
}

/** `error` with the place that cannot be read for it; what is no damage stays as it is. */
export function damageAt(error: unknown, label: string, path: readonly string[] | undefined): unknown {
  if (!path || !isDamage(error) || error.details["place"] !== undefined) return error
  const place = placeIn(label, { path, version: "newest" })
  const isRoot = path.length === 0 && !label.includes("@")
  const details = { ...error.details, place, ...(isRoot && { advice: "go-back", tree: label }) }
  return new HoldfastError(error.code, `${place} cannot be read: ${error.message}`, details, { cause: error })
}
