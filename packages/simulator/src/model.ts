/**
 * What clients were told, in plain maps: which contents they stored, and which operations may have taken them away. It errs
 * on the side of the product: what may have been removed by somebody at the same time is not asked for.
 */
import { toHex } from "@holdfast/core"
import type { Entry, FileContent } from "@holdfast/tree"

/** When an operation may take effect. */
export interface Span {
  readonly startMs: number
  /** Infinite while it may still happen. */
  endMs: number
  /** Highest sequence that it tried to write; without one it has had no effect. */
  lastSequence?: number
}

/** A content that somebody stored. */
export interface Token {
  readonly id: number
  readonly path: string
  readonly span: Span
  readonly size: number
  /** Tokens with the same have the same bytes. */
  readonly content: number
  /** What identifies the content in an entry; unknown until it is stored. */
  key?: string
  /** When it was acknowledged. */
  ackedMs?: number
  /** Somebody has or may have removed it. */
  isGone?: boolean
}

interface Change {
  readonly span: Span
  readonly path: string
  /** Where it went; absent when it was removed or replaced. */
  readonly to?: string
  /** What the span itself moved here stays: only what was here before gives way. */
  readonly isByMove?: boolean
}

/** All that the model knows. */
export class Model {
  readonly tokens: Token[] = []
  readonly #changes: Change[] = []
  /** Acknowledged snapshots; undefined when one may have been removed. */
  readonly snapshots = new Map<string, Span>()
  readonly #removedSnapshots = new Set<string>()
  #open: Span[] = []

  /** An operation begins. */
  begin(nowMs: number): Span {
    return { startMs: nowMs, endMs: Number.POSITIVE_INFINITY }
  }

  /** It is over: surely without effect, surely done, or possibly still to come. */
  end(span: Span, isAcknowledged: boolean, nowMs: number): void {
    if (isAcknowledged) span.endMs = nowMs
    else if (span.lastSequence === undefined) span.endMs = Number.NEGATIVE_INFINITY
    else this.#open.push(span)
  }

  /** A higher sequence is acknowledged: what was lost before it comes no more. */
  acknowledged(sequence: number, nowMs: number): void {
    this.#open = this.#open.filter((span) => {
      if (span.lastSequence! >= sequence) return true
      span.endMs = nowMs
      return false
    })
  }

  /** A content to be stored at `path`, in place of what is there: of a size, or that of another token again. */
  put(span: Span, path: string, what: number | Token): Token {
    const id = this.tokens.length
    const content = typeof what === "number" ? { content: id, size: what } : { content: what.content, size: what.size }
    const token: Token = { id, path, span, ...content }
    this.tokens.push(token)
    this.#changes.push({ span, path })
    return token
  }

  /** What is at `path` and below goes. */
  remove(span: Span, path: string): void {
    this.#changes.push({ span, path })
  }

  /** What is at `path` and below goes to `to`, in place of a file that is there. */
  move(span: Span, path: string, to: string): void {
    this.#changes.push({ span, path, to }, { span, path: to, isByMove: true })
  }

  /** A snapshot is acknowledged. */
  keepSnapshot(span: Span, name: string): void {
    if (!this.#removedSnapshots.has(name)) this.snapshots.set(name, span)
  }

  /** Somebody begins to remove a snapshot. */
  removeSnapshot(name: string): void {
    this.#removedSnapshots.add(name)
    this.snapshots.delete(name)
  }

  /** Acknowledged contents that a read which began at `startMs` must show and that are not among `present`. */
  missing(present: ReadonlySet<string>, startMs: number): Token[] {
    return this.tokens.filter((token) => {
      if (token.isGone || token.ackedMs === undefined || token.ackedMs > startMs) return false
      if (present.has(token.key!) || this.#hasSameBytes(token, present)) return false
      token.isGone = this.#mayBeGone(token)
      return !token.isGone
    })
  }

  /** What two writers stored at one path becomes one file when the bytes are the same. */
  #hasSameBytes({ content }: Token, present: ReadonlySet<string>): boolean {
    return this.tokens.some((other) => other.content === content && other.key !== undefined && present.has(other.key))
  }

  #mayBeGone(token: Token): boolean {
    const later = this.#changes.filter(({ span }) => span !== token.span && span.endMs >= token.span.startMs)
    const paths = placesOf(token.path, later)
    if (!paths) return true
    return later.some(({ path, to, span, isByMove }) => {
      if (to !== undefined) return false
      const reached = isByMove
        ? placesOf(
            token.path,
            later.filter((one) => one.span !== span),
          )
        : paths
      return reached === undefined || [...reached].some((at) => isBelow(at, path))
    })
  }
}

/** Where something may be that was at `path` before the changes; undefined for more places than can be told. */
function placesOf(path: string, changes: readonly Change[]): ReadonlySet<string> | undefined {
  const paths = new Set([path])
  for (let before = -1; before !== paths.size; ) {
    before = paths.size
    for (const { path: from, to } of changes)
      if (to !== undefined) for (const at of [...paths]) if (isBelow(at, from)) paths.add(to + at.slice(from.length))
    if (paths.size > 200) return undefined
  }
  return paths
}

function isBelow(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}/`)
}

/** What identifies a file's content. */
export function keyOf(content: FileContent): string {
  if (content.form === "inline") return `inline ${toHex(content.bytes)}`
  const { chunk, offset, length } = content.reference
  return `${toHex(chunk.id)} ${offset} ${length}`
}

/** The key of an entry's content; undefined of what is not a file. */
export function entryKey(entry: Entry): string | undefined {
  return entry.kind === "file" ? keyOf(entry.content) : undefined
}
