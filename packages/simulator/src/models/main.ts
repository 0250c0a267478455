/** `npm run models`: asks the models everything; exit code 1 when a rule does not hold or a weaker one is not caught. */
import { parseArgs } from "node:util"
import { describeOutcome, isAsExpected, modelCases } from "./index.ts"

const usage = `Explores the models of collection, registers and reconfiguration to the end.

  npm run models                      every rule, and every weaker one (two minutes)
  npm run models -- marks bucket      these models: ${[...new Set(modelCases.map(({ model }) => model))].join(", ")}

  --traces    the steps to each broken invariant
  --quick     without what takes longest, as npm test does

What they say: docs/models.md.`

process.exitCode = main()

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      traces: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })
  const chosen = modelCases.filter(
    ({ model, slow }) => (positionals.length === 0 || positionals.includes(model)) && !(values.quick && slow),
  )
  if (values.help || chosen.length === 0) {
    console.log(usage)
    return values.help ? 0 : 2
  }
  let failed = 0
  for (const question of chosen) {
    const found = question.explore()
    if (!isAsExpected(question, found)) failed++
    console.log(describeOutcome(question, found, values.traces))
  }
  console.log(`\n${chosen.length - failed} of ${chosen.length} as they should be.`)
  return failed === 0 ? 0 : 1
}
