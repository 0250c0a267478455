/** Files of other users: who may not use one is told whose it is and what to do. */
import * as fs from "node:fs"
import { dirname, resolve } from "node:path"

/** Whose a file is that this user may not use, or the folder that hides it; undefined where it is this user's own, and for root. */
export function whoseIs(path: string): string | undefined {
  const own = process.geteuid?.()
  if (own === undefined || own === 0) return undefined
  for (let at = resolve(path); ; at = dirname(at)) {
    const uid = uidOf(at)
    if (uid === own || (uid === undefined && at === dirname(at))) return undefined
    if (uid !== undefined)
      return `${at} belongs to ${uid === 0 ? "root" : `user ${uid}`}, and you are user ${own}. ${adviceFor(at, uid, own)}`
  }
}

function uidOf(path: string): number | undefined {
  try {
    return fs.lstatSync(path).uid
  } catch {
    return undefined // not there, or hidden by a folder further up
  }
}

function adviceFor(path: string, uid: number, own: number): string {
  if (uid !== 0) return "Run the command as that user, or use files of your own."
  return `If a command that you ran with sudo made it, take it back: sudo chown -R ${own} '${path.replaceAll("'", `'\\''`)}'`
}

/** True for the system's word that this user may not do something. */
export function isDenied(error: unknown): boolean {
  return ["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException | undefined)?.code ?? "")
}
