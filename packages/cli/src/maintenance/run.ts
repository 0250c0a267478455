/**
 * Maintenance as commands run it: for its own sake (`maintain`), or beside the work of a process that lives long, on the sessions that this
 * one has open. Of several processes of a profile one runs the rounds that are due, and another goes on when that one has ended.
 */
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import {
  type Hours,
  type MaintainOptions,
  type MaintenanceDeps,
  maintain,
  type RoundReport,
  type Schedule,
  usualSchedule,
} from "@holdfast/fs/care"
import type { Context } from "../context.ts"
import { openMaintenance, takeTurn } from "./folder.ts"
import { holdPlaces, lockedOut } from "./held.ts"
import { isWellDone, roundLines } from "./report.ts"
import type { MaintainedPlaces } from "./volumes.ts"

/** What is looked after, when, and who hears of it. */
export interface MaintenanceOptions
  extends MaintainedPlaces,
    Pick<MaintainOptions, "isOnce" | "isBeside" | "onClosed" | "onFailure">,
    Pick<MaintenanceDeps, "onChunk"> {
  readonly schedule?: Schedule
  readonly hours?: Hours | undefined
  /** Ends the rounds; the context's own signal ends their sessions too. */
  readonly signal?: AbortSignal
  onRound(report: RoundReport, nameOf: (place: string) => string): void
  /** Hears which process of the profile is in a round, for which this one waits. */
  onWait?(pid: string): void
}

/** Runs rounds for the context's profile until a signal ends them. Throws what `maintain` of the package `fs` throws. */
export async function runMaintenance(context: Context, options: MaintenanceOptions): Promise<void> {
  const { schedule = usualSchedule, hours, onChunk, isOnce, isBeside, onClosed, onFailure, places } = options
  const signal = options.signal ?? context.interruption.signal
  const { onWait = () => undefined, onRound } = options
  const held = holdPlaces(context, { ...options, signal })
  const deps: MaintenanceDeps = {
    ...{ env: nodeEnv, folder: openMaintenance(context).folder, schedule, hours, signal, minuteOfDay, onChunk },
    isAll: places.length === 0 && context.volume === undefined,
    exclusively: (round) => takeTurn(context, round, { onWait, signal }),
  }
  await maintain(held, deps, {
    ...{ ...(isOnce && { isOnce }), ...(isBeside && { isBeside }) },
    ...{ ...(onClosed && { onClosed }), ...(onFailure && { onFailure }) },
    onRound: (report) => onRound(report, held.nameOf),
  })
}

/** Maintenance under way beside other work. */
export interface Maintenance {
  /** Ends it, and resolves once it has: then the context's sessions are free. */
  stop(): Promise<void>
}

/** How it runs beside other work. */
export interface BesideOptions {
  /** The first round begins after so long, when what begins with it is there. */
  readonly startMs?: number
  /** Hears why nothing is looked after for the moment; undefined once it is. */
  onTrouble?(why: string | undefined): void
}

/** The same is told again after so many other texts. */
const mostTold = 100

/**
 * Looks after all trees of the context's profile beside the caller's work, by the usual schedule; call `stop` before the context is closed.
 * It uses the sessions that are open, and never closes one that the caller asked for. What is not well is told by `warn` of the context,
 * the same once.
 */
export function maintainBeside(context: Context, { startMs = 0, onTrouble }: BesideOptions = {}): Maintenance {
  const stopping = new AbortController()
  const signal = AbortSignal.any([stopping.signal, context.interruption.signal])
  const told = new Set<string>()
  const warn = (text: string) => {
    if (told.size >= mostTold) told.clear()
    if (!told.has(text)) context.warn(text)
    told.add(text)
  }
  const fail = (error: Error) => {
    const why = failureText(error)
    onTrouble?.(why)
    if (!isHoldfastError(error) && !told.has(why)) context.tell((error.stack ?? "").split("\n")) // for a daemon's log
    warn(why)
  }
  const rounds = async () => {
    const locked = lockedOut(context) // known before a round is due
    if (locked) fail(locked)
    await nodeEnv.clock.sleep(startMs, signal)
    await runMaintenance(
      { ...context, warn },
      {
        ...{ places: [], collects: true, isBeside: true, signal },
        onRound(report, nameOf) {
          onTrouble?.(undefined)
          told.clear()
          if (!isWellDone(report)) context.tell(roundLines(report, nameOf))
        },
        onFailure: fail,
      },
    )
  }
  const ended = rounds().catch((error: unknown) => {
    if (signal.aborted) return
    fail(error instanceof Error ? error : new Error(String(error)))
  })
  return {
    async stop() {
      stopping.abort(new HoldfastError("ERR_ABORTED", "Maintenance was stopped."))
      await ended
    },
  }
}

/** Why a round was left out, or broke off: what is no error of the product is said to be none. */
export function failureText(error: Error): string {
  if (isHoldfastError(error)) return error.message
  return `Maintenance met an error that nobody expected, and tries again: ${error.message}`
}

/** A time's minute of the day by this machine's clock. */
function minuteOfDay(timeMs: number): number {
  const time = new Date(timeMs)
  return time.getHours() * 60 + time.getMinutes()
}
