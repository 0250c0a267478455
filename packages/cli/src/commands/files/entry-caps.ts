/** Capabilities to what an entry holds now, which never changes. */
import { concat, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { encodeCap, maxVerifyIds } from "@holdfast/protocol"
import {
  type Entry,
  encodeEntryCap,
  hasOwnChunks,
  isDamage,
  reachEntry,
  sameContent,
  type TreeIo,
  withOwnChunks,
} from "@holdfast/tree"
import type { OpenedTree } from "./opened-tree.ts"

/** Longest capability that is accepted as text. */
const maxCapLength = 2048

/** One to read `entry`. Throws ERR_LIMIT when that does not fit. */
export function entryReadCap(entry: Entry): string {
  const text = encodeCap(encodeEntryCap(entry))
  if (text.length <= maxCapLength) return text
  throw new HoldfastError("ERR_LIMIT", `"${entry.name}" is too much for a capability; give one to its directory.`)
}

/**
 * One to read `entry`, which is at `path`, and nothing else: what shares chunks with others is stored anew first and committed, as the key
 * of a chunk opens all of it. Where nothing can be written a warning says what else is opened. Throws ERR_CONFLICT, ERR_LIMIT.
 */
export async function ownReadCap(
  volume: OpenedTree,
  entry: Entry,
  { path, warn }: { readonly path: readonly string[]; readonly warn: (text: string) => void },
): Promise<string> {
  const { tree, io } = volume
  const own = volume.access?.seed && tree ? await alone(volume, entry) : undefined
  if (!own && !(await hasOwnChunks(io, entry).catch(ignoreDamage))) warn(opensMore)
  if (!own || own === entry) return entryReadCap(entry)
  const result = await volume.writable().commit(async (session) => {
    const present = await session.lookup(path)
    if (!present || !sameContent(present, entry))
      throw new HoldfastError("ERR_CONFLICT", `"${entry.name}" was changed at the same time: try again.`)
    session.set(path, withContentOf(present, own))
  })
  await volume.adopt(result)
  return entryReadCap(own)
}

const opensMore =
  "whoever has this capability can also read other small files and directories that lie in the same chunks; if they must not, cp " +
  "it to a tree of its own and give a capability to that"

/** `entry` with chunks that hold nothing else; undefined when a part of it cannot be read. */
export async function alone({ io }: OpenedTree, entry: Entry): Promise<Entry | undefined> {
  return withOwnChunks(io, entry).catch(ignoreDamage)
}

function ignoreDamage(error: unknown): undefined {
  if (!isDamage(error)) throw error
  return undefined
}

/** `entry` with the content of `other`, which is of the same kind. */
function withContentOf(entry: Entry, other: Entry): Entry {
  if (entry.kind === "file" && other.kind === "file") return { ...entry, content: other.content }
  if (entry.kind === "directory" && other.kind === "directory") return { ...entry, reference: other.reference }
  return entry
}

/** One to check and repair all that `entry` stands on but trees linked in. Throws ERR_LIMIT, ERR_INVALID_ARGUMENT. */
export async function entryVerifyCap(io: TreeIo, entry: Entry): Promise<string> {
  const ids = new Set<string>()
  for await (const met of reachEntry(io, entry)) {
    if (met.kind === "lost") throw met.lost.error
    if (met.kind === "chunk") ids.add(toHex(met.chunk.id))
    if (ids.size > maxVerifyIds)
      throw new HoldfastError(
        "ERR_LIMIT",
        `"${entry.name}" stands on more than ${maxVerifyIds} chunks, which is the most that a capability can name. ` +
          "Use the verify capability of its whole tree: holdfast cap ALIAS: --verify.",
      )
  }
  if (ids.size > 0) return encodeCap({ kind: "cv", chunkIds: concat(...[...ids].sort().map(fromHex)) })
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${entry.name}" is so small that its directory holds it. Use the verify capability of its tree, or of the directory.`,
  )
}
