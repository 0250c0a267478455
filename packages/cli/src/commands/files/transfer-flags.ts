/** Flags that `put` and `get` share. */
import * as fs from "node:fs"
import { isSea } from "node:sea"
import { HoldfastError } from "@holdfast/core"
import { localError, readStart } from "@holdfast/core/node"
import { knowsXattrs } from "@holdfast/fs/node"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import type { FileFlags } from "./open.ts"

/** What the user wants of a transfer. */
export interface TransferFlags extends FileFlags {
  readonly overwrite?: boolean
  readonly dryRun?: boolean
  readonly exclude?: readonly string[]
  readonly excludeFrom?: readonly string[]
}

const mostPatternBytes = 1024 * 1024

/** Adds them to a command. */
export function withTransferFlags(command: Command, what: "store" | "write"): Command {
  return command
    .option("--overwrite", `${what} files again even when size, time and attributes are the same`)
    .option("--dry-run", "say what would be done, and do nothing")
    .option("--exclude <pattern>", "leave out what matches, as in .gitignore; may be given often", collected)
    .option("--exclude-from <file>", "the same for each line of a file; may be given often", collected)
    .option("--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)")
}

function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split("\n")]
}

/** The patterns of both flags. Throws ERR_NOT_FOUND, ERR_IO, ERR_LIMIT. */
export function patternsOf({ exclude = [], excludeFrom = [] }: TransferFlags): readonly string[] {
  return [...exclude, ...excludeFrom.flatMap(linesOf)]
}

function linesOf(file: string): string[] {
  try {
    return listIn(file)
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
  } catch (error) {
    throw localError(error, file)
  }
}

/** All of a file that may be a pipe, and so says nothing of its length. Throws ERR_LIMIT for a longer one. */
function listIn(path: string): string {
  const file = fs.openSync(path, "r")
  try {
    const bytes = readStart(file, mostPatternBytes + 1)
    if (bytes.length > mostPatternBytes)
      throw new HoldfastError("ERR_LIMIT", `"${path}" is longer than a list of patterns may be.`)
    return bytes.toString("utf8")
  } finally {
    fs.closeSync(file)
  }
}

/** Tells of each thing as it is done: with --verbose on standard error, without doing it on standard output. */
export function itemTeller(context: Context, dryRun: boolean | undefined): ((text: string) => void) | undefined {
  if (dryRun) return context.line
  return context.verbosity.verbose ? context.detail : undefined
}

/** What was not done with extended attributes, with the reason: nothing here can read or set them, or the file system keeps none. */
export function withoutXattrs(what: string): string {
  const why = knowsXattrs()
    ? "the file system there keeps none"
    : isSea()
      ? "the single executable has no help for that, which the packages for Debian and npm have"
      : "that takes Linux and the optional package koffi"
  return `${what}: ${why}.`
}
