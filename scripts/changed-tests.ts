/** Which tests a change concerns: those whose imports, followed through all packages, reach a file that differs. */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statSync } from "node:fs"
import { join, posix } from "node:path"
import { parseSource } from "./check/source.ts"

/** Paths that differ from `base` (a commit), with what is not committed and not known to git yet. Throws when there is no such commit. */
export function changedFiles(root: string, base: string): string[] {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean)
  return [...git("diff", "--name-only", "-z", base, "--"), ...git("ls-files", "--others", "--exclude-standard", "-z")]
}

/** Those of `tests` that import one of `changed`, or something that does. What a test reads or starts otherwise is not seen. */
export function testsOf(root: string, tests: readonly string[], changed: readonly string[]): string[] {
  const isChanged = new Set(changed)
  const importsOf = new Map<string, readonly string[]>()
  const imported = (path: string): readonly string[] => {
    let found = importsOf.get(path)
    if (!found) {
      const { imports } = parseSource(root, path)
      found = imports.flatMap(({ specifier }) => resolve(root, path, specifier) ?? [])
      importsOf.set(path, found)
    }
    return found
  }
  return tests.filter((test) => {
    const met = new Set([test])
    for (const path of met) {
      if (isChanged.has(path)) return true
      for (const next of imported(path)) met.add(next)
    }
    return false
  })
}

/** The file that an import means; undefined for what is not ours. */
function resolve(root: string, from: string, specifier: string): string | undefined {
  const path = specifier.startsWith(".")
    ? posix.join(posix.dirname(from), specifier)
    : specifier.startsWith("@holdfast/")
      ? exported(root, specifier)
      : undefined
  const isFile = path?.endsWith(".ts") && statSync(join(root, path), { throwIfNoEntry: false })?.isFile()
  return isFile ? path : undefined
}

function exported(root: string, specifier: string): string | undefined {
  const [, name = "", ...rest] = specifier.split("/")
  const file = join(root, "packages", name, "package.json")
  if (!existsSync(file)) return undefined
  const { exports = {} } = JSON.parse(readFileSync(file, "utf8")) as { exports?: Record<string, string> }
  const target = exports[rest.length > 0 ? `./${rest.join("/")}` : "."]
  return target && posix.join("packages", name, target)
}
