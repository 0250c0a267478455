/**
 * Takes what is known of our packages into `scripts/advisories.json`, from a folder of OSV files: a checkout of
 * github.com/github/advisory-database. `node scripts/update-advisories.ts FOLDER`; what was accepted stays.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { glob } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type Advisories, type Advisory, lockedPackages, type RangeEvent } from "./check/advisories.ts"

/** What is used of a record of OSV. */
interface OsvRecord {
  readonly id: string
  readonly summary?: string
  readonly withdrawn?: string
  readonly affected?: readonly {
    readonly package?: { readonly ecosystem: string; readonly name: string }
    readonly ranges?: readonly { readonly events: readonly RangeEvent[] }[]
  }[]
}

/** The advisories of `folder` that name a package of the lock file of `root`. */
export async function advisoriesIn(folder: string, root: string): Promise<Advisory[]> {
  const names = new Set(lockedPackages(root).map(({ name }) => name))
  const found: Advisory[] = []
  for await (const file of glob("**/*.json", { cwd: folder })) {
    const record: OsvRecord = JSON.parse(readFileSync(join(folder, file), "utf8"))
    if (record.withdrawn !== undefined) continue
    const affected = (record.affected ?? []).flatMap(({ package: named, ranges = [] }) =>
      named?.ecosystem === "npm" && names.has(named.name)
        ? [{ name: named.name, ranges: ranges.map(({ events }) => events) }]
        : [],
    )
    if (affected.length > 0) found.push({ id: record.id, summary: record.summary ?? "", affected })
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : 1))
}

async function main(folder: string): Promise<void> {
  const root = dirname(import.meta.dirname)
  const file = join(root, "scripts/advisories.json")
  const { accepted, source }: Advisories = JSON.parse(readFileSync(file, "utf8"))
  const advisories = await advisoriesIn(folder, root)
  const asked = new Date().toISOString().slice(0, 10)
  writeFileSync(file, `${JSON.stringify({ asked, source, advisories, accepted }, null, 2)}\n`)
  console.log(`${advisories.length} advisories name packages of the lock file.`)
}

const [, script, folder] = process.argv
if (script === import.meta.filename) {
  if (folder === undefined) throw new Error("Say where the files are: node scripts/update-advisories.ts FOLDER")
  await main(folder)
}
