/** What is asked on a terminal before directories, snapshots and what a mirror has more go: what, how much, and who still holds it. */
import { isHoldfastError } from "@holdfast/core"
import { type FileSystem, type Item, identityOf, type Location, show, walkItems } from "@holdfast/fs"
import { type Confirmation, confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { plural } from "../../words.ts"
import { humanSize } from "./listing.ts"
import { type Opener, openPlace } from "./locations.ts"
import { isoTime } from "./ls.ts"

/** A question takes seconds, also above millions of files. */
const mostCounted = 10_000
const mostSnapshots = 50
const mostNamed = 5

/**
 * Asks before directories with something in them are removed; a file, an empty directory and a link go unasked, as do all without a
 * terminal: past versions hold them for a while. Throws ERR_ABORTED.
 */
export async function confirmRemovals(context: Context, open: Opener, texts: readonly string[]): Promise<void> {
  if (!isAsking(context)) return
  const lines: string[] = []
  let more = 0
  for (const text of texts) {
    const place = await openPlace(open, text)
    const item = await place.files.lookup(place.path).catch(orDamaged)
    if (place.path.length === 0 || item?.entry.kind !== "directory") continue
    const content = await contentOf(item)
    if (content === undefined) continue
    if (lines.length >= mostNamed) more++
    else lines.push(`${show(place)} holds ${content}; ${await heldBy(place, item)}.`)
  }
  if (lines.length === 0) return
  if (more > 0)
    lines.push(`${plural(more, "more directory", "more directories")} with something in ${more === 1 ? "it" : "them"}.`)
  await confirm(context, {
    warning: lines,
    question: lines.length + more === 1 ? "Remove it?" : "Remove all of them?",
    ...kept,
  })
}

/** Asks before a snapshot goes. Throws ERR_ABORTED. */
export async function confirmSnapshotRemoval(context: Context, files: FileSystem, name: string): Promise<void> {
  if (!isAsking(context)) return
  const snapshot = (await files.listSnapshots()).find((one) => one.name === name)
  if (!snapshot) return // removing says so
  const since = `${isoTime(snapshot.createdNs).slice(0, 16)}Z`
  await confirm(context, {
    warning: `Snapshot ${name} of ${files.label} keeps what was there on ${since}. What nothing else holds then, the next \`holdfast gc\` frees for good.`,
    question: "Remove it?",
    ...kept,
  })
}

/** Asks before a mirror removes what the folder does not have. Throws ERR_ABORTED. */
export async function confirmMirror(context: Context, { source, to, removed, first }: MirrorQuestion): Promise<void> {
  if (removed === 0) return
  const named = first.map((path) => `  remove ${show({ ...to, path })}`)
  await confirm(context, {
    warning: [
      `"${source}" does not have ${plural(removed, "entry", "entries")} of ${show(to)}, with all below, which would go:`,
      ...named,
      ...(removed > first.length ? [`  and ${removed - first.length} more`] : []),
    ],
    question: "Remove what the folder does not have?",
    ...kept,
  })
}

/** What a mirror would do. */
export interface MirrorQuestion {
  readonly source: string
  readonly to: Location
  /** How many would go; all below a directory goes with it. */
  readonly removed: number
  /** Paths of the first ones. */
  readonly first: readonly (readonly string[])[]
}

/** How many of a mirror's removals are named. */
export const mirrorNamed = mostNamed

const kept = {
  insteadOfAsking: "To do so unasked: --yes",
  refusal: "Nothing was removed.",
} satisfies Pick<Confirmation, "insteadOfAsking" | "refusal">

/** What is below; undefined for nothing. */
async function contentOf(item: Item): Promise<string | undefined> {
  let entries = -1 // the directory itself
  let bytes = 0
  try {
    for await (const { item: one } of walkItems(item, [], { links: false })) {
      if (++entries > mostCounted) return `more than ${plural(mostCounted, "entry", "entries")}`
      if (one.entry.kind === "file") bytes += one.entry.size
    }
  } catch (error) {
    orDamaged(error)
    return "what cannot all be read"
  }
  return entries === 0 ? undefined : `${plural(entries, "entry", "entries")} (${humanSize(bytes)})`
}

/** Which snapshots have the same there, or something else. */
async function heldBy({ files, path }: Location, item: Item): Promise<string> {
  const same: string[] = []
  const other: string[] = []
  const all = (await files.listSnapshots().catch(orDamaged)) ?? []
  const newest = all.toSorted((a, b) => Number(b.createdNs - a.createdNs)).slice(0, mostSnapshots)
  for (const { name } of newest) {
    const there = await files
      .snapshot(name)
      .then((snapshot) => snapshot?.lookup(path))
      .catch(orDamaged)
    if (!there) continue
    const list = identityOf(there) === identityOf(item) ? same : other
    list.push(name)
  }
  if (same.length > 0) return `snapshot ${same[0]} holds the same`
  const past = "past versions do as long as they are kept (`holdfast history list`)"
  return other.length > 0
    ? `snapshot ${other[0]} holds another state of it, and what is in none, ${past}`
    : `no snapshot holds it; ${past}`
}

/** What cannot be read now is asked about, and removed, all the same. */
function orDamaged(error: unknown): undefined {
  if (isHoldfastError(error) && error.code !== "ERR_ABORTED") return undefined
  throw error
}
