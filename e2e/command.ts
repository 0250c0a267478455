/** The command that end-to-end tests run: the built one, as users have it, of the sources as they are. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as paths from "node:path"

const root = paths.dirname(import.meta.dirname)
const built = paths.join(root, "dist/holdfast.mjs")

/** The program that the package installs; its first argument is the command's first word. */
export const command = paths.join(root, "bin/holdfast.mjs")

/** For the environment of commands whose home is new: what V8 compiled for the tests before them. */
export const compiled: NodeJS.ProcessEnv =
  process.env["NODE_COMPILE_CACHE"] === undefined ? {} : { NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] }

/** When the newest source was changed, in milliseconds. */
function newestMs(): number {
  const sources = fs.globSync("packages/*/src/**/*.ts", { cwd: root })
  return Math.max(...sources.map((path) => fs.statSync(paths.join(root, path)).mtimeMs))
}

// `npm test` has built it; who runs one file after a change would else test what was.
if (!fs.existsSync(built) || fs.statSync(built).mtimeMs < newestMs()) {
  const { status } = spawnSync(process.execPath, [paths.join(root, "scripts/build.ts")], { stdio: "inherit" })
  if (status !== 0) throw new Error("the command could not be built")
}
