/** `maintain`: looks after what is stored, by itself. */
import { HoldfastError } from "@holdfast/core"
import { type Hours, type Schedule, usualSchedule } from "@holdfast/fs/care"
import { parseAddress, startMonitor } from "@holdfast/network"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { createMaintenanceMetrics } from "../../maintenance/metrics.ts"
import { exitCodeOfRound, roundLines, roundValue } from "../../maintenance/report.ts"
import { failureText, runMaintenance } from "../../maintenance/run.ts"
import { examples } from "../../words.ts"
import { parseDuration } from "./gc.ts"
import type { FileFlags } from "./open.ts"

/** Adds the command to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("maintain")
    .description("check, mend, rebalance and collect by itself, round after round, until it is stopped")
    .argument("[places...]", "whole trees, or verify capabilities (default: all aliases of the profile)")
    .option("--once", "one round and end, as from cron")
    .option("--every <time>", "verify all shares within so long, a part in each round (default: 30d)")
    .option("--round <time>", "from one round to the next (default: 1h)")
    .option("--sample <count>", "blocks asked for by chance in each round; 0 for none (default: 60)")
    .option(
      "--wait <time>",
      "wait so long for a server that does not answer before its shares are made anew (default: 1d)",
    )
    .option("--collect-every <time>", "collect what nothing needs any more so often (default: 7d)")
    .option("--no-collect", "collect nothing")
    .option("--hours <from-to>", "do something in these hours of the day alone, as 22-6 or 22:30-6:15")
    .option("--metrics <host:port>", "serve health and metrics there; a port alone is one of 127.0.0.1, 0 a free one")
    .option("--cap-file <file>", "file with a capability, used as cap: (- is stdin)")
    .addHelpText(
      "after",
      examples(
        ["holdfast maintain", "until it is stopped, with all trees of the profile"],
        ["holdfast maintain --once", "from cron or a timer of systemd"],
        ["holdfast maintain --hours 22-6 --limit-download 4M --limit-upload 1M"],
        ["holdfast maintain @file:verify.cap", "with a verify capability: nothing can be read with it"],
      ),
    )
    .action((places: string[], flags: MaintainFlags) => runMaintain(context, places, flags))
}

interface MaintainFlags extends FileFlags {
  readonly once?: boolean
  readonly every?: string
  readonly round?: string
  readonly sample?: string
  readonly wait?: string
  readonly collectEvery?: string
  readonly collect?: boolean
  readonly hours?: string
  readonly metrics?: string
}

async function runMaintain(context: Context, places: readonly string[], flags: MaintainFlags): Promise<void> {
  const schedule = scheduleOf(flags)
  const hours = flags.hours === undefined ? undefined : parseHours(flags.hours)
  const monitorAt = flags.metrics === undefined ? (false as const) : parseMonitor(flags.metrics)
  const metrics = createMaintenanceMetrics()
  const monitor = await startMonitor(monitorAt, { metrics: () => metrics.render(), health: () => metrics.health() })
  if (monitor) context.warn(`health and metrics at http://${monitor.address}/metrics`)
  const isOnce = flags.once === true
  await runMaintenance(context, {
    ...flags,
    ...{ places, schedule, hours, isOnce, collects: flags.collect !== false },
    onChunk: () => metrics.addChunk(),
    onRound(report, nameOf) {
      metrics.add(report)
      context.done(roundValue(report), roundLines(report, nameOf))
      if (isOnce) process.exitCode = exitCodeOfRound(report)
    },
    onClosed: () => context.done({ event: "closed" }, "Nothing was done: it is none of the hours."),
    onWait: (pid) => context.warn(`Process ${pid} is in a round of this profile; waiting for its end.`),
    onFailure(error) {
      metrics.addFailure()
      context.warn(`this round was left out: ${failureText(error)}`)
    },
  }).finally(() => monitor?.close())
}

function scheduleOf({ every, round, sample, wait, collectEvery }: MaintainFlags): Schedule {
  const time = (text: string | undefined, usualMs: number) => (text === undefined ? usualMs : parseDuration(text))
  const { everyMs, roundMs, waitMs, collectEveryMs, sampleBlocks } = usualSchedule
  const between = time(round, roundMs)
  if (between < leastRoundMs) throw new HoldfastError("ERR_INVALID_ARGUMENT", "--round takes at least a minute, as 1m.")
  return {
    ...usualSchedule,
    everyMs: time(every, everyMs),
    roundMs: between,
    waitMs: time(wait, waitMs),
    collectEveryMs: time(collectEvery, collectEveryMs),
    sampleBlocks: sample === undefined ? sampleBlocks : countOf(sample),
  }
}

const leastRoundMs = 60_000
const mostSamples = 100_000

function countOf(text: string): number {
  const count = Number(text)
  if (text !== "" && Number.isInteger(count) && count >= 0 && count <= mostSamples) return count
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `--sample takes a number from 0 to ${mostSamples}.`)
}

/** Hours as `22-6` or `22:30-6:15`. Throws ERR_INVALID_ARGUMENT. */
export function parseHours(text: string): Hours {
  const [, from, fromMinute = "0", to, toMinute = "0"] =
    /^(\d{1,2})(?::(\d{2}))?-(\d{1,2})(?::(\d{2}))?$/.exec(text) ?? []
  const hours = { from: Number(from) * 60 + Number(fromMinute), to: Number(to) * 60 + Number(toMinute) }
  const isTime = (minutes: number, minute: string) => minutes >= 0 && minutes <= 24 * 60 && Number(minute) < 60
  if (from !== undefined && isTime(hours.from, fromMinute) && isTime(hours.to, toMinute) && hours.from !== hours.to)
    return { from: hours.from % (24 * 60), to: hours.to % (24 * 60) }
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `--hours takes two times of the day, as 22-6 or 22:30-6:15.`)
}

function parseMonitor(text: string): { readonly host?: string; readonly port: number } {
  return /^\d{1,5}$/.test(text) && Number(text) < 65_536 ? { port: Number(text) } : parseAddress(text)
}
