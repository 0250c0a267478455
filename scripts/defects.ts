/**
 * Proves that the simulator has teeth: puts each deliberate defect into a copy of the sources and simulates there until a seed
 * fails; what seeds show too seldom is proven by a test that must fail. Prints what caught which defect; exits with 1 when one was
 * not caught, or when sources without a defect fail.
 * `npm run simulate:defects [-- --runs N --steps N --seconds S --simulate] [WORDS OF A NAME]`
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
    /** Looks for seeds also where a test proves it. */
    simulate: { type: "boolean", default: false },
  },
})

process.exitCode = main()

function main(): number {
  const chosen = defects.filter(({ name }) => name.includes(positionals.join(" ")))
  const copy = copySources(root, ["packages"], (path) => basename(path) !== "node_modules")
  try {
    const sound = positionals.length > 0 ? undefined : hunt(copy, "none", 60)
    const outcomes = chosen.map((defect) => inserted(copy, defect, () => find(copy, defect)))
    const missed = outcomes.filter(({ claim }) => claim === undefined)
    console.log(`\n${outcomes.length - missed.length} of ${outcomes.length} defects caught.`)
    for (const { name } of missed) console.log(`NOT caught: ${name}`)
    if (sound?.claim) console.log(`Without a defect seed ${sound.seed} fails: ${sound.claim}`)
    return missed.length === 0 && !sound?.claim ? 0 : 1
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** Does `work` in `copy` with `defect`, which is taken out again. */
function inserted<T>(copy: string, { edits }: Defect, work: () => T): T {
  for (const edit of edits) {
    const path = join(copy, edit.file)
    writeFileSync(path, applyEdit(readFileSync(path, "utf8"), edit))
  }
  try {
    return work()
  } finally {
    for (const { file } of edits) cpSync(join(root, file), join(copy, file))
  }
}

/** By what proves it; with --simulate, and where there is no such thing, by seeds. */
function find(copy: string, { name, proof }: Defect): Outcome {
  const startMs = performance.now()
  const outcome = proof && !values.simulate ? prove(copy, name, proof) : hunt(copy, name, Number(values.seconds))
  const { claim, seed, details = "", runs } = outcome
  const where = seed === undefined ? "" : ` (seed ${seed}): ${details.split("\n")[0]!.slice(0, 140)}`
  const seconds = (performance.now() - startMs) / 1000
  console.log(
    `| ${name} | ${claim === undefined ? "not found" : `${claim}${where}`} | ${runs} | ${seconds.toFixed(1)} |`,
  )
  return outcome
}

/** Runs what must fail; it passes without the defect, as the tests of the whole do. */
function prove(copy: string, name: string, proof: readonly string[]): Outcome {
  const { status, stdout } = spawnSync("node", proof, { cwd: copy, encoding: "utf8", maxBuffer: 1 << 26 })
  return { name, runs: 1, ...(status !== 0 && { claim: failedTest(stdout) ?? `node ${proof.join(" ")}` }) }
}

function failedTest(output: string): string | undefined {
  return /^\s*(?:✖|not ok \d+ -) (?!failing tests)(.*?)(?: \([\d.]+ms\))?$/m.exec(output)?.[1]
}

/** Simulates in `copy` until a seed fails. */
function hunt(copy: string, name: string, seconds: number): Outcome {
  const script = join(copy, "packages/simulator/src/hunt.ts")
  const { stdout, stderr } = spawnSync("node", [script, values.runs, values.steps, String(seconds), name], {
    encoding: "utf8",
    timeout: 2000 * seconds,
    killSignal: "SIGKILL",
    maxBuffer: 1 << 26,
  })
  if (stderr) process.stderr.write(stderr)
  const last = stdout.trim().split("\n").at(-1)
  const { run = 0, ...found } = last ? JSON.parse(last) : {}
  return { name, runs: run, ...found }
}
