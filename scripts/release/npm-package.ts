/** The package for `npm install -g`: the bundles, and by name only what is not in them. */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { externals, type Job, manifestOf, normalise, stagePages, stageProgram, writeAt } from "./staging.ts"

/** Makes holdfast-VERSION.tgz of a job; gives its name. */
export async function makeNpmPackage(root: string, { built, work, out, seconds }: Job): Promise<string> {
  const own = manifestOf(root)!
  stageProgram(root, built, work)
  const pages = await stagePages(join(work, "man"), (text) => Buffer.from(text))
  writeAt(join(work, "README.md"), readFileSync(join(root, "README.md")))
  const exact = (name: string) => [name, manifestOf(join(root, "node_modules", name))!.version] as const
  const { name, version, description, license, engines, optionalDependencies } = own
  const manifest = {
    ...{ name, version, description, license, type: "module", engines },
    bin: { holdfast: "bin/holdfast" },
    man: pages.map((page) => `man/${page}`),
    files: ["bin", "dist", "man", "THIRD-PARTY-NOTICES"],
    dependencies: Object.fromEntries(externals.map(exact)),
    optionalDependencies, // the Node that runs it where the machine's own is older
  }
  writeAt(join(work, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`)
  normalise(work, seconds)
  const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", out], { cwd: work })
  const [{ filename }] = JSON.parse(packed.toString("utf8")) as [{ filename: string }]
  return filename
}
