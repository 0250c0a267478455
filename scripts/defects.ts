/**
 * Proves that the simulator has teeth: puts each deliberate defect into a copy of the sources and simulates there until a seed
 * fails. Prints which claim caught which defect; exits with 1 when one was not caught, or when sources without a defect fail.
 * `npm run simulate:defects [-- --runs N --steps N --seconds S] [WORDS OF A NAME]`
 */
import { spawnSync } from "node:child_process"
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { applyEdit, type Defect, defects } from "../packages/simulator/src/index.ts"
import { copySources } from "./copy-sources.ts"

const root = dirname(import.meta.dirname)

interface Outcome {
  readonly name: string
  readonly seconds: number
  readonly runs: number
  readonly seed?: string
  /** The claim that failed; absent when none did. */
  readonly claim?: string
  readonly details?: string
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "1000" },
    steps: { type: "string", default: "150" },
    /** For each defect. */
    seconds: { type: "string", default: "300" },
  },
})

process.exitCode = main()

function main(): number {
  const chosen = defects.filter(({ name }) => name.includes(positionals.join(" ")))
  const isSource = (path: string) => !["node_modules", "test"].includes(basename(path))
  const copy = copySources(root, ["packages"], isSource)
  try {
    const sound = positionals.length > 0 ? undefined : hunt(copy, { name: "none", edits: [] }, 60)
    const outcomes = chosen.map((defect) => hunt(copy, defect, Number(values.seconds)))
    const missed = outcomes.filter(({ claim }) => claim === undefined)
    console.log(`\n${outcomes.length - missed.length} of ${outcomes.length} defects caught.`)
    for (const { name } of missed) console.log(`NOT caught: ${name}`)
    if (sound?.claim) console.log(`Without a defect seed ${sound.seed} fails: ${sound.claim}`)
    return missed.length === 0 && !sound?.claim ? 0 : 1
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** Simulates in `copy` with `defect`, which is taken out again. */
function hunt(copy: string, { name, edits }: Defect, seconds: number): Outcome {
  const files = new Set(edits.map(({ file }) => file))
  for (const edit of edits) {
    const path = join(copy, edit.file)
    writeFileSync(path, applyEdit(readFileSync(path, "utf8"), edit))
  }
  const startMs = performance.now()
  const script = join(copy, "packages/simulator/src/hunt.ts")
  const { stdout, stderr } = spawnSync("node", [script, values.runs, values.steps, String(seconds), name], {
    encoding: "utf8",
    timeout: 2000 * seconds,
    killSignal: "SIGKILL",
    maxBuffer: 1 << 26,
  })
  for (const file of files) cpSync(join(root, file), join(copy, file))
  if (stderr) process.stderr.write(stderr)
  const last = stdout.trim().split("\n").at(-1)
  const { run = 0, ...found } = last ? JSON.parse(last) : {}
  const outcome: Outcome = { name, seconds: (performance.now() - startMs) / 1000, runs: run, ...found }
  const { claim, seed, details = "" } = outcome
  const how =
    claim === undefined ? "no seed fails" : `${claim} (seed ${seed}): ${details.split("\n")[0]!.slice(0, 140)}`
  console.log(`| ${name} | ${how} | ${outcome.runs} | ${outcome.seconds.toFixed(1)} |`)
  return outcome
}
