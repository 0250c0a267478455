/** Sources in a folder of their own, to be changed there on purpose. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/**
 * Copies `names` of `root`, the packages among them, to a new folder where packages import each other and not the originals;
 * `takes` is asked for each path.
 */
export function copySources(root: string, names: readonly string[], takes: (path: string) => boolean): string {
  const copy = mkdtempSync(join(tmpdir(), "holdfast-copy-"))
  for (const name of names) cpSync(join(root, name), join(copy, name), { recursive: true, filter: takes })
  const modules = join(copy, "node_modules")
  mkdirSync(join(modules, "@holdfast"), { recursive: true })
  for (const name of readdirSync(join(root, "node_modules")))
    if (name !== "@holdfast") symlinkSync(join(root, "node_modules", name), join(modules, name))
  for (const name of readdirSync(join(copy, "packages")))
    symlinkSync(join(copy, "packages", name), join(modules, "@holdfast", name))
  return copy
}
