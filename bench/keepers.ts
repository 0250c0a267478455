/** Programs that keep files and bring them back, compared: each does the same work in turn. */
import { type ChildProcess, execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { type Measured, measure, record } from "./command.ts"

/** A program that keeps files. What it keeps has the names that `put` gave. */
export interface Keeper {
  /** Whose it is, and how it keeps: copies, encryption, distance. */
  readonly name: string
  /** Keeps the file or folder at `source`. */
  put(source: string, name: string): Promise<Measured>
  /** Why many small files would take it longer than anybody waits, if so: they are not given to it then. */
  readonly noManyFiles?: string
  /** Brings what was put to `target`, which is not there. Gives where it is then. */
  get(name: string, target: string): Promise<Measured & { readonly at: string }>
  /** Makes room, where that is quick. */
  forget?(name: string): void
  /** Ends what serves it. */
  close?(): Promise<void> | void
}

/** A command under way, and the processes that work for it. */
export interface Running {
  readonly child: ChildProcess
  readonly servers?: readonly number[]
}

/** Holdfast itself, in the volume that `root` begins paths in, such as `home:/`. */
export function holdfastKeeper(name: string, root: string, start: (args: readonly string[]) => Running): Keeper {
  const run = (...args: string[]) => {
    const { child, servers } = start(args)
    return measure(child, servers)
  }
  return {
    name,
    put: (source, kept) => run("put", source, `${root}${kept}`),
    get: async (kept, target) => ({ ...(await run("get", `${root}${kept}`, target)), at: target }),
  }
}

/** Data that all keepers are given: makes fresh ones at `source` that nobody can have yet. */
export interface Work {
  /** Such as `1 GiB`. */
  readonly name: string
  readonly bytes: number
  /** How often; the median counts. */
  readonly rounds: number
  /** Put once more without a change between put and get. */
  readonly isPutAgain?: boolean
  make(source: string): void
}

/** Median of numbers; undefined of none. */
export function medianOf(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter((value) => value !== undefined).toSorted((a, b) => a - b)
  return sorted[sorted.length >> 1]
}

const steps = ["put", "put unchanged", "get"] as const
type Step = (typeof steps)[number]

/**
 * Lets all keepers do the work in turn, `work.rounds` times, in `folder`, and prints for each step a line for each keeper: medians,
 * and how many times as fast the first keeper was in the same round. What comes back is compared with what was put.
 */
export async function compareKeepers(keepers: readonly Keeper[], work: Work, folder: string): Promise<void> {
  const times = new Map(
    keepers.map((keeper) => [keeper, { put: [], "put unchanged": [], get: [] } as Record<Step, Measured[]>]),
  )
  const source = `${folder}/source`
  const target = `${folder}/target`
  for (let round = 0; round < work.rounds; round++) {
    const name = `${work.name.replaceAll(/[^a-zA-Z0-9]/g, "")}-${round}`
    work.make(source)
    const each = async (step: Step, run: (keeper: Keeper) => Promise<Measured>) => {
      for (const keeper of keepers) {
        execFileSync("sync") // nobody pays for what another left to be written
        times.get(keeper)![step].push(await run(keeper))
      }
    }
    await each("put", (keeper) => keeper.put(source, name))
    if (work.isPutAgain) await each("put unchanged", (keeper) => keeper.put(source, name))
    await each("get", async (keeper) => {
      const got = await keeper.get(name, target)
      execFileSync("diff", ["-r", source, got.at])
      fs.rmSync(target, { recursive: true })
      return got
    })
    for (const keeper of keepers) keeper.forget?.(name)
    fs.rmSync(source, { recursive: true })
  }
  for (const step of steps) print(step, work, keepers, (keeper) => times.get(keeper)![step])
}

function print(
  step: Step,
  work: Work,
  keepers: readonly Keeper[],
  timesOf: (keeper: Keeper) => readonly Measured[],
): void {
  const ours = timesOf(keepers[0]!)
  if (ours.length === 0) return
  process.stdout.write(`${step}, ${work.name}\n`)
  for (const keeper of keepers) {
    const times = timesOf(keeper)
    const seconds = medianOf(times.map((each) => each.seconds))!
    const cpuSeconds = medianOf(times.map((each) => each.cpuSeconds))
    const peakMib = medianOf(times.map((each) => each.peakMib))
    const ratio = keeper === keepers[0] ? undefined : medianOf(times.map((each, i) => each.seconds / ours[i]!.seconds))
    record(`${step}, ${work.name}`, {
      keeper: keeper.name,
      seconds,
      cpuSeconds,
      peakMib,
      bytes: work.bytes,
      timesAsFast: ratio,
    })
    const columns = [
      `  ${keeper.name}`.padEnd(46),
      `${seconds.toFixed(2)} s`.padStart(8),
      `${(work.bytes / 1e6 / seconds).toFixed(0)} MB/s`.padStart(11),
      cpuSeconds === undefined ? "" : `${cpuSeconds.toFixed(1)} CPU s`.padStart(11),
      peakMib === undefined ? "" : `${peakMib.toFixed(0)} MiB`.padStart(9),
      ratio === undefined ? "" : `  holdfast is ${ratio.toFixed(2)} times as fast`,
    ]
    process.stdout.write(`${columns.join("")}\n`)
  }
}
