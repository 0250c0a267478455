/**
 * Rounds of maintenance, one after another, beside whatever else a process does: for months, over volumes that stay open. Processes of one
 * profile share the rounds by what it remembers of the last one, and run one at a time.
 */
import { maintainVolumes } from "./maintain.ts"
import type { HeldVolumes, MaintenanceDeps, RoundReport } from "./ports.ts"
import { untilHoursMs } from "./schedule.ts"

/** How rounds follow one another. */
export interface MaintainOptions {
  /** Ends after one round, whenever the last one was; outside the hours at once. */
  readonly isOnce?: boolean
  /** Runs beside other work of its process: the first round may fail as any other may. */
  readonly isBeside?: boolean
  onRound(report: RoundReport): void | Promise<void>
  /** Hears that the only round is left out, since it is none of the hours. */
  onClosed?(): void
  /** Hears why a round could not begin, or broke off; the next one tries again, soon at first. */
  onFailure?(error: Error): void
}

/** After a round that could not begin, or broke off; twice as long each time, up to the usual pause. */
const firstRetryMs = 60_000

/**
 * Runs rounds until the signal aborts, whose reason is thrown. Throws what keeps the first one from beginning, unless it is beside;
 * nothing else ends them, be it a disk that fails for a while or a bug that one tree alone shows.
 */
export async function maintain(
  held: HeldVolumes,
  deps: MaintenanceDeps,
  { isOnce = false, isBeside = false, onRound, onClosed, onFailure }: MaintainOptions,
): Promise<void> {
  const { clock } = deps.env
  const due = new Due(deps)
  let failures = 0
  for (let isFirst = true; ; ) {
    deps.signal?.throwIfAborted()
    const closedMs = untilHoursMs(deps.hours, clock.nowMs(), deps.minuteOfDay)
    if (closedMs > 0 && isOnce) return onClosed?.()
    try {
      const waitMs = closedMs > 0 || isOnce ? closedMs : await due.inMs()
      if (waitMs > 0) {
        await clock.sleep(waitMs, deps.signal)
        continue
      }
      const startedMs = clock.nowMs()
      const report = await exclusively(deps, async () => {
        // Another process may have run it while this one waited.
        if (!isOnce && (await due.inMs()) > 0) return undefined
        return round(held, deps)
      })
      isFirst = false
      if (!report) continue
      due.startedMs = startedMs
      failures = 0
      await onRound(report)
    } catch (error) {
      deps.signal?.throwIfAborted() // what somebody else gave up, as a session that is opened anew, ends no rounds
      if (isOnce || (isFirst && !isBeside)) throw error
      onFailure?.(error instanceof Error ? error : new Error(String(error)))
      await clock.sleep(Math.min(firstRetryMs * 2 ** failures++, deps.schedule.roundMs), deps.signal)
    }
    if (isOnce) return
  }
}

async function round(held: HeldVolumes, deps: MaintenanceDeps): Promise<RoundReport> {
  let report: RoundReport | undefined
  try {
    report = await maintainVolumes(await held.open(), deps)
    return report
  } finally {
    await held.settle(report)
  }
}

function exclusively<T>(deps: MaintenanceDeps, work: () => Promise<T>): Promise<T> {
  return deps.exclusively ? deps.exclusively(work) : work()
}

/** When the next round is due. */
class Due {
  readonly #deps: MaintenanceDeps
  /** When the last one of this process began. */
  startedMs: number | undefined

  constructor(deps: MaintenanceDeps) {
    this.#deps = deps
  }

  /** In how long it is; 0 when it is now. A round that did not come to its end goes on at once. */
  async inMs(): Promise<number> {
    const { env, folder, schedule, isAll } = this.#deps
    const known = isAll ? (await folder.load()).round : undefined
    const ended = known?.endedMs === undefined ? undefined : known.startedMs
    const lastMs = Math.max(this.startedMs ?? Number.NEGATIVE_INFINITY, ended ?? Number.NEGATIVE_INFINITY)
    const nowMs = env.clock.nowMs()
    return lastMs > nowMs ? 0 : Math.max(0, lastMs + schedule.roundMs - nowMs) // of a clock that was ahead nothing is known
  }
}
