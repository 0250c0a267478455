/** How entries are shown to people: names made safe, modes, sizes, times. */

/** What a line of `ls -l` needs to know. */
export interface Listed {
  readonly name: string
  readonly kind: "file" | "directory" | "symlink" | "junction"
  readonly mode: number
  readonly sizeBytes: number
  readonly mtimeNs: bigint
  readonly target?: string
}

/** Options of a listing. */
export interface ListingStyle {
  readonly long: boolean
  /** Sizes as 1.5K rather than in bytes. */
  readonly human: boolean
}

/** The lines of a listing, without line ends. */
export function formatListing(items: readonly Listed[], style: ListingStyle): string[] {
  if (!style.long) return items.map((item) => shownName(item))
  const sizes = items.map((item) => (style.human ? humanSize(item.sizeBytes) : String(item.sizeBytes)))
  const width = sizes.reduce((widest, size) => Math.max(widest, size.length), 1)
  return items.map((item, i) => {
    const arrow = item.target === undefined ? "" : ` -> ${item.target}`
    return `${modeText(item)} ${sizes[i]!.padStart(width)} ${timeText(item.mtimeNs)} ${shownName(item)}${arrow}`
  })
}

/** `drwxr-xr-x`, with `j` for a junction: another tree linked in here. */
export function modeText({ kind, mode }: Pick<Listed, "kind" | "mode">): string {
  const type = { file: "-", directory: "d", symlink: "l", junction: "j" }[kind]
  let text = type
  for (let bit = 8; bit >= 0; bit--) text += (mode >> bit) & 1 ? "rwx"[(8 - bit) % 3] : "-"
  return text
}

/** `2026-03-01 12:00`, in UTC so that it is the same everywhere. */
export function timeText(ns: bigint): string {
  const ms = Number(ns / 1_000_000n)
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? "????-??-?? ??:??" : date.toISOString().slice(0, 16).replace("T", " ")
}

/** `1.5K`, `20M`: powers of 1024. */
export function humanSize(bytes: number): string {
  if (bytes < 1024) return String(bytes)
  let value = bytes
  for (const unit of "KMGTPE") {
    value /= 1024
    if (value < 1023.5 || unit === "E") return `${value < 9.95 ? value.toFixed(1) : Math.round(value)}${unit}`
  }
  return String(bytes)
}

function shownName(item: Listed): string {
  const name = item.name
  return item.kind === "directory" || item.kind === "junction" ? `${name}/` : name
}
