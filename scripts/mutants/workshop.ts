/**
 * A copy of the sources in which checks are taken out, and the tests that are run over it. Each test is run without any
 * mutant before it is first needed: it has to pass, its seconds bound the runs to come, and what it ran of a source says which
 * mutants it can see at all.
 */
import { spawn } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { copySources } from "../copy-sources.ts"
import type { Mutant } from "./find.ts"

/** One function or block of a source as V8 counts it; the offsets are those of the source, as types become blanks. */
interface Counted {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

/** What a test does when nothing is taken out. */
interface Baseline {
  readonly seconds: number
  /** By path in the copy; an array for each process or thread. */
  readonly counted: ReadonlyMap<string, readonly (readonly Counted[])[]>
}

const runOptions = ["--test-force-exit", "--test-reporter", "./scripts/mutants/stop-at-failure.ts"]

/** Where mutants are made and looked for; one at a time. */
export class Workshop {
  readonly #copy: string
  readonly #baselines: Map<string, Promise<Baseline>>
  /** The test that saw the last mutant of a file. */
  readonly #killers = new Map<string, string>()
  /** Ends the test that runs, and what that started. */
  #stop: () => void = () => undefined

  /** `baselines` is filled by, and may be shared with, others. */
  constructor(root: string, baselines: Map<string, Promise<unknown>>) {
    const isOurs = (path: string) => !path.slice(root.length).includes("node_modules")
    this.#copy = copySources(root, ["packages", "interop", "scripts", "docs", "package.json", "tsconfig.json"], isOurs)
    this.#baselines = baselines as Map<string, Promise<Baseline>>
  }

  /** The first of the area's tests that fails with the mutant; undefined when none does. */
  async findKiller(mutant: Mutant): Promise<string | undefined> {
    const last = this.#killers.get(mutant.file) // probably again
    for (const test of new Set([...(last ? [last] : []), ...mutant.area.tests])) {
      const baseline = await this.#baselineOf(test)
      if (!reaches(baseline, mutant)) continue
      if (await this.#passesWith(mutant, test, 10 + 5 * baseline.seconds)) continue
      this.#killers.set(mutant.file, test)
      return test
    }
    return undefined
  }

  close(): void {
    this.#stop()
    rmSync(this.#copy, { recursive: true, force: true, maxRetries: 5 })
  }

  #baselineOf(test: string): Promise<Baseline> {
    const known = this.#baselines.get(test)
    if (known) return known
    const baseline = this.#measure(test)
    this.#baselines.set(test, baseline)
    return baseline
  }

  async #measure(test: string): Promise<Baseline> {
    const folder = join(this.#copy, "coverage")
    const started = performance.now()
    if (!(await this.#passes(test, 600, { NODE_V8_COVERAGE: folder, NODE_DISABLE_COMPILE_CACHE: "1" })))
      throw new Error(`${test} fails although nothing was taken out: mend it first, it would see every mutant.`)
    const seconds = (performance.now() - started) / 1000
    const counted = readCoverage(folder, this.#copy)
    rmSync(folder, { recursive: true })
    return { seconds, counted }
  }

  async #passesWith({ file, start, end, replace }: Mutant, test: string, seconds: number): Promise<boolean> {
    const path = join(this.#copy, file)
    const source = readFileSync(path, "utf8")
    writeFileSync(path, source.slice(0, start) + replace + source.slice(end))
    try {
      return await this.#passes(test, seconds, {})
    } finally {
      writeFileSync(path, source)
    }
  }

  /** False when a test fails or takes longer than `seconds`. What it leaves, files and processes, goes with it. */
  async #passes(test: string, seconds: number, extra: Record<string, string>): Promise<boolean> {
    const scratch = join(this.#copy, "scratch")
    mkdirSync(scratch, { recursive: true })
    const child = spawn(process.execPath, [...runOptions, test], {
      cwd: this.#copy,
      env: { ...process.env, TMPDIR: scratch, NODE_COMPILE_CACHE: join(this.#copy, "compiled"), ...extra },
      stdio: "ignore",
      detached: true,
    })
    this.#stop = () => {
      try {
        process.kill(-child.pid!, "SIGKILL")
      } catch {
        // none of the group is left
      }
    }
    const timer = setTimeout(this.#stop, seconds * 1000)
    const status = await new Promise((resolve, reject) => child.on("error", reject).on("exit", resolve))
    clearTimeout(timer)
    this.#stop()
    this.#stop = () => undefined // its number may be another's soon
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
    return status === 0
  }
}

/** True when the test ran the text that the mutant changes. */
function reaches({ counted }: Baseline, { file, start, end }: Mutant): boolean {
  return (counted.get(file) ?? []).some((ranges) => [start, end - 1].some((offset) => countAt(ranges, offset) > 0))
}

/** How often the smallest range that holds the offset was run. */
function countAt(ranges: readonly Counted[], offset: number): number {
  const holding = ranges.filter(({ startOffset, endOffset }) => startOffset <= offset && offset < endOffset)
  const size = (range: Counted) => range.endOffset - range.startOffset
  return holding.length === 0 ? 0 : holding.reduce((a, b) => (size(b) <= size(a) ? b : a)).count
}

function readCoverage(folder: string, copy: string): Map<string, Counted[][]> {
  const counted = new Map<string, Counted[][]>()
  const here = pathToFileURL(copy).href
  for (const name of readdirSync(folder)) {
    const { result } = JSON.parse(readFileSync(join(folder, name), "utf8"))
    for (const { url, functions } of result) {
      if (!url.startsWith(here)) continue
      const path = url.slice(here.length + 1).split("?")[0]
      const ranges = functions.flatMap((one: { ranges: Counted[] }) => one.ranges)
      counted.set(path, [...(counted.get(path) ?? []), ranges])
    }
  }
  return counted
}
