/** `node scripts/release/prepare.ts VERSION`: gives all packages the version and gathers the changes; what to do next it says. */
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gatherChanges } from "./changelog.ts"

/** Writes `version` wherever the version stands. Throws for what is no version. */
export function setVersion(root: string, version: string): void {
  if (!/^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/.test(version)) throw new Error(`${version} is no version, such as 0.2.0.`)
  for (const path of ["package.json", ...globSync("packages/*/package.json", { cwd: root })]) {
    const text = readFileSync(join(root, path), "utf8")
    writeFileSync(join(root, path), text.replace(/^ {2}"version": ".*"/m, `  "version": "${version}"`))
  }
  const lock = join(root, "package-lock.json")
  const { packages, ...rest } = JSON.parse(readFileSync(lock, "utf8"))
  for (const [path, entry] of Object.entries<{ version?: string }>(packages))
    if (path === "" || path.startsWith("packages/")) entry.version = version
  writeFileSync(lock, `${JSON.stringify({ ...rest, version, packages }, null, 2)}\n`)
  const source = join(root, "packages/cli/src/version.ts")
  writeFileSync(source, readFileSync(source, "utf8").replace(/version = ".*"/, `version = "${version}"`))
}

if (import.meta.main) {
  const [version = ""] = process.argv.slice(2)
  const root = join(import.meta.dirname, "../..")
  setVersion(root, version)
  gatherChanges(root, version, new Date().toISOString().slice(0, 10))
  console.log(`Version ${version}. Now: npm test, commit, git tag v${version}, npm run release.`)
}
