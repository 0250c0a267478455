/** What is said of runs. */
import { commandOf } from "./options.ts"
import type { RunResult } from "./run.ts"
import { shorten } from "./shorten.ts"

/** Lines of a history that are printed. */
const printedLines = 120
const printedMessages = 30

/** A run in one line. */
export function summaryOf(result: RunResult): string {
  const { options, failure, traceHash, simulatedMs, done, crashes, mostCalls } = result
  const operations = Object.values(done).reduce((sum, count) => sum + count, 0)
  const hours = (simulatedMs / 3_600_000).toFixed(1)
  const mebibytes = (result.mostBytes / 2 ** 20).toFixed(1)
  const outcome = failure ? `FAILED at step ${failure.step}: ${failure.claim}: ${failure.details}` : "ok"
  return (
    `seed ${options.seed}, ${options.steps} steps: ${outcome}; ${operations} operations, ${crashes} crashes, ` +
    `${hours} h, at most ${mostCalls} calls, ${mebibytes} MiB, ${Math.round(result.longestCalmMs / 1000)} s without faults; trace ${traceHash}`
  )
}

/** A run that failed: its history, shortened for as long as `forMs`, and how to repeat it. */
export async function failureReport(result: RunResult, forMs: number): Promise<string> {
  const endMs = performance.now() + forMs
  const short = await shorten(result, () => performance.now() > endMs)
  const left = short.history.length - printedLines
  return [
    summaryOf(result),
    "",
    ...(left > 0 ? [`(${left} lines left out)`] : []),
    ...short.history.slice(-printedLines),
    "",
    "The last messages:",
    ...short.recent.slice(-printedMessages),
    "",
    ...(short === result ? [] : [`Shortened: ${summaryOf(short)}`]),
    `Repeat with: ${commandOf(short.options)}`,
    ...(short === result ? [] : [`All of it:   ${commandOf(result.options)}`]),
  ].join("\n")
}
