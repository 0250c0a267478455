/**
 * The local side of a transfer: walking a folder, and telling what a file is. Somebody else may write the folder while it is walked
 * (whoever stores all homes of a machine is root): each folder is held open, and what is in it is reached through it, so that no link
 * that is put there meanwhile leads elsewhere. Calls are synchronous on purpose: for thousands of small files the round trip through
 * the thread pool costs several times the system call.
 */
import * as fs from "node:fs"
import { basename, dirname } from "node:path"
import { HoldfastError } from "@holdfast/core"
import { Folder, localError } from "@holdfast/core/node"
import { nameProblem, storableTime } from "@holdfast/tree"
import { type ExcludeOptions, Exclusion } from "./exclude.ts"
import { isPart } from "./parts.ts"
import type { Problem } from "./problem.ts"
import { decodeStrictly, escapedName } from "./raw-name.ts"
import { SortedNames } from "./sorted-names.ts"
import { type ReadXattrs, readXattrs, type Xattrs } from "./xattrs.ts"

/** One file, folder or symlink of a local tree. */
export interface LocalItem {
  /** Names below the root of the walk; empty for the root itself. */
  readonly path: readonly string[]
  /** Where it is on this machine, for people. */
  readonly local: string
  /** Where it is reached until the walk goes on: through the open folder that it is in. */
  readonly at: string
  readonly kind: "file" | "directory" | "symlink"
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  /** The nearest that can be stored; see `storableTime`. */
  readonly mtimeNs: bigint
  /** When anything of it changed last, as the file system itself says. */
  readonly ctimeNs: bigint
  readonly uid: number
  readonly gid: number
  readonly dev: bigint
  readonly ino: bigint
  readonly sizeBytes: number
  /** Under so many names it is there. */
  readonly links: bigint
  /** What a symlink points to. */
  readonly target?: string
  /** Extended attributes of a file or folder; absent where they cannot be read. */
  readonly xattrs?: Xattrs
  /** Why those that are there are not kept. */
  readonly xattrProblem?: string
  /** All names in a directory, also those that are left out; absent when it cannot be read. */
  readonly names?: SortedNames
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

/** A folder whose names are walked. */
interface Frame {
  readonly path: readonly string[]
  readonly folder: Folder
  readonly exclusion: Exclusion
  names: readonly string[]
  /** Which of them comes next. */
  at: number
}

/** What is looked at next. */
interface Step {
  readonly path: readonly string[]
  readonly local: string
  readonly at: string
  /** Undefined at the root, which is what the user named. */
  readonly above: Frame | undefined
}

/**
 * Walks `root` depth first, each folder before what is in it, names in order. What cannot be stored (a name that is not UTF-8,
 * a folder that cannot be read) goes to `onProblem`, what nobody wants stored (a socket, our own data) to `onLeftOut`, and the
 * walk goes on. The root itself is what the user named.
 */
export function* walkLocal(root: string, options: WalkOptions): Generator<LocalItem, void, void> {
  const open: Frame[] = []
  const rootExclusion = Exclusion.of(options.exclude)
  let device: bigint | undefined
  try {
    for (let step: Step | undefined = { path: [], local: root, at: root, above: undefined }; step; step = next(open)) {
      const item = inspectStep(step, options)
      if (!item) continue
      device ??= item.dev
      if (item.kind !== "directory") {
        yield item
        continue
      }
      if (options.oneFileSystem && item.dev !== device) {
        options.onLeftOut?.(`What is in "${item.local}" was left out: another file system is mounted there.`)
        yield item
        continue
      }
      const opened = openStep(step, item, options)
      if (!opened) {
        yield item
        continue
      }
      const { folder, listed } = opened
      const { path } = step
      const exclusion = (step.above?.exclusion ?? rootExclusion).within(path, folder, listed.all, options.onProblem)
      open.push({ path, folder, exclusion, names: listed.names, at: 0 })
      const leavesOut = (name: string, isDirectory: boolean) => exclusion.excludes([...path, name], isDirectory)
      yield { ...opened.item, names: listed.all, leavesOut }
      dropParts(open.at(-1)!, options)
    }
  } finally {
    for (const { folder } of open) folder.close()
  }
}

/** The next name of the innermost folder that has one; folders that have none are done with. */
function next(open: Frame[]): Step | undefined {
  for (let frame = open.at(-1); frame; frame = open.at(-1)) {
    const name = frame.names[frame.at++]
    const { folder, path } = frame
    if (name !== undefined)
      return { path: [...path, name], local: `${folder.path}/${name}`, at: folder.at(name), above: frame }
    folder.close()
    open.pop()
  }
  return undefined
}

function dropParts(frame: Frame, { onLeftOut }: WalkOptions): void {
  const { names, folder } = frame
  if (!names.some(isPart)) return
  for (const name of names.filter(isPart))
    onLeftOut?.(`"${folder.path}/${name}" was left out: an interrupted \`get\` left it, or one is writing it.`)
  frame.names = names.filter((name) => !isPart(name))
}

/** Opens a folder and lists it; undefined, told, when that cannot be. What it is then is what is open, whatever was there before. */
function openStep({ path, local, above }: Step, item: LocalItem, { onProblem }: WalkOptions) {
  let folder: Folder | undefined
  const opened = attempt(local, onProblem, () => {
    folder = above ? above.folder.folder(path.at(-1)!) : Folder.open(local)
    const listed = listNames(folder, onProblem)
    return { folder, listed, item: asOpened(item, folder.fd) }
  })
  if (!opened) folder?.close()
  return opened
}

/** What is there, unless it is left out. */
function inspectStep({ path, local, at, above }: Step, options: WalkOptions): LocalItem | undefined {
  const { onLeftOut, onExcluded, onProblem, ownFolders } = options
  const isExcluded = (isDirectory: boolean) => above?.exclusion.excludes(path, isDirectory) === true
  const leaveOut = (text: string) => (isExcluded(false) ? onExcluded?.(path) : onLeftOut?.(text))
  const look = () => inspect(path, local, { at, follow: !above })
  const item = attempt(local, onProblem, look, above ? leaveOut : undefined)
  if (item?.kind === "file" && isOwnIndex(item, above?.folder, ownFolders)) {
    onLeftOut?.(`"${local}" was left out: it is the index of a volume's directory, which this command may be using.`)
    return undefined
  }
  if (!item || !above) return item
  const isDirectory = item.kind === "directory"
  if (isExcluded(isDirectory)) {
    onExcluded?.(path)
    return undefined
  }
  if (!isDirectory || !ownFolders?.has(identityOf(item))) return item
  onLeftOut?.(`"${local}" was left out: Holdfast keeps its own data there. Name it to store it all the same.`)
  return undefined
}

/**
 * True for the database of a directory that a volume lies in, or what lies beside it, whoever named it. Reading it here would end the
 * locks that this very process has on it: closing a file ends all that a process has on that file.
 */
function isOwnIndex(item: LocalItem, above: Folder | undefined, ownFolders: ReadonlySet<string> | undefined): boolean {
  if (!ownFolders) return false
  if (item.links > 1n && ownFolders.has(identityOf(item))) return true // under another name
  const file = above ? item.local : fs.realpathSync(item.local)
  if (!basename(file).startsWith("index.sqlite")) return false
  return ownFolders.has(
    above ? identityOf(fs.fstatSync(above.fd, { bigint: true })) : (folderIdentity(dirname(file)) ?? ""),
  )
}

/**
 * Tells folders from every other, by whatever path they are reached, and the databases of places in them, whatever hard links lead to
 * those: what `WalkOptions.ownFolders` takes.
 */
export function ownIdentities(folders: readonly string[]): ReadonlySet<string> {
  const files = folders.flatMap((folder) =>
    ["", "-wal", "-shm", "-journal"].map((end) => `${folder}/index.sqlite${end}`),
  )
  const identities = files.flatMap((file) => {
    const stat = fs.statSync(file, { bigint: true, throwIfNoEntry: false })
    return stat?.isFile() ? [identityOf(stat)] : []
  })
  return new Set([...folders.map(folderIdentity).filter((one) => one !== undefined), ...identities])
}

/** Tells a folder from every other, by whatever path it is reached; undefined where there is none. */
export function folderIdentity(path: string): string | undefined {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat?.isDirectory() ? identityOf(stat) : undefined
}

function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`
}

/** What `local` is, which is reached at `at`. With `follow`, a symlink is followed, as for a name given on the command line. */
export function inspect(
  path: readonly string[],
  local: string,
  { at = local, follow = false }: { readonly at?: string; readonly follow?: boolean } = {},
): LocalItem {
  const stat = follow ? fs.statSync(at, { bigint: true }) : fs.lstatSync(at, { bigint: true })
  const common = { path, local, at, ...attributesOf(stat) }
  if (stat.isFile()) return { ...common, ...xattrsAt(at, follow, stat), kind: "file" }
  if (stat.isDirectory()) return { ...common, ...xattrsAt(at, follow, stat), kind: "directory" }
  if (stat.isSymbolicLink()) return { ...common, kind: "symlink", target: readTarget(at, local) }
  throw specialError(local)
}

/**
 * The same item as what is open in its place. Another one may have come there since it was looked at: attributes that let a program act
 * as another user must not go to a file that somebody puts in between.
 */
export function asOpened(
  item: LocalItem,
  file: number,
  stat: fs.BigIntStats = fs.fstatSync(file, { bigint: true }),
): LocalItem {
  const attributes = attributesOf(stat)
  if (isUntouched(item, attributes)) return { ...item, ...attributes }
  const { xattrs: _, xattrProblem: __, ...rest } = item
  return { ...rest, ...attributes, ...told(readXattrs(file)) }
}

/** Of what was looked at; nobody knows where another one came in between. */
function xattrsAt(at: string, follow: boolean, seen: fs.BigIntStats): Pick<LocalItem, "xattrs" | "xattrProblem"> {
  const read = readXattrs(follow ? { followed: at } : at)
  if (!read.xattrs) return told(read) // nearly always
  return isUntouched(seen, follow ? fs.statSync(at, { bigint: true }) : fs.lstatSync(at, { bigint: true }))
    ? told(read)
    : {}
}

function told({ xattrs, problem }: Optional<ReadXattrs>): Pick<LocalItem, "xattrs" | "xattrProblem"> {
  return { ...(xattrs !== undefined && { xattrs }), ...(problem !== undefined && { xattrProblem: problem }) }
}

type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined }

type Seen = Pick<LocalItem, "dev" | "ino" | "ctimeNs">

function isUntouched(a: Seen, b: Seen): boolean {
  return a.ino === b.ino && a.dev === b.dev && a.ctimeNs === b.ctimeNs
}

/** What a file is beside its content, and where its inode is. */
export function attributesOf(stat: fs.BigIntStats) {
  return {
    mode: Number(stat.mode) & 0o7777,
    mtimeNs: storableTime(stat.mtimeNs),
    ctimeNs: stat.ctimeNs,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    dev: stat.dev,
    ino: stat.ino,
    sizeBytes: stat.isFile() ? Number(stat.size) : 0,
    links: stat.nlink,
  }
}

/** The error for what is no file, folder or symlink. */
export function specialError(local: string): HoldfastError {
  return new HoldfastError(
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
  folder: Folder,
  onProblem: (problem: Problem) => void,
): { readonly all: SortedNames; readonly names: readonly string[] } {
  const local = folder.path
  let names = fs.readdirSync(folder.here)
  if (names.some((name) => name.includes(lossy)))
    names = fs.readdirSync(folder.here, { encoding: "buffer" }).flatMap((bytes) => {
      const name = decodeStrictly(bytes)
      if (name !== undefined) return [name]
      const escaped = escapedName(bytes)
      onProblem({
        path: `${local}/${escaped}`,
        pathHex: Buffer.concat([Buffer.from(`${local}/`), bytes]).toString("hex"),
        code: "ERR_INVALID_NAME",
        message: `"${local}/${escaped}" was left out: its name is not valid UTF-8 (bytes that are none are shown as \\xE4). Rename it first.`,
      })
      return []
    })
  const all = new SortedNames(names)
  // Of a million names a copy would be felt, and hardly ever is one of them refused.
  if (names.every((name) => nameProblem(name) === undefined)) return { all, names }
  const storable = names.filter((name) => {
    const why = nameProblem(name)
    if (why === undefined) return true
    const shown = `${local}/${name}`
    onProblem({ path: shown, code: "ERR_INVALID_NAME", message: `"${shown}" was left out: ${why}.` })
    return false
  })
  return { all, names: storable }
}

function readTarget(at: string, local: string): string {
  const target = fs.readlinkSync(at)
  if (!target.includes(lossy)) return target
  const exact = decodeStrictly(fs.readlinkSync(at, { encoding: "buffer" }))
  if (exact !== undefined) return exact
  throw new HoldfastError(
    "ERR_INVALID_NAME",
    `The symlink "${local}" was left out: it points to a name that is not valid UTF-8.`,
  )
}
