/**
 * Where the command line's words come out: results on standard output, warnings and questions on standard error. All text
 * passes here on its way to people, so that nothing from elsewhere drives their terminal or shows a secret.
 */
import { shownEach, shownJson, shownLine, shownNote } from "@holdfast/core"

/** A line of text, or the cells of one, with tabs between. Line ends and tabs within are data, and made visible. */
export type Line = string | readonly string[]

/** How much people want to hear; set once the arguments are parsed. */
export interface Verbosity {
  quiet: boolean
  verbose: boolean
}

/** What a command shows people. */
export interface Screen {
  readonly verbosity: Verbosity
  /** Prints that something was done: as `output`, but no text with --quiet. */
  done(value: unknown, text: string | readonly Line[]): void
  /** A line on standard output, at once; not with --json. */
  line(text: string): void
  /** A line on standard error, with --verbose only. */
  detail(text: string): void
  /** Prints a result: `value` with --json, exactly; else the line or lines. */
  output(value: unknown, text: string | readonly Line[]): void
  /** Prints what is to be used as it is: a capability that was asked for, a script. */
  outputExact(value: unknown, text: string): void
  /** Says something beside the result, as `holdfast: …` on standard error. */
  warn(text: string): void
  /** Lines on standard error. */
  tell(lines: readonly string[]): void
}

/** Where a screen writes. */
export interface Streams {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  readonly json: boolean
}

/** The screen over two streams. */
export function createScreen({ stdout, stderr, json }: Streams): Screen {
  const result = (value: unknown, text: string) => {
    if (json) stdout.write(`${shownJson(value)}\n`)
    else if (text !== "") stdout.write(text.endsWith("\n") ? text : `${text}\n`)
  }
  const verbosity: Verbosity = { quiet: false, verbose: false }
  const output: Screen["output"] = (value, text) => result(value, json ? "" : shownText(text))
  return {
    verbosity,
    output,
    done: (value, text) => output(value, verbosity.quiet ? "" : text),
    line: (text) => void (json || stdout.write(`${shownLine(text)}\n`)),
    detail: (text) => void (verbosity.verbose && !json && stderr.write(`${shownNote(text)}\n`)),
    outputExact: result,
    warn: (text) => void stderr.write(`holdfast: ${shownNote(text)}\n`),
    tell: (lines) => void stderr.write(lines.map((line) => `${shownNote(line)}\n`).join("")),
  }
}

function shownText(text: string | readonly Line[]): string {
  if (typeof text === "string") return shownLine(text)
  return (isOneCellEach(text) ? shownEach(text) : text.map(shownCells)).join("\n")
}

function isOneCellEach(lines: readonly Line[]): lines is readonly string[] {
  return lines.every((line) => typeof line === "string")
}

function shownCells(line: Line): string {
  return typeof line === "string" ? shownLine(line) : line.map(shownLine).join("\t")
}
