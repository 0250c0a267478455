/**
 * Takes what is known of our packages into `scripts/advisories.json`: `npm run advisories` fetches the newest state of
 * github.com/github/advisory-database, `npm run advisories FOLDER` takes a folder of OSV files that is there. What was accepted stays.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { glob } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type Advisories, type Advisory, lockedPackages, type RangeEvent } from "./check/advisories.ts"

/** What is used of a record of OSV. */
interface OsvRecord {
  readonly id: string
  readonly summary?: string
  readonly withdrawn?: string
  readonly affected?: readonly {
    readonly package?: { readonly ecosystem: string; readonly name: string }
    readonly ranges?: readonly { readonly type?: string; readonly events: readonly RangeEvent[] }[]
    readonly versions?: readonly string[]
  }[]
}

/** The advisories of `folder` that name a package of the lock file of `root`. */
export async function advisoriesIn(folder: string, root: string): Promise<Advisory[]> {
  const names = new Set(lockedPackages(root).map(({ name }) => name))
  const found: Advisory[] = []
  for await (const file of glob("**/*.json", { cwd: folder })) {
    const record: OsvRecord = JSON.parse(readFileSync(join(folder, file), "utf8"))
    if (record.withdrawn !== undefined) continue
    const affected = (record.affected ?? []).flatMap(({ package: named, ranges = [], versions = [] }) =>
      named?.ecosystem === "npm" && names.has(named.name)
        ? [
            {
              name: named.name,
              ranges: ranges.filter(({ type }) => type !== "GIT").map(({ events }) => events), // of those versions are no versions
              ...(versions.length > 0 && { versions }),
            },
          ]
        : [],
    )
    if (affected.length > 0) found.push({ id: record.id, summary: record.summary ?? "", affected })
  }
  return found.sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Writes what `folder` knows, or the source itself, into the file of `root`. Fails, and changes nothing, where that is no such folder. */
export async function updateAdvisories(root: string, folder?: string): Promise<string> {
  const file = join(root, "scripts/advisories.json")
  const { accepted, source }: Advisories = JSON.parse(readFileSync(file, "utf8"))
  const fetched = folder === undefined ? mkdtempSync(join(tmpdir(), "advisories-")) : undefined
  try {
    if (fetched) fetchInto(fetched, source)
    const advisories = await advisoriesIn(folder ?? fetched!, root)
    if (advisories.length === 0) throw new Error("Nothing there names a package of ours: is it a folder of OSV files?")
    const packages = [...new Set(lockedPackages(root).map(({ name }) => name))].sort()
    const asked = new Date().toISOString().slice(0, 10)
    writeFileSync(file, `${JSON.stringify({ asked, source, packages, advisories, accepted }, null, 2)}\n`)
    return `${advisories.length} advisories name packages of the lock file.`
  } finally {
    if (fetched) rmSync(fetched, { recursive: true })
  }
}

/** Only what was reviewed, and no history. */
function fetchInto(folder: string, source: string): void {
  const git = (...args: string[]) => execFileSync("git", ["-C", folder, ...args], { stdio: "inherit" })
  git("clone", "--depth", "1", "--filter", "blob:none", "--no-checkout", source, ".")
  git("sparse-checkout", "set", "advisories/github-reviewed")
  git("checkout")
}

const [, script, folder] = process.argv
if (script === import.meta.filename) console.log(await updateAdvisories(dirname(import.meta.dirname), folder))
