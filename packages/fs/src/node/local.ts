/**
 * The local side of a transfer: walking a folder, and telling what a file is. Calls are synchronous on purpose: for
 * thousands of small files the round trip through the thread pool costs several times the system call.
 */
import * as fs from "node:fs"
import { basename, dirname } from "node:path"
import { HoldfastError } from "@holdfast/core"
import { localError } from "@holdfast/core/node"
import { nameProblem, storableTime } from "@holdfast/tree"
import { type ExcludeOptions, Exclusion } from "./exclude.ts"
import { isPart } from "./parts.ts"
import type { Problem } from "./problem.ts"

/** One file, folder or symlink of a local tree. */
export interface LocalItem {
  /** Names below the root of the walk; empty for the root itself. */
  readonly path: readonly string[]
  /** Where it is on this machine. */
  readonly local: string
  readonly kind: "file" | "directory" | "symlink"
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  /** The nearest that can be stored; see `storableTime`. */
  readonly mtimeNs: bigint
  readonly uid: number
  readonly gid: number
  readonly dev: bigint
  readonly ino: bigint
  readonly sizeBytes: number
  /** Under so many names it is there. */
  readonly links: bigint
  /** What a symlink points to. */
  readonly target?: string
  /** All names in a directory, also those that are left out; absent when it cannot be read. */
  readonly names?: ReadonlySet<string>
  /** True for what would be left out of a directory on purpose if it were there; absent as `names` is. */
  readonly leavesOut?: (name: string, isDirectory: boolean) => boolean
}

/** How a folder is walked. */
export interface WalkOptions {
  readonly onProblem: (problem: Problem) => void
  /** Hears of what is left out on purpose, in a sentence. */
  readonly onLeftOut?: (text: string) => void
  /** Folders that are left out below the root, as `folderIdentity` names them. */
  readonly ownFolders?: ReadonlySet<string>
  readonly exclude?: ExcludeOptions
  /** Hears of what `exclude` leaves out, a directory with all in it. */
  readonly onExcluded?: (path: readonly string[]) => void
  /** Of folders on other file systems than the root's, only the folder itself. */
  readonly oneFileSystem?: boolean
}

const lossy = "\ufffd"
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

interface Step {
  readonly path: readonly string[]
  readonly local: string
  readonly exclusion: Exclusion
}

/**
 * Walks `root` depth first, each folder before what is in it, names in order. What cannot be stored (a name that is not UTF-8,
 * a folder that cannot be read) goes to `onProblem`, what nobody wants stored (a socket, our own data) to `onLeftOut`, and the
 * walk goes on. The root itself is what the user named.
 */
export function* walkLocal(root: string, options: WalkOptions): Generator<LocalItem, void, void> {
  const { onProblem, onExcluded } = options
  const stack: Step[] = [{ path: [], local: root, exclusion: Exclusion.of(options.exclude) }]
  let device: bigint | undefined
  while (stack.length > 0) {
    const step = stack.pop()!
    const { path, local } = step
    const item = inspectStep(step, options)
    if (!item) continue
    device ??= item.dev
    if (item.kind !== "directory") {
      yield item
      continue
    }
    if (options.oneFileSystem && item.dev !== device) {
      options.onLeftOut?.(`What is in "${local}" was left out: another file system is mounted there.`)
      yield item
      continue
    }
    const listed = attempt(local, onProblem, () => listNames(local, onProblem))
    if (!listed) {
      yield item
      continue
    }
    const exclusion = step.exclusion.within(path, local, listed.all, onProblem)
    const leavesOut = (name: string, isDirectory: boolean) => exclusion.excludes([...path, name], isDirectory)
    yield { ...item, names: listed.all, leavesOut }
    for (let i = listed.names.length - 1; i >= 0; i--) {
      const name = listed.names[i]!
      if (isPart(name)) {
        options.onLeftOut?.(`"${local}/${name}" was left out: an interrupted \`get\` left it, or one is writing it.`)
        continue
      }
      stack.push({ path: [...path, name], local: `${local}/${name}`, exclusion })
    }
  }

  /** What is there, unless it is left out. */
  function inspectStep({ path, local, exclusion }: Step, { onLeftOut, ownFolders }: WalkOptions) {
    const isRoot = path.length === 0
    const leaveOut = (text: string) => (exclusion.excludes(path, false) ? onExcluded?.(path) : onLeftOut?.(text))
    const item = attempt(local, onProblem, () => inspect(path, local, isRoot), isRoot ? undefined : leaveOut)
    if (item?.kind === "file" && isOwnIndex(isRoot ? fs.realpathSync(local) : local, ownFolders)) {
      onLeftOut?.(`"${local}" was left out: it is the index of a volume's directory, which this command may be using.`)
      return undefined
    }
    if (!item || isRoot) return item
    const isDirectory = item.kind === "directory"
    if (exclusion.excludes(path, isDirectory)) {
      onExcluded?.(path)
      return undefined
    }
    if (!isDirectory || !ownFolders?.has(identityOf(item))) return item
    onLeftOut?.(`"${local}" was left out: Holdfast keeps its own data there. Name it to store it all the same.`)
    return undefined
  }
}

/**
 * True for the database of a directory that a volume lies in, or what lies beside it, whoever named it. Reading it here would end the
 * locks that this very process has on it: closing a file ends all that a process has on that file.
 */
function isOwnIndex(file: string, ownFolders: ReadonlySet<string> | undefined): boolean {
  if (!ownFolders || !basename(file).startsWith("index.sqlite")) return false
  return ownFolders.has(folderIdentity(dirname(file)) ?? "")
}

/** Tells a folder from every other, by whatever path it is reached; undefined where there is none. */
export function folderIdentity(path: string): string | undefined {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat?.isDirectory() ? identityOf(stat) : undefined
}

function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`
}

/** What `local` is. With `follow`, a symlink is followed, as for a name given on the command line. */
export function inspect(path: readonly string[], local: string, follow = false): LocalItem {
  const stat = follow ? fs.statSync(local, { bigint: true }) : fs.lstatSync(local, { bigint: true })
  const common = {
    path,
    local,
    mode: Number(stat.mode) & 0o7777,
    mtimeNs: storableTime(stat.mtimeNs),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    dev: stat.dev,
    ino: stat.ino,
    sizeBytes: stat.isFile() ? Number(stat.size) : 0,
    links: stat.nlink,
  }
  if (stat.isFile()) return { ...common, kind: "file" }
  if (stat.isDirectory()) return { ...common, kind: "directory" }
  if (stat.isSymbolicLink()) return { ...common, kind: "symlink", target: readTarget(local) }
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${local}" was left out: it is a socket, a pipe or a device; only files, folders and symlinks can be stored.`,
  )
}

/** True when two modification times are the same as far as a local file system can keep them through Node: 1 us. */
export function sameTime(a: bigint, b: bigint): boolean {
  const difference = a - b
  return -1000n < difference && difference < 1000n
}

/** A time for fs.utimes: seconds as text, since a negative number would be taken for "now". Exact to 120 ns. */
export function utimesValue(ns: bigint): string {
  const seconds = ns / 1_000_000_000n
  return String(Number(seconds) + Number(ns - seconds * 1_000_000_000n) / 1e9)
}

/** Hands on what `work` throws; `onSpecial` hears of what is no file, folder or symlink, which is no problem there. */
function attempt<T>(
  local: string,
  onProblem: (problem: Problem) => void,
  work: () => T,
  onSpecial?: (text: string) => void,
): T | undefined {
  try {
    return work()
  } catch (error) {
    const { code, message } = localError(error, local)
    if (onSpecial && code === "ERR_INVALID_ARGUMENT") onSpecial(message)
    else onProblem({ path: local, code, message })
    return undefined
  }
}

/** Names in a folder: all that text can say, and in order those that can be stored. */
function listNames(
  local: string,
  onProblem: (problem: Problem) => void,
): { readonly all: ReadonlySet<string>; readonly names: readonly string[] } {
  let names = fs.readdirSync(local)
  if (names.some((name) => name.includes(lossy)))
    names = fs.readdirSync(local, { encoding: "buffer" }).flatMap((bytes) => {
      const name = decodeStrictly(bytes)
      if (name !== undefined) return [name]
      const shown = `${local}/${bytes.toString("latin1")}`
      onProblem({
        path: shown,
        code: "ERR_INVALID_NAME",
        message: `"${shown}" was left out: its name is not valid UTF-8 (shown here as Latin-1). Rename it first.`,
      })
      return []
    })
  const storable = names.sort().filter((name) => {
    const why = nameProblem(name)
    if (why === undefined) return true
    const shown = `${local}/${name}`
    onProblem({ path: shown, code: "ERR_INVALID_NAME", message: `"${shown}" was left out: ${why}.` })
    return false
  })
  return { all: new Set(names), names: storable }
}

function readTarget(local: string): string {
  const target = fs.readlinkSync(local)
  if (!target.includes(lossy)) return target
  const exact = decodeStrictly(fs.readlinkSync(local, { encoding: "buffer" }))
  if (exact !== undefined) return exact
  throw new HoldfastError(
    "ERR_INVALID_NAME",
    `The symlink "${local}" was left out: it points to a name that is not valid UTF-8.`,
  )
}

function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return undefined
  }
}
