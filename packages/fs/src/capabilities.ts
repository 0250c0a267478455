/** Capabilities: to a whole tree as strong as its own, to what an entry holds now, which never changes. */
import { concat, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { encodeCap, maxVerifyIds, verifyKeyOf } from "@holdfast/protocol"
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
import type { FileSystem, Strength } from "./file-system.ts"
import { show } from "./path.ts"

/**
 * A capability to what is at `path`: of a root as strong as asked, of anything below it an immutable one. Throws ERR_NOT_FOUND,
 * ERR_WRONG_CAPABILITY, ERR_LIMIT, ERR_INVALID_ARGUMENT.
 */
export async function capOf(files: FileSystem, path: readonly string[], strength: Strength): Promise<string> {
  const inner = await files.locate(path)
  if (inner.files !== files) return inner.files.capOf(inner.path, strength)
  const item = await files.lookup(path)
  if (!item) throw new HoldfastError("ERR_NOT_FOUND", `${show({ files, path })} does not exist.`)
  const { entry, owner } = item
  if (owner !== files) return owner.capOf([], strength) // a file that is linked in
  if (entry.kind === "junction") return (await files.enter(entry, path)).capOf([], strength)
  if (path.length === 0 && files.tree) return rootCap(files, strength)
  if (strength === "write" && files.tree)
    throw new HoldfastError(
      "ERR_WRONG_CAPABILITY",
      "Only a whole tree has a write capability. Ask for one to read what this holds now, or for one to check it.",
      { advice: "weaker" },
    )
  const named = entry.name === "" ? { ...entry, name: files.rootName ?? "root" } : entry
  return strength === "verify" ? entryVerifyCap(files.io, named) : ownReadCap(files, named, path)
}

function rootCap({ access, isFile, label }: FileSystem, strength: Strength): string {
  const { publicKey, readKey, seed } = access!
  if (strength === "verify")
    return encodeCap({ kind: isFile ? "fv" : "dv", publicKey, verifyKey: verifyKeyOf(readKey) })
  if (strength === "read") return encodeCap({ kind: isFile ? "fr" : "dr", publicKey, readKey })
  if (seed) return encodeCap({ kind: isFile ? "fw" : "dw", seed })
  throw new HoldfastError(
    "ERR_WRONG_CAPABILITY",
    `${label} was opened with a read capability, which cannot give one to write. Ask for one to read.`,
    { advice: "weaker" },
  )
}

/** Longest capability that is accepted as text. */
const maxCapLength = 2048

/** One to read `entry`. Throws ERR_LIMIT when that does not fit. */
function entryReadCap(entry: Entry): string {
  const text = encodeCap(encodeEntryCap(entry))
  if (text.length <= maxCapLength) return text
  throw new HoldfastError("ERR_LIMIT", `"${entry.name}" is too much for a capability; give one to its directory.`)
}

/**
 * One to read `entry`, which is at `path`, and nothing else: what shares chunks with others is stored anew first and committed, as the key
 * of a chunk opens all of it. Where nothing can be written a warning says what else is opened. Throws ERR_CONFLICT, ERR_LIMIT.
 */
async function ownReadCap(files: FileSystem, entry: Entry, path: readonly string[]): Promise<string> {
  const { tree, io, warn } = files
  const own = files.access?.seed && tree ? await alone(files, entry) : undefined
  if (!own && !(await hasOwnChunks(io, entry).catch(ignoreDamage))) warn(opensMore)
  if (!own || own === entry) return entryReadCap(entry)
  const result = await files.writable().commit(async (session) => {
    const present = await session.lookup(path)
    if (!present || !sameContent(present, entry))
      throw new HoldfastError("ERR_CONFLICT", `"${entry.name}" was changed at the same time: try again.`)
    session.set(path, withContentOf(present, own))
  })
  await files.adopt(result)
  return entryReadCap(own)
}

const opensMore =
  "whoever has this capability can also read other small files and directories that lie in the same chunks; if they must not, cp " +
  "it to a tree of its own and give a capability to that"

/** `entry` with chunks that hold nothing else; undefined when a part of it cannot be read. */
export async function alone({ io }: FileSystem, entry: Entry): Promise<Entry | undefined> {
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
async function entryVerifyCap(io: TreeIo, entry: Entry): Promise<string> {
  const ids = new Set<string>()
  for await (const met of reachEntry(io, entry)) {
    if (met.kind === "lost") throw met.lost.error
    if (met.kind === "chunk") ids.add(toHex(met.chunk.id))
    if (ids.size > maxVerifyIds)
      throw new HoldfastError(
        "ERR_LIMIT",
        `"${entry.name}" stands on more than ${maxVerifyIds} chunks, which is the most that a capability can name. ` +
          "Use the verify capability of its whole tree.",
      )
  }
  if (ids.size > 0) return encodeCap({ kind: "cv", chunkIds: concat(...[...ids].sort().map(fromHex)) })
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${entry.name}" is so small that its directory holds it. Use the verify capability of its tree, or of the directory.`,
  )
}
