/**
 * Builds what users install into a folder, `release` unless told: a package for npm, a single executable, a package for Debian, an image
 * for containers, a list of what is inside (SBOM) and checksums. The same commit gives the same bytes, wherever it is built; the image
 * does where Debian has the same updates. `npm run release [-- --out FOLDER]`.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { makeDeb } from "./release/deb.ts"
import { type DebianPackage, debianFilesOf } from "./release/debian-files.ts"
import { makeExecutable } from "./release/executable.ts"
import { makeImage } from "./release/image.ts"
import { makeNpmPackage } from "./release/npm-package.ts"
import { manifestOf } from "./release/staging.ts"

const root = join(import.meta.dirname, "..")

/** Builds all forms that this machine can build; gives the names of the files. */
export async function makeRelease(out: string): Promise<string[]> {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const seconds = Number(process.env["SOURCE_DATE_EPOCH"] ?? git("log", "-1", "--format=%ct"))
  let packages: readonly DebianPackage[] = []
  await inFolder(async (folder) => {
    // A folder of its own: the checkout's build may be in use.
    const built = join(folder, "dist")
    execFileSync(process.execPath, [join(root, "scripts/build.ts"), built], { stdio: ["ignore", "ignore", "inherit"] })
    await inFolder((work) => makeNpmPackage(root, { built, work, out, seconds }))
    if (process.platform !== "linux") return console.error("This is not Linux: the package for npm alone is made.")
    const executable = await inFolder((work) => makeExecutable(root, { built, work, out, seconds }))
    if (spawnSync("dpkg-deb", ["--version"]).status !== 0)
      return console.error("dpkg-deb is not here: no package for Debian and no image is made.")
    await inFolder((work) => makeDeb(root, { built, work, out, seconds }))
    const system = debianFilesOf(join(out, executable))
    await inFolder(async (work) => makeImage(root, { built, work, out, seconds }, { executable, system }))
    packages = system.packages
  })
  writeFileSync(join(out, "sbom.cdx.json"), sbom(seconds, packages))
  const names = readdirSync(out).sort()
  const sums = names.map(
    (name) =>
      `${createHash("sha256")
        .update(readFileSync(join(out, name)))
        .digest("hex")}  ${name}\n`,
  )
  writeFileSync(join(out, "SHA256SUMS"), sums.join(""))
  return [...names, "SHA256SUMS"]
}

/** What is bundled, installed beside it, or in the image, as CycloneDX, without what differs from run to run. */
function sbom(seconds: number, packages: readonly DebianPackage[]): string {
  const args = ["sbom", "--sbom-format", "cyclonedx", "--omit", "dev", "--package-lock-only"]
  const list = JSON.parse(execFileSync("npm", args, { cwd: root, maxBuffer: 64 * 1024 * 1024 }).toString("utf8"))
  delete list.serialNumber
  list.metadata.timestamp = new Date(1000 * seconds).toISOString()
  delete list.metadata.tools
  list.metadata.component.name = manifestOf(root)!.name // else that of the folder
  for (const { name, version, architecture } of packages) {
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`
    list.components.push({ "bom-ref": purl, type: "library", name, version, purl })
  }
  return `${JSON.stringify(list, null, 2)}\n`
}

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim()
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-release-"))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { out: { type: "string", default: "release" } } })
  const out = resolve(values.out)
  for (const name of await makeRelease(out)) console.log(join(out, name))
}
