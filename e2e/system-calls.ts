/** Reads what strace wrote (`-f -y`): which files system calls opened or changed. */
import { resolve } from "node:path"

/** A file that a call reached. */
export interface Touched {
  /** As strace wrote it. */
  readonly call: string
  /** Where the file is, with the folders that the call went through resolved. */
  readonly path: string
  /** False for a file that was only opened for reading. */
  readonly writes: boolean
}

const opening = /^(?:open|openat|creat)$/
const changing =
  /^(?:rename|renameat|renameat2|unlink|unlinkat|rmdir|mkdir|mkdirat|link|linkat|symlink|symlinkat|mknod|mknodat|chmod|fchmodat|fchmodat2|chown|lchown|fchownat|truncate|utimensat|utime|utimes|setxattr|lsetxattr|removexattr|lremovexattr)$/
/** Takes what is changed by its number. */
const changingOpen = /^(?:fchmod|fchown|ftruncate|fallocate|fsetxattr)$/
/** Changes the time of what is open when it has no path. */
const nullPath = /^utimensat\(\d+<([^>]*)>, NULL/

/** Files that successful calls opened or changed. */
export function changesIn(log: string): Touched[] {
  const folders = new Map<string, string>()
  return joined(log).flatMap((line) => touchedBy(line, folders))
}

/** Calls that strace cut in two because another thread was faster. */
function joined(log: string): string[] {
  const begun = new Map<string, string>()
  const whole: string[] = []
  for (const line of log.split("\n")) {
    const [, thread, text] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (!thread || text === undefined) continue
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text)
    if (text.endsWith("<unfinished ...>")) begun.set(thread, text.slice(0, -"<unfinished ...>".length))
    else if (resumed) whole.push((begun.get(thread) ?? "") + resumed[1])
    else whole.push(text)
  }
  return whole
}

function touchedBy(call: string, folders: Map<string, string>): Touched[] {
  const [, name, given, result] = /^(\w+)\((.*)\)\s+= (.*)$/.exec(call) ?? []
  if (name === undefined || given === undefined || result === undefined || result.startsWith("-1")) return []
  // What an open gives is the file itself, however it was reached.
  const opened = /^(\d+)<(.*)>$/.exec(result)
  if (opened) folders.set(opened[1]!, opened[2]!)
  if (opening.test(name) && opened)
    return [{ call, path: opened[2]!, writes: /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(given) || name === "creat" }]
  const ofNumber = /^\d+<([^>]*)>/.exec(given)?.[1] ?? nullPath.exec(call)?.[1]
  if (changingOpen.test(name) || nullPath.test(call)) return ofNumber ? [{ call, path: ofNumber, writes: true }] : []
  if (!changing.test(name)) return []
  return pathsOf(name, given).map((path) => ({ call, path: through(path, folders), writes: true }))
}

/** Paths among a call's arguments: each after the folder that it is relative to, if the call takes one. */
function pathsOf(name: string, given: string): string[] {
  const pieces = [...given.matchAll(/(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"/g)]
  const paths = pieces.map(([, folder, path]) => (folder === undefined ? path! : resolve(folder, path!)))
  return name.startsWith("symlink") ? paths.slice(1) : paths // the text of a link is no path that is gone through
}

/** A path through a folder that is held open, as a path of the file system. */
function through(path: string, folders: ReadonlyMap<string, string>): string {
  const held = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/.exec(path)
  return held ? `${folders.get(held[1]!) ?? "/unknown"}${held[2] ?? ""}` : path
}
