/** Who listens on a port of this machine: told from /proc, as far as this user may look. */
import { readdir, readFile, readlink } from "node:fs/promises"

/** A process that holds a port. */
export interface PortOwner {
  readonly pid: number
  /** Its name, as the kernel has it. */
  readonly name: string
}

/** State of a listening socket in /proc/net/tcp. */
const listening = "0A"

/** The process that listens on a port; undefined when nobody does, it is another user's, or there is no /proc. */
export async function ownerOfPort(port: number): Promise<PortOwner | undefined> {
  const inodes = new Set((await Promise.all(["tcp", "tcp6"].map((table) => socketsOn(table, port)))).flat())
  if (inodes.size === 0) return undefined
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    if (!(await holdsAny(pid, inodes))) continue
    const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")
    return { pid: Number(pid), name: name.trim() }
  }
  return undefined
}

async function socketsOn(table: string, port: number): Promise<string[]> {
  const text = await readFile(`/proc/net/${table}`, "utf8").catch(() => "")
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  const rows = text.split("\n").map((line) => line.trim().split(/\s+/))
  return rows.flatMap((row) => (row[1]?.endsWith(suffix) && row[3] === listening && row[9] ? [row[9]] : []))
}

async function holdsAny(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const dir = `/proc/${pid}/fd`
  for (const name of await readdir(dir).catch(() => [])) {
    const target = await readlink(`${dir}/${name}`).catch(() => "")
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (inode !== undefined && inodes.has(inode)) return true
  }
  return false
}
