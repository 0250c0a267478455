/**
 * How the command line names places: `alias:/path`, a capability with a path, a capability kept in a file, a local
 * path, or `-` for stdin and stdout. Parsing touches neither disk nor network; names are never normalised.
 */
import { HoldfastError, limits } from "@holdfast/core"
import { looksLikeCap } from "@holdfast/protocol"
import { checkName } from "@holdfast/tree"

/** The root a remote path starts at. */
export type RemoteBase =
  | { readonly kind: "alias"; readonly alias: string }
  | { readonly kind: "cap"; readonly text: string }
  /** A file that holds the capability; `-` is stdin. */
  | { readonly kind: "cap-file"; readonly file: string }

/** A place in a tree. */
export interface RemoteSpec {
  readonly base: RemoteBase
  readonly path: readonly string[]
  /** The text ended in a slash, so a directory is meant, and things go inside it. */
  readonly inside: boolean
}

/** Another way to read a path: `path` in the snapshot called `snapshot`. */
export interface SnapshotReading {
  readonly snapshot: string
  readonly path: readonly string[]
}

const aliasPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const filePrefix = "@file:"

/** Parses a place in a tree. Throws ERR_INVALID_ARGUMENT, ERR_INVALID_NAME; never repeats a capability. */
export function parseRemote(text: string): RemoteSpec {
  if (text.startsWith(filePrefix)) return parseCapFile(text.slice(filePrefix.length))
  if (looksLikeCap(text)) {
    const slash = text.indexOf("/")
    const cap = slash < 0 ? text : text.slice(0, slash)
    return { base: { kind: "cap", text: cap }, ...parsePath(slash < 0 ? "" : text.slice(slash)) }
  }
  const colon = text.indexOf(":")
  const alias = text.slice(0, Math.max(colon, 0))
  if (colon < 1 || !aliasPattern.test(alias))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${text}" is not a place in a grid: write alias:/path (such as home:/docs), a capability hf:…/path, or @file:FILE//path.`,
    )
  return { base: { kind: "alias", alias }, ...parsePath(text.slice(colon + 1)) }
}

/** A place in two parts: what names the tree, and the path in it; `base + path` is the same place. Throws as `parseRemote` does. */
export function splitRemote(text: string): { readonly base: string; readonly path: string } {
  parseRemote(text)
  const slash = text.startsWith(filePrefix) ? text.indexOf("//") : looksLikeCap(text) ? text.indexOf("/") : -1
  const isCap = text.startsWith(filePrefix) || looksLikeCap(text)
  const at = isCap ? (slash < 0 ? text.length : slash) : text.indexOf(":") + 1
  const start = at + (text.startsWith(filePrefix) && slash >= 0 ? 1 : 0)
  return { base: text.slice(0, start), path: text.slice(start) }
}

/** True when `text` reads as a place in a tree rather than as a local path. */
export function looksRemote(text: string): boolean {
  if (text.startsWith(filePrefix) || looksLikeCap(text)) return true
  const colon = text.indexOf(":")
  return colon > 0 && aliasPattern.test(text.slice(0, colon))
}

/** True for `-`: stdin as a source, stdout as a destination. */
export function isStdio(text: string): boolean {
  return text === "-"
}

/**
 * The snapshots that a path may refer to, leftmost first: `docs@NAME/a` is `docs/a` in snapshot NAME, `@NAME/a` is `a`.
 * A name that exists as it stands wins over these, since names such as `@types` are common.
 */
export function snapshotReadings(path: readonly string[]): SnapshotReading[] {
  const readings: SnapshotReading[] = []
  for (const [index, name] of path.entries()) {
    const at = name.lastIndexOf("@")
    if (at < 0 || at === name.length - 1) continue
    const before = name.slice(0, at)
    const rest = path.slice(index + 1)
    readings.push({
      snapshot: name.slice(at + 1),
      path: [...path.slice(0, index), ...(before === "" ? [] : [before]), ...rest],
    })
  }
  return readings
}

function parseCapFile(text: string): RemoteSpec {
  const end = text.indexOf("//")
  const file = end < 0 ? text : text.slice(0, end)
  if (file === "")
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "@file: needs the name of the file with the capability: @file:FILE//path.",
    )
  return { base: { kind: "cap-file", file }, ...parsePath(end < 0 ? "" : text.slice(end + 1)) }
}

function parsePath(text: string): { path: string[]; inside: boolean } {
  const path = text.split("/").filter((name) => name !== "" && name !== ".")
  for (const name of path) checkName(name)
  if (path.length > limits.pathDepth)
    throw new HoldfastError(
      "ERR_LIMIT",
      `A path of ${path.length} names is deeper than the limit of ${limits.pathDepth}.`,
    )
  return { path, inside: path.length === 0 || text.endsWith("/") || text.endsWith("/.") }
}
