/**
 * Proves that the tests see it when a security check is missing: takes one check after another out of a copy of the sources
 * and runs the unit tests that should fail then. Prints the checks that no test missed; exits with 1 when there is one that
 * `mutants/explained.json` does not explain, and when that explains what is not there.
 * `npm run mutants [-- --only WORDS --sample N --seed S --tests N --workers N --explained --list]`; docs/contributing.md.
 */
import { readFileSync } from "node:fs"
import { availableParallelism, loadavg } from "node:os"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { randomFrom } from "../e2e/random.ts"
import { areas } from "./mutants/areas.ts"
import { type Mutant, mutantsOf } from "./mutants/find.ts"
import { Workshop } from "./mutants/workshop.ts"

const root = dirname(import.meta.dirname)

/** A mutant that is right to survive. */
interface Explained {
  readonly file: string
  /** The line, and what of it is taken out. */
  readonly code: string
  readonly text: string
  readonly why: string
}

const { values } = parseArgs({
  options: {
    /** Mutants whose path, line and text, as `--list` prints them, have these words; all when absent. */
    only: { type: "string", multiple: true, default: [""] },
    /** So many, chosen by the seed; all when absent. */
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    /** So many of each area's tests, from the quick end: a first look. All when absent. */
    tests: { type: "string", default: String(Number.MAX_SAFE_INTEGER) },
    /** Copies that are worked on at once: two, but one when the machine is busy. */
    workers: { type: "string", default: String(loadavg()[0]! < availableParallelism() ? 2 : 1) },
    /** Those that are explained as well: is the explanation still needed? */
    explained: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
})

process.exitCode = await main()

async function main(): Promise<number> {
  const explained: Explained[] = JSON.parse(readFileSync(join(root, "scripts/mutants/explained.json"), "utf8"))
  const some = areas.map((area) => ({ ...area, tests: area.tests.slice(0, Number(values.tests)) }))
  const all = some.flatMap((area) => area.files.flatMap((file) => mutantsOf(root, area, file)))
  const isSame = (mutant: Mutant, one: Explained) =>
    one.file === mutant.file && one.code === mutant.code && one.text === mutant.text
  const isExplained = (mutant: Mutant) => explained.some((one) => isSame(mutant, one))
  const stale = explained.filter((one) => !all.some((mutant) => isSame(mutant, one)))
  for (const { file, text } of stale) console.log(`Explained, but there is no such check: ${file} ${text}`)

  const wanted = all.filter((mutant) => values.only.some((words) => nameOf(mutant).includes(words)))
  const chosen = sample(wanted.filter((mutant) => values.explained || !isExplained(mutant)))
  if (values.list) for (const mutant of chosen) console.log(nameOf(mutant))
  else {
    const survivors = await run(chosen)
    const open = survivors.filter((mutant) => !isExplained(mutant))
    for (const mutant of open) console.log(`No test misses ${nameOf(mutant)}`)
    const explainedCount = wanted.filter(isExplained).length
    console.log(`${chosen.length - survivors.length} seen, ${explainedCount} explained, ${open.length} left.`)
    if (open.length > 0) return 1
  }
  return stale.length === 0 ? 0 : 1
}

/** Tries all; gives those that no test saw. */
async function run(mutants: readonly Mutant[]): Promise<readonly Mutant[]> {
  const survivors: Mutant[] = []
  const left = mutants.entries()
  const baselines = new Map<string, Promise<unknown>>()
  const workshops: Workshop[] = []
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      for (const workshop of workshops) workshop.close()
      process.exit(1)
    })
  const work = async () => {
    const workshop = new Workshop(root, baselines)
    workshops.push(workshop)
    try {
      for (const [i, mutant] of left) {
        const killer = await workshop.findKiller(mutant)
        console.log(`${i + 1}/${mutants.length} ${nameOf(mutant)}: ${killer ? `seen by ${killer}` : "NOT SEEN"}`)
        if (!killer) survivors.push(mutant)
      }
    } finally {
      workshop.close()
    }
  }
  await Promise.all(Array.from({ length: Number(values.workers) }, work))
  return survivors
}

/** A choice that the seed repeats. */
function sample(mutants: readonly Mutant[]): readonly Mutant[] {
  if (values.sample === undefined) return mutants
  const random = randomFrom(Number(values.seed))
  return mutants
    .map((mutant) => ({ mutant, at: random(2 ** 32) }))
    .sort((a, b) => a.at - b.at)
    .slice(0, Number(values.sample))
    .map(({ mutant }) => mutant)
}

function nameOf({ file, line, text }: Mutant): string {
  return `${file}:${line} ${text.slice(0, 100)}`
}
