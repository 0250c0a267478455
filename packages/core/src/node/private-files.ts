/** Folders and files of one user, made by whoever runs us: what root makes in somebody's folder belongs to that person. */
import * as fs from "node:fs"
import { basename, dirname, resolve } from "node:path"
import { Folder } from "./folder.ts"

/**
 * Makes a folder and those above it, mode 0700; gives the first that was made. Throws what node:fs throws. Step by step, since
 * `mkdir` with `recursive` tries for ever where a folder is there and takes none, as in /proc.
 */
export function makePrivateFolder(path: string): string | undefined {
  const missing: string[] = []
  let there = resolve(path)
  for (; !fs.existsSync(there); there = dirname(there)) missing.unshift(there)
  if (process.getuid?.() === 0)
    makeAsRoot(
      there,
      missing.map((folder) => basename(folder)),
    )
  else for (const folder of missing) makeUnlessThere(folder)
  if (!fs.statSync(path).isDirectory())
    throw Object.assign(new Error(`EEXIST: ${path} is no folder`), { code: "EEXIST" })
  return missing[0]
}

/** Through what is open: whoever owns `there` could put links in the way, and be given folders elsewhere. */
function makeAsRoot(there: string, missing: readonly string[]): void {
  if (missing.length === 0) return
  let folder = Folder.open(there)
  try {
    const owner = ownerIn(fs.fstatSync(folder.fd))
    for (const name of missing) {
      const isMade = folder.makeFolder(name) // else another process was faster
      const next = folder.folder(name)
      folder.close()
      folder = next
      if (owner && isMade) fs.fchownSync(folder.fd, owner.uid, owner.gid)
    }
  } finally {
    folder.close()
  }
}

function makeUnlessThere(folder: string): void {
  try {
    fs.mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error // another process was faster
  }
}

/** Gives a file that was made in a folder to the folder's owner, when root made it. */
export function keepOwner(file: number, folder: string): void {
  const owner = ownerOf(folder)
  if (owner) fs.fchownSync(file, owner.uid, owner.gid)
}

/** Whose a folder is, when that is somebody else and we may give to others. */
function ownerOf(folder: string): fs.Stats | undefined {
  if (process.getuid?.() !== 0) return undefined
  const stat = fs.statSync(folder, { throwIfNoEntry: false })
  return stat && ownerIn(stat)
}

/** Everybody's folder (such as /tmp) is nobody's home. */
function ownerIn(stat: fs.Stats): fs.Stats | undefined {
  return stat.uid !== 0 && (stat.mode & 0o022) === 0 ? stat : undefined
}
