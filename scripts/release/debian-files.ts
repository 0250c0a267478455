/** What an executable is linked with, as this machine's Debian has it. */
import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync, realpathSync } from "node:fs"

/** A package that libraries are of. */
export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
  /** What dpkg knows of it, in the form of its own status file. */
  readonly status: string
  readonly copyright: Uint8Array
}

/** Shared libraries of an executable, its loader among them. */
export interface DebianFiles {
  /** Where the executable looks for each, and where it really lies. */
  readonly libraries: readonly { readonly path: string; readonly source: string }[]
  readonly packages: readonly DebianPackage[]
}

/** Finds them. Throws where one is missing, or of no package. */
export function debianFilesOf(executable: string): DebianFiles {
  const lines = run("ldd", executable).trim().split("\n")
  const found = lines.map((line) => /(\/\S+) \(0x/.exec(line)?.[1]).filter((path) => path !== undefined)
  if (lines.some((line) => line.includes("not found")))
    throw new Error(`${executable} lacks libraries:\n${lines.join("\n")}`)
  // /lib and /lib64 are links into /usr, here as in the image.
  const libraries = found
    .map((path) => ({ path: path.replace(/^\/lib/, "/usr/lib"), source: realpathSync(path) }))
    .sort(byPath)
  const names = new Set(found.map(packageNameOf))
  return { libraries, packages: [...names].sort().map(packageOf) }
}

/** A package may list its file with /usr or without. */
function packageNameOf(path: string): string {
  const { stdout } = spawnSync("dpkg", ["--search", path, `/usr${path}`], { encoding: "utf8" })
  const [, name] = /^([^:,\s]+)/.exec(stdout) ?? []
  if (!name) throw new Error(`${path} is of no package`)
  return name
}

function packageOf(name: string): DebianPackage {
  const status = run("dpkg-query", "--status", name)
  const field = (word: string) => RegExp(`^${word}: (.+)$`, "m").exec(status)![1]!
  return {
    ...{ name, status },
    version: field("Version"),
    architecture: field("Architecture"),
    copyright: readFileSync(`/usr/share/doc/${name}/copyright`),
  }
}

function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : 1
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } })
}
