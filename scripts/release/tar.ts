/** Archives in the ustar form of POSIX, the same bytes for the same entries: system tools leave owners, modes and times to the machine. */

/** One file, folder or symbolic link of an archive. */
export interface TarEntry {
  /** Without a slash at either end, ASCII, at most 100 letters. */
  readonly path: string
  /** Content of a file, target of a link; a folder has neither. */
  readonly file?: Uint8Array
  readonly link?: string
  /** 0644 for files and 0755 for folders when absent. */
  readonly mode?: number
  /** User and group, by number; 0 when absent. */
  readonly owner?: number
}

const blockBytes = 512

/** The archive of `entries`, in the order of their paths, with the folders above them; all have the time `seconds` after 1970. */
export function tarOf(entries: readonly TarEntry[], seconds: number): Uint8Array {
  const all = new Map(entries.map((entry) => [entry.path, entry]))
  for (const { path } of entries)
    for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
      const folder = path.slice(0, at)
      if (!all.has(folder)) all.set(folder, { path: folder })
    }
  const parts: Uint8Array[] = []
  for (const entry of [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const content = entry.file ?? new Uint8Array()
    parts.push(headerOf(entry, seconds), content, new Uint8Array(-content.length & (blockBytes - 1)))
  }
  parts.push(new Uint8Array(2 * blockBytes))
  return Buffer.concat(parts)
}

function headerOf({ path, file, link, mode, owner = 0 }: TarEntry, seconds: number): Uint8Array {
  const isFolder = file === undefined && link === undefined
  const name = isFolder ? `${path}/` : path
  if (name.length > 100 || (link ?? "").length > 100) throw new Error(`${name} is too long for an archive`)
  const header = Buffer.alloc(blockBytes)
  const number = (value: number, at: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, "0"), at, "latin1")
  header.write(name, 0, "latin1")
  number(mode ?? (link === undefined ? (isFolder ? 0o755 : 0o644) : 0o777), 100, 8)
  number(owner, 108, 8)
  number(owner, 116, 8)
  number(file?.length ?? 0, 124, 12)
  number(seconds, 136, 12)
  header.fill(" ", 148, 156) // the checksum counts as spaces in itself
  header.write(isFolder ? "5" : link === undefined ? "0" : "2", 156, "latin1")
  header.write(link ?? "", 157, "latin1")
  header.write("ustar\u000000", 257, "latin1")
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\u0000 `, 148, "latin1")
  return header
}
