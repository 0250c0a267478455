/** What an honest client and its server feel while somebody attacks: its own latency, the event loop's delay and resident memory. */
import assert from "node:assert/strict"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { TestContext } from "node:test"

/** What was measured over some rounds of work. */
export interface Measures {
  readonly medianMs: number
  readonly worstMs: number
  /** 99 of 100 turns of the event loop were late by no more. */
  readonly lateMs: number
  /** Most resident memory beyond that at the beginning. */
  readonly grownBytes: number
}

/** Does `work` some times, one after another, and measures. */
export async function measured(rounds: number, work: () => Promise<unknown>): Promise<Measures> {
  const beforeBytes = process.memoryUsage.rss()
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const times: number[] = []
  let grownBytes = 0
  for (let i = 0; i < rounds; i++) {
    const startedMs = performance.now()
    await work()
    times.push(performance.now() - startedMs)
    grownBytes = Math.max(grownBytes, process.memoryUsage.rss() - beforeBytes)
  }
  delay.disable()
  times.sort((a, b) => a - b)
  const late = delay.percentile(99) / 1e6
  return { medianMs: times[rounds >> 1]!, worstMs: times.at(-1)!, lateMs: late, grownBytes }
}

/**
 * Says what was measured and holds it against a quiet run on the same machine. The bounds are wide, since the machine is shared: an
 * attack that succeeds makes requests wait for whole time-outs, blocks the event loop for seconds or takes gigabytes.
 */
export function checkHonest(t: TestContext, quiet: Measures, besieged: Measures, mostBytes: number): void {
  const words = ({ medianMs, worstMs, lateMs, grownBytes }: Measures) =>
    `${medianMs.toFixed(0)} ms (at worst ${worstMs.toFixed(0)}), event loop late by ${lateMs.toFixed(0)} ms, ${(grownBytes / 2 ** 20).toFixed(0)} MiB more`
  t.diagnostic(`quiet: ${words(quiet)}; besieged: ${words(besieged)}`)
  assert.ok(besieged.medianMs < 10 * quiet.medianMs + 2_000, `${besieged.medianMs} ms, when quiet ${quiet.medianMs}`)
  assert.ok(besieged.lateMs < 10 * quiet.lateMs + 1_000, `late by ${besieged.lateMs} ms, when quiet ${quiet.lateMs}`)
  assert.ok(besieged.grownBytes < mostBytes, `${besieged.grownBytes} bytes more`)
}
