/** `npm run simulate`: runs one seed, or many fresh ones, and shows what fails in as few steps and faults as it can. */
import { isHoldfastError } from "@holdfast/core"
import { type CommandOptions, parseOptions, usage } from "./options.ts"
import { failureReport, summaryOf } from "./report.ts"
import { freshSeed, simulate } from "./simulate.ts"

/** How long it looks for a shorter history. */
const shortenMs = 120_000

process.exitCode = await main(process.argv.slice(2))

async function main(words: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(words)
    if (!options.help) return await run(options)
    console.log(usage)
    return 0
  } catch (error) {
    if (!isHoldfastError(error, "ERR_INVALID_ARGUMENT")) throw error
    console.error(`${error.message}\nSee npm run simulate -- --help`)
    return 2
  }
}

async function run({
  seed,
  steps,
  without,
  skip,
  runs,
  minutes,
  shorten,
  verbose,
  witness,
  caretaker,
}: CommandOptions): Promise<number> {
  const endMs = performance.now() + (minutes ?? 0) * 60_000
  const least = runs ?? (minutes === undefined ? 1 : 0)
  for (let done = 0; done < least || performance.now() < endMs; done++) {
    const result = await simulate({ seed: seed ?? freshSeed(), steps, without, skip, verbose, witness, caretaker })
    if (result.failure) {
      console.log(await failureReport(result, shorten ? shortenMs : 0))
      return 1
    }
    console.log(summaryOf(result))
  }
  return 0
}
