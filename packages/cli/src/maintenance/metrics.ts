/** Metrics of `maintain`: what the last rounds did, and how trees stand. */
import type { RoundReport, TreeReport } from "@holdfast/fs/care"
import { type Health, Metrics } from "@holdfast/network"

/** Counts rounds. */
export interface MaintenanceMetrics {
  add(report: RoundReport): void
  addFailure(): void
  /** A chunk was looked at. */
  addChunk(): void
  render(): Promise<string>
  /** Well while rounds come to their end and each tree can be read. */
  health(): Health
}

/** Makes them. */
export function createMaintenanceMetrics(): MaintenanceMetrics {
  const metrics = new Metrics()
  const [prefix, trees, away] = ["holdfast_maintain", new Map<string, TreeReport>(), new Map<string, number>()]
  let [endedMs, isFailed] = [0, false]
  const rounds = metrics.counter(`${prefix}_rounds_total`, "rounds that came to their end")
  const failures = metrics.counter(
    `${prefix}_failures_total`,
    "rounds that could not begin or broke off, and trees and collections that failed in one",
  )
  const chunks = metrics.counter(`${prefix}_checked_chunks_total`, "chunks that were looked at, each time one")
  const blocks = metrics.counter(`${prefix}_sampled_blocks_total`, "blocks asked for by chance, by what they were")
  const mended = metrics.counter(`${prefix}_mended_shares_total`, "shares made anew")
  const moved = metrics.counter(`${prefix}_moved_shares_total`, "shares moved to where they belong")
  const freed = metrics.counter(`${prefix}_collected_bytes_total`, "bytes freed by collections")
  metrics.gauge(
    `${prefix}_round_end_seconds`,
    "when the last round ended, seconds since the epoch",
    () => endedMs / 1000,
  )
  const ofTrees = (of: (report: TreeReport) => number) => () =>
    [...trees].map(([tree, report]) => [tree, of(report)] as const)
  metrics.gauges(
    `${prefix}_below_chunks`,
    "chunks that lack shares; 1000 stands for more",
    "tree",
    ofTrees(({ below }) => below),
  )
  metrics.gauges(
    `${prefix}_broken_chunks`,
    "chunks that no repair mends now; 1000 stands for more",
    "tree",
    ofTrees(({ broken }) => broken),
  )
  metrics.gauges(
    `${prefix}_verified_seconds`,
    "when all was last verified, seconds since the epoch; 0 before the first time",
    "tree",
    ofTrees(({ verifiedMs = 0 }) => verifiedMs / 1000),
  )
  metrics.gauges(`${prefix}_away_places`, "places that do not answer", "volume", () => away)
  return {
    add(report) {
      rounds.add()
      endedMs = report.endedMs
      isFailed = false
      trees.clear()
      for (const tree of report.trees) {
        trees.set(tree.tree, tree)
        mended.add(tree.mended)
        moved.add(tree.rebalance?.moved ?? 0)
        const { asked = 0, good = 0 } = tree.sample ?? {}
        blocks.add(good, { state: "good" })
        blocks.add(asked - good, { state: "bad" })
      }
      away.clear()
      for (const volume of report.volumes) {
        away.set(volume.volume, volume.away.length)
        freed.add(volume.collected?.bytes ?? 0)
      }
      failures.add([...report.trees, ...report.volumes].filter(({ error }) => error).length)
    },
    addFailure() {
      isFailed = true
      failures.add()
    },
    addChunk: () => chunks.add(),
    render: () => metrics.render(),
    health() {
      const ok = !isFailed && [...trees.values()].every(({ broken, error }) => broken === 0 && !error)
      return { ok, details: { roundEndMs: endedMs } }
    },
  }
}
