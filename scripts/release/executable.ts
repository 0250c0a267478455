/** The single executable: Node with the bundles inside, which needs nothing installed beside it. */
import { execFileSync } from "node:child_process"
import { chmodSync, copyFileSync, mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { build } from "esbuild"
import { externals, type Job, manifestOf, nodeFolder, stageProgram, writeAt } from "./staging.ts"

/** Where Node looks for what was put into it, and the mark by which it knows that something was: as Node's documentation gives them. */
const resource = "NODE_SEA_BLOB"
const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2"

/** Makes holdfast-VERSION-linux-ARCH of a job; gives its name. */
export async function makeExecutable(root: string, { built, work, out }: Job): Promise<string> {
  stageProgram(root, built, work)
  const assets = await stageAssets(root, work)
  const main = await bundle(root, "packages/cli/src/standalone.ts", "cjs")
  writeAt(join(work, "main.cjs"), main)
  // Names without folders: they stay in what comes out.
  const config = { main: "main.cjs", output: "blob", assets, disableExperimentalSEAWarning: true }
  writeAt(join(work, "config.json"), JSON.stringify(config))
  const node = join(nodeFolder(root), "bin/node")
  execFileSync(node, ["--experimental-sea-config", "config.json"], { cwd: work, stdio: "pipe" })
  const name = `holdfast-${manifestOf(root)!.version}-linux-${process.arch}`
  mkdirSync(out, { recursive: true })
  const file = join(out, name)
  copyFileSync(node, file)
  chmodSync(file, 0o755)
  const inject = [join(root, "node_modules/postject/dist/cli.js"), file, resource, join(work, "blob")]
  execFileSync(process.execPath, [...inject, "--sentinel-fuse", fuse], { stdio: "pipe" })
  return name
}

/** Puts beside the bundles what they load from elsewhere; gives the paths of all assets below `work` by their names. */
async function stageAssets(root: string, work: string): Promise<Record<string, string>> {
  // The hooks that load modules from assets are those of the main thread alone: a worker's address is its code.
  const worker = await bundle(root, "packages/store/src/node/chunk-worker.ts", "esm")
  writeAt(join(work, "dist/chunk-worker.url"), `data:text/javascript;base64,${Buffer.from(worker).toString("base64")}`)
  writeAt(join(work, "dist/start.mjs"), 'import("./holdfast.mjs")\n')
  for (const name of externals) writeAt(join(work, "dist", `${name}.mjs`), await bundle(root, name, "esm"))
  const paths = readdirSync(join(work, "dist"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "chunk-worker.mjs")
    .map((entry) => join(entry.parentPath, entry.name).slice(join(work, "dist/").length))
    .sort()
  copyFileSync(join(nodeFolder(root), "LICENSE"), join(work, "NODE-LICENSE"))
  const licences = ["LICENSE", "THIRD-PARTY-NOTICES", "NODE-LICENSE"]
  return Object.fromEntries([...paths.map((path) => [path, `dist/${path}`]), ...licences.map((name) => [name, name])])
}

/** One file of a module and all that it imports, but for its sibling among the externals. */
async function bundle(root: string, entry: string, format: "cjs" | "esm"): Promise<Uint8Array> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    external: externals.filter((name) => name !== entry),
    bundle: true,
    write: false,
    format,
    platform: "node",
    mainFields: ["module", "main"], // else a package's CommonJS form, whose names cannot be imported
    target: "node24",
    logLevel: "warning",
  })
  return outputFiles[0]!.contents
}
