/** What every form of a release holds: the launchers, the bundles, the packages that are not bundled, pages and licences. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { manPages } from "./man-pages.ts"

/** The parts of a package.json that count here. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly license?: string
  readonly engines?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** What makes one form of a release works on. */
export interface Job {
  /** Folder of the bundles. */
  readonly built: string
  /** An empty folder for what is put together. */
  readonly work: string
  /** Folder that the result goes to. */
  readonly out: string
  /** The time that all files have, in seconds since 1970. */
  readonly seconds: number
}

/** Packages that the bundles import by name: see `external` in scripts/build.ts. */
export const externals = ["@peculiar/x509", "reflect-metadata"]

/** What calls the C library for the bundles where it is there: one package of code, and one of what was built for this machine. */
export const bridge = ["koffi", `@koromix/koffi-linux-${process.arch}`]

/** Reads a package.json; undefined where there is none. */
export function manifestOf(folder: string): Manifest | undefined {
  const file = join(folder, "package.json")
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Manifest) : undefined
}

/** Writes a file with the folders above it, as 0644 or as told. */
export function writeAt(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  writeFileSync(path, content, { mode })
}

/** Puts launchers, the bundles of the folder `built` (without their maps) and licences into `target`. */
export function stageProgram(root: string, built: string, target: string): void {
  writeAt(join(target, "bin/holdfast"), readFileSync(join(root, "bin/holdfast")), 0o755)
  writeAt(join(target, "bin/holdfast.mjs"), readFileSync(join(root, "bin/holdfast.mjs")))
  for (const name of readdirSync(built)
    .filter((one) => one.endsWith(".mjs"))
    .sort())
    writeAt(join(target, "dist", name), readFileSync(join(built, name)))
  writeAt(join(target, "LICENSE"), readFileSync(join(root, "LICENSE")))
  writeAt(join(target, "THIRD-PARTY-NOTICES"), notices(root))
}

/** Where the Node lies that some forms bring along, in `bin/node`, and the licences of its parts, in `LICENSE`. */
export function nodeFolder(root: string): string {
  return join(root, "node_modules", `node-linux-${process.arch}`)
}

/** The licences of all packages that are bundled or come along. */
function notices(root: string): string {
  const parts: string[] = []
  for (const [name, folder] of closureOf(root, [...Object.keys(manifestOf(root)!.dependencies!), "koffi"])) {
    const { version, license = "see its files" } = manifestOf(folder)!
    const file = readdirSync(folder).find((one) => /^(licen[cs]e|copying)/i.test(one))
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : ""
    parts.push(`${name} ${version} (${license})\n${"-".repeat(72)}\n${text}\n`)
  }
  return parts.join("\n")
}

/** Puts the manual pages into `target`; gives their names. */
export async function stagePages(target: string, encode: (text: string) => Uint8Array, ending = ""): Promise<string[]> {
  const names: string[] = []
  for (const [name, text] of await manPages()) {
    writeAt(join(target, `${name}${ending}`), encode(text))
    names.push(`${name}${ending}`)
  }
  return names
}

/** The folders in node_modules of packages and all that they need, by name. Throws for one that is not installed. */
export function closureOf(root: string, names: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const open = [...names]
  for (let name = open.shift(); name !== undefined; name = open.shift()) {
    if (found.has(name)) continue
    const folder = join(root, "node_modules", name)
    const manifest = manifestOf(folder)
    if (!manifest) throw new Error(`${name} is not in node_modules: run npm run setup`)
    found.set(name, folder)
    open.push(...Object.keys(manifest.dependencies ?? {}))
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Copies packages with what they need, but for what only developers use. */
export function stagePackages(packages: ReadonlyMap<string, string>, target: string): void {
  for (const [name, folder] of packages)
    cpSync(folder, join(target, name), {
      recursive: true,
      dereference: true,
      filter: (path) => !/\.(map|ts|mts|cts|md|cc|hh|inc)$/.test(path) && !/\/(test|vendor)\//.test(path),
    })
}

/** Gives all below `folder`, in which there are no links, one time and plain modes: archives of it are the same wherever they are made. */
export function normalise(folder: string, seconds: number): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) normalise(path, seconds)
    else {
      chmodSync(path, (statSync(path).mode & 0o100) === 0 ? 0o644 : 0o755)
      utimesSync(path, seconds, seconds)
    }
  }
  chmodSync(folder, 0o755)
  utimesSync(folder, seconds, seconds)
}
