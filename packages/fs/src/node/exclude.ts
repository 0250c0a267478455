/**
 * What a walk over a local folder leaves out because its owner wants so: patterns as in .gitignore, `.holdfastignore` files on the
 * way, folders that programs mark as caches. Syntax: https://git-scm.com/docs/gitignore; caches: https://bford.info/cachedir/.
 */
import * as fs from "node:fs"
import { HoldfastError } from "@holdfast/core"
import { type Folder, localError, readFlags, readStart } from "@holdfast/core/node"
import ignore, { type Ignore } from "ignore"
import type { Problem } from "./problem.ts"

/** What is left out. */
export interface ExcludeOptions {
  /** Patterns as in .gitignore, read from the root of the walk; they decide over those of files. */
  readonly patterns?: readonly string[]
  /** Of a folder that is marked as a cache the mark alone is stored. */
  readonly caches?: boolean
  /** `.holdfastignore` files are files like others. */
  readonly noIgnoreFiles?: boolean
}

/** A file with patterns for the folder that it is in. */
export const ignoreFileName = ".holdfastignore"

const cacheTagName = "CACHEDIR.TAG"
const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55"
/** Bytes of a file with patterns. */
const mostIgnoreBytes = 1024 * 1024
/** Letters of a pattern: paths have no more, and an expression of too many is refused only when it is used. */
const mostPatternLetters = 4096

/** Patterns of a folder, read from there on. */
interface Rules {
  /** Names of the folder that they are in. */
  readonly depth: number
  readonly matcher: Ignore
}

/** What is left out below a folder. */
export class Exclusion {
  readonly #options: ExcludeOptions
  readonly #asked: Rules | undefined
  readonly #files: readonly Rules[]
  readonly #isCache: boolean

  private constructor(options: ExcludeOptions, asked: Rules | undefined, files: readonly Rules[], isCache: boolean) {
    this.#options = options
    this.#asked = asked
    this.#files = files
    this.#isCache = isCache
  }

  /** At the root of a walk. Throws ERR_INVALID_ARGUMENT for a pattern that cannot be read. */
  static of(options: ExcludeOptions = {}): Exclusion {
    const asked = options.patterns && options.patterns.length > 0 ? rulesOf(options.patterns, 0) : undefined
    return new Exclusion(options, asked, [], false)
  }

  /** Of what is in `folder`, whose names are `names`. */
  within(
    path: readonly string[],
    folder: Folder,
    names: Pick<ReadonlySet<string>, "has">,
    onProblem: (problem: Problem) => void,
  ) {
    const isCache = this.#options.caches === true && names.has(cacheTagName) && isTag(folder.at(cacheTagName))
    const rules =
      this.#options.noIgnoreFiles !== true && names.has(ignoreFileName)
        ? readRules(folder, path.length, onProblem)
        : undefined
    if (!rules && !isCache) return this.#isCache ? new Exclusion(this.#options, this.#asked, this.#files, false) : this
    return new Exclusion(this.#options, this.#asked, rules ? [...this.#files, rules] : this.#files, isCache)
  }

  /** True when what is at `path`, directly in the folder, is left out. */
  excludes(path: readonly string[], isDirectory: boolean): boolean {
    if (this.#isCache && path.at(-1) !== cacheTagName) return true
    let isExcluded = false
    for (const { depth, matcher } of this.#asked ? [...this.#files, this.#asked] : this.#files) {
      const below = path.slice(depth)
      // The folder is not left out, since the walk is in it: other patterns took it in again, with what is in it.
      if (below.length > 1 && matcher.ignores(`${below.slice(0, -1).join("/")}/`)) continue
      const { ignored, unignored } = matcher.test(below.join("/") + (isDirectory ? "/" : ""))
      if (ignored) isExcluded = true
      else if (unignored) isExcluded = false
    }
    return isExcluded
  }
}

/** Throws ERR_INVALID_ARGUMENT, which repeats no pattern: a file of something else may have been named, a secret's too. */
function rulesOf(patterns: readonly string[], depth: number): Rules {
  const matcher = ignore({ ignorecase: false, allowRelativePaths: true })
  for (const [i, pattern] of patterns.entries())
    try {
      if (pattern.length > mostPatternLetters && !pattern.startsWith("#")) throw new RangeError("too long")
      matcher.add([pattern])
    } catch (error) {
      const why = error instanceof RangeError ? `: it has more than ${mostPatternLetters} letters` : ""
      const which = `Pattern ${i + 1} of ${patterns.length} cannot be read${why}.`
      throw new HoldfastError("ERR_INVALID_ARGUMENT", which)
    }
  return { depth, matcher }
}

function readRules(folder: Folder, depth: number, onProblem: (problem: Problem) => void): Rules | undefined {
  const file = `${folder.path}/${ignoreFileName}`
  try {
    const text = startOf(folder.at(ignoreFileName), mostIgnoreBytes + 1)
    if (text === undefined) return undefined
    if (text.length > mostIgnoreBytes)
      throw new HoldfastError("ERR_LIMIT", `"${file}" is longer than a list of patterns may be; it was not applied.`)
    const lines = text
      .toString("utf8")
      .replace(/^\ufeff/, "")
      .split(/\r?\n/)
    return rulesOf(lines, depth)
  } catch (error) {
    const { code, message } = localError(error, file)
    const isOfPattern = code === "ERR_INVALID_ARGUMENT"
    onProblem({ path: file, code, message: isOfPattern ? `"${file}" was not applied. ${message}` : message })
    return undefined
  }
}

function isTag(file: string): boolean {
  try {
    return startOf(file, cacheTag.length)?.toString("latin1") === cacheTag
  } catch {
    return false // it is stored, and what is wrong with it is told then
  }
}

/** The first bytes of a regular file; undefined for anything else, which is not waited for. */
function startOf(path: string, limit: number): Buffer | undefined {
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isFile()) return undefined // opening a device may do something
  const file = fs.openSync(path, readFlags)
  try {
    if (!fs.fstatSync(file).isFile()) return undefined
    return readStart(file, limit)
  } finally {
    fs.closeSync(file)
  }
}
