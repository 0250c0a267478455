/** The options of the command, and the command that repeats a run. */
import { parseArgs } from "node:util"
import { HoldfastError } from "@holdfast/core"
import { type Omission, omissions } from "./roles.ts"
import type { RunOptions } from "./run.ts"

/** Steps of a run when nothing else is said. */
export const usualSteps = 120

/** What `--help` prints. */
export const usage = `Runs the product in a simulated world: clients, servers, disks and a network under one seed.

  npm run simulate                          one run of a fresh seed
  npm run simulate -- --minutes 10          fresh seeds for ten minutes, or until one fails
  npm run simulate -- --seed S --steps N    this run, event by event

  --seed S            the seed; fresh ones when absent
  --steps N           steps of each run (${usualSteps})
  --without KIND,...  leaves faults and roles out: ${omissions.join(", ")}
  --skip A,B-C,...    leaves steps out
  --witness           one server keeps registers and no shares
  --caretaker         somebody runs rounds of maintenance over the trees of all
  --runs R            so many runs
  --minutes M         runs for so long
  --no-shorten        does not look for a shorter history that fails in the same way
  --verbose           prints every message

A failure ends it with exit code 1: the history, as short as it can be made, and the command that repeats it.
How it works and what is checked: docs/simulation.md.`

/** What the command was told. */
export interface CommandOptions {
  readonly seed: string | undefined
  readonly steps: number
  readonly without: readonly Omission[]
  readonly skip: readonly number[]
  readonly runs: number | undefined
  readonly minutes: number | undefined
  readonly witness: boolean
  readonly caretaker: boolean
  readonly shorten: boolean
  readonly verbose: boolean
  readonly help: boolean
}

/** Reads the words of a command. Throws ERR_INVALID_ARGUMENT. */
export function parseOptions(words: readonly string[]): CommandOptions {
  const { values } = parse(words)
  return {
    seed: values.seed,
    steps: countOf("--steps", values.steps) ?? usualSteps,
    without: listOf(values.without).map(kindOf),
    skip: listOf(values.skip).flatMap(rangeOf),
    runs: countOf("--runs", values.runs),
    minutes: countOf("--minutes", values.minutes),
    witness: values.witness,
    caretaker: values.caretaker,
    shorten: !values["no-shorten"],
    verbose: values.verbose,
    help: values.help,
  }
}

/** The command that repeats a run. */
export function commandOf({
  seed,
  steps,
  without = [],
  skip = [],
  witness = false,
  caretaker = false,
}: RunOptions): string {
  const words = [`npm run simulate -- --seed ${seed} --steps ${steps}`]
  if (witness) words.push("--witness")
  if (caretaker) words.push("--caretaker")
  if (without.length > 0) words.push(`--without ${without.join()}`)
  if (skip.length > 0) words.push(`--skip ${rangesOf(skip).join()}`)
  return words.join(" ")
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      options: {
        seed: { type: "string" },
        steps: { type: "string" },
        without: { type: "string" },
        skip: { type: "string" },
        runs: { type: "string" },
        minutes: { type: "string" },
        witness: { type: "boolean", default: false },
        caretaker: { type: "boolean", default: false },
        "no-shorten": { type: "boolean", default: false },
        verbose: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    })
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error))
  }
}

function listOf(value: string | undefined): string[] {
  return value ? value.split(",") : []
}

function countOf(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const count = Number(value)
  if (value.trim() === "" || !(count >= 0)) throw invalid(`${name} takes a number, not "${value}".`)
  return count
}

function kindOf(word: string): Omission {
  const kind = omissions.find((known) => known === word)
  if (!kind) throw invalid(`There is no fault or role "${word}". Known: ${omissions.join(", ")}.`)
  return kind
}

function rangeOf(word: string): number[] {
  const [, first, last = first] = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(word) ?? []
  if (first === undefined) throw invalid(`--skip takes steps such as 3,7-9, not "${word}".`)
  return Array.from({ length: Math.max(0, Number(last) - Number(first) + 1) }, (_, i) => Number(first) + i)
}

function rangesOf(steps: readonly number[]): string[] {
  const ranges: [first: number, last: number][] = []
  for (const step of [...new Set(steps)].sort((a, b) => a - b)) {
    const range = ranges.at(-1)
    if (range?.[1] === step - 1) range[1] = step
    else ranges.push([step, step])
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("ERR_INVALID_ARGUMENT", message)
}
