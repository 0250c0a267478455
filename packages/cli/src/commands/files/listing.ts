/** How entries are shown to people: names made safe, modes, sizes, times. */

/** What a line of `ls -l` needs to know. */
export interface Listed {
  readonly name: string
  readonly kind: "file" | "directory" | "symlink" | "junction"
  readonly mode: number
  /** User and group, as numbers. */
  readonly uid: number
  readonly gid: number
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

/** Makes the lines of a listing, whose columns are as wide as what came so far needs. */
export class ListingLines {
  readonly #style: ListingStyle
  #sizeWidth = 1
  #ownerWidth = 1

  constructor(style: ListingStyle) {
    this.#style = style
  }

  /** The lines of the next items, without line ends. */
  of(items: readonly Listed[]): string[] {
    const { long, human } = this.#style
    if (!long) return items.map((item) => shownName(item))
    const sizes = items.map((item) => (human ? humanSize(item.sizeBytes) : String(item.sizeBytes)))
    const owners = items.map(({ uid, gid }) => `${uid}:${gid}`)
    const widest = (texts: readonly string[], least: number) =>
      texts.reduce((most, text) => Math.max(most, text.length), least)
    this.#sizeWidth = widest(sizes, this.#sizeWidth)
    this.#ownerWidth = widest(owners, this.#ownerWidth)
    return items.map((item, i) => {
      const arrow = item.target === undefined ? "" : ` -> ${item.target}`
      const owner = owners[i]!.padEnd(this.#ownerWidth)
      return `${modeText(item)} ${owner} ${sizes[i]!.padStart(this.#sizeWidth)} ${timeText(item.mtimeNs)} ${shownName(item)}${arrow}`
    })
  }
}

/** `drwxr-xr-x`, with `s` and `t` as `ls` has them, and `j` for a junction: another tree linked in here. */
export function modeText({ kind, mode }: Pick<Listed, "kind" | "mode">): string {
  const type = { file: "-", directory: "d", symlink: "l", junction: "j" }[kind]
  const has = (bit: number) => ((mode >> bit) & 1) === 1
  let text = type
  for (let bit = 8; bit >= 0; bit--) {
    const special = bit % 3 === 0 && has(9 + bit / 3) ? (bit === 0 ? "t" : "s") : undefined
    if (special) text += has(bit) ? special : special.toUpperCase()
    else text += has(bit) ? "rwx"[(8 - bit) % 3] : "-"
  }
  return text
}

/** `2026-03-01 12:00`, in the time zone of who looks (TZ), as `ls` has it. */
export function timeText(ns: bigint): string {
  const date = new Date(Number(ns / 1_000_000n))
  if (Number.isNaN(date.getTime())) return "????-??-?? ??:??"
  const two = (part: number) => String(part).padStart(2, "0")
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
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
