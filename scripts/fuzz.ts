/**
 * Coverage-guided fuzzing of all that decodes what comes from outside, and of walking, comparing, merging and changing trees of
 * a hostile writer. A finding is an error that is not ours, an input that takes too long, or one that takes too much memory.
 * `npm run fuzz [-- --seconds N --seed S --only WORDS]`; what was found is written to `fuzz-findings/`. docs/contributing.md.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { performance } from "node:perf_hooks"
import { parseArgs } from "node:util"
import { pick, type Random, randomFrom } from "../e2e/random.ts"
import { Coverage } from "./fuzz/coverage.ts"
import { mutate } from "./fuzz/mutate.ts"
import { allTargets, type Target } from "./fuzz/targets.ts"

/** An input of a few kilobytes that costs the processor more, each of three times, is too dear for a server. */
const mostMs = 500
/** Memory that the process may have beyond what it had at first. */
const mostBytes = 512 * 1024 * 1024
/** Inputs of one target before the next has its turn. */
const turn = 400
/** Asking V8 costs more than most inputs: when so many together reached something new, all are kept. */
const together = 8

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string", default: "" },
  },
})

async function main(): Promise<number> {
  const targets = (await allTargets()).filter(({ name }) => name.includes(values.only))
  const fuzzers = targets.map((target) => new Fuzzer(target, randomFrom(Number(values.seed))))
  const coverage = new Coverage()
  const endMs = performance.now() + 1000 * Number(values.seconds)
  for (const fuzzer of fuzzers) await fuzzer.begin(coverage)
  while (performance.now() < endMs && fuzzers.every(({ findings }) => findings.length === 0))
    for (const fuzzer of fuzzers) await fuzzer.turn(coverage, endMs)
  coverage.close()
  for (const { target, runs, corpus, findings } of fuzzers)
    console.log(
      `${target.name}: ${runs} inputs, ${corpus.length} kept${findings.length > 0 ? `, FOUND ${findings[0]}` : ""}`,
    )
  const found = fuzzers.flatMap(({ findings }) => findings)
  const total = fuzzers.reduce((sum, { runs }) => sum + runs, 0)
  console.log(`${total} inputs, ${found.length} findings. Repeat with: npm run fuzz -- --seed ${values.seed}`)
  return found.length === 0 ? 0 : 1
}

/** One target and the inputs that reached something new in it. */
class Fuzzer {
  readonly target: Target
  readonly corpus: Uint8Array[]
  readonly findings: string[] = []
  runs = 0
  readonly #random: Random
  readonly #atFirst = process.memoryUsage().rss

  constructor(target: Target, random: Random) {
    this.target = target
    this.#random = random
    this.corpus = [...target.seeds]
  }

  async begin(coverage: Coverage): Promise<void> {
    for (const seed of this.target.seeds) await this.#try(seed)
    coverage.newBlocks()
  }

  async turn(coverage: Coverage, endMs: number): Promise<void> {
    for (let i = 0; i < turn && this.findings.length === 0 && performance.now() < endMs; i += together) {
      const inputs = Array.from({ length: together }, () => {
        const [input, other] = [pick(this.#random, this.corpus), pick(this.#random, this.corpus)]
        return mutate(this.#random, input, other, this.target.maxBytes)
      })
      for (const input of inputs) await this.#try(input)
      this.#watchMemory(inputs)
      if (coverage.newBlocks() > 0) this.corpus.push(...inputs)
    }
  }

  async #try(input: Uint8Array): Promise<void> {
    this.runs++
    const ms = await this.#timed(input)
    if (ms > mostMs) {
      const again = [await this.#timed(input), await this.#timed(input)] // not what else the machine does
      if (Math.min(ms, ...again) > mostMs) this.#found(`an input takes ${Math.round(Math.min(ms, ...again))} ms`, input)
    }
  }

  #watchMemory(inputs: readonly Uint8Array[]): void {
    const moreBytes = process.memoryUsage.rss() - this.#atFirst
    if (moreBytes <= mostBytes) return
    for (const input of inputs)
      this.#found(`the process has ${Math.round(moreBytes / 2 ** 20)} MiB more than at first`, input)
  }

  async #timed(input: Uint8Array): Promise<number> {
    const before = process.threadCpuUsage()
    try {
      await this.target.run(input.slice())
    } catch (error) {
      this.#found(error instanceof Error ? (error.stack ?? error.message) : String(error), input)
    }
    const { user, system } = process.threadCpuUsage(before)
    return (user + system) / 1000
  }

  #found(what: string, input: Uint8Array): void {
    mkdirSync("fuzz-findings", { recursive: true })
    const file = join("fuzz-findings", `${this.target.name.replaceAll(/\W+/g, "-")}-${this.findings.length}.bin`)
    writeFileSync(file, input)
    this.findings.push(`${what} (${file})`)
  }
}

process.exitCode = await main()
