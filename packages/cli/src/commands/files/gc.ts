/** `gc`: freeing what this account stored and none of its trees needs any more. What others hold is never touched. */
import { everyPlace, volumesFor } from "@holdfast/client/volumes"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { type CollectGarbageOptions, sweepBuckets } from "@holdfast/fs/care"
import { encodeCap, looksLikeCap, type SweepOutcome } from "@holdfast/protocol"
import { tellAnswers } from "@holdfast/store"
import type { Command } from "commander"
import { collectAccount, type VolumeReport } from "../../account/collect.ts"
import { confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { exitCodeOf, exitCodes } from "../../exit-codes.ts"
import { parseRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { humanSize } from "./listing.ts"
import { withFiles } from "./open.ts"

/** Adds the command to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("gc")
    .description("free what this account stored and none of its trees needs any more")
    .option(
      "--grace <time>",
      "spare what was stored or used since, such as 30d; at least what each place spares anyway",
    )
    .option("--keep <paths...>", "further trees whose content stays (capabilities as @file:FILE)")
    .option("--dry-run", "only tell how much it would be")
    .option("--yes", "do not look through it first and ask, as without a terminal")
    .addHelpText("after", examples(["holdfast gc --dry-run"], ["holdfast gc --grace 30d"]))
    .action(async (flags: GcFlags) => gc(context, flags))
}

interface GcFlags {
  readonly grace?: string
  readonly keep?: readonly string[]
  readonly dryRun?: boolean
  readonly yes?: boolean
}

/** No place takes away what is younger: a command under way would have to begin again. */
const leastGraceMs = 3_600_000

async function gc(context: Context, { grace, keep = [], dryRun = false, yes = false }: GcFlags): Promise<void> {
  const graceMs = grace === undefined ? 0 : parseDuration(grace)
  if (grace !== undefined && graceMs < leastGraceMs)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `--grace ${grace} is too short: places spare at least what was stored within the last hour, most within the last day, as a ` +
        "command under way may need it. Leave --grace out, or ask for more.",
    )
  await withFiles(context, { forRemoval: true }, async (_open, _sessionOf, capOf) => {
    const kept = await Promise.all(
      keep.map(async (text) => ({ label: nameOf(text), cap: encodeCap(await capOf(parseRemote(text).base)) })),
    )
    const options = { graceMs, keep: kept, warn: context.warn }
    if (!dryRun && !yes && isAsking(context)) await confirmCollection(context, options)
    await show(context, await collectAll(context, { ...options, dryRun }), dryRun)
  })
}

async function collectAll(context: Context, options: CollectGarbageOptions): Promise<Done> {
  const profile = await context.openProfile()
  const reports: VolumeReport[] = []
  const swept: SweepOutcome[] = []
  const failed: FailedVolume[] = []
  for (const name of volumesFor(profile, context.volume)) {
    try {
      const session = await context.openSession(name, { forRemoval: true })
      reports.push(await collectAccount(session, options))
      if (!options.dryRun) swept.push(...(await sweepBuckets(everyPlace(session), options.warn)).values())
    } catch (error) {
      if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
      failed.push({ volume: name, error }) // what cannot be known of one volume is no reason to leave another as it is
    }
  }
  if (reports.length === 0 && failed[0]) throw failed[0].error
  return { reports, swept, failed }
}

/** Looks through all trees for what they do not need, and asks when that is anything. Throws ERR_ABORTED. */
async function confirmCollection(context: Context, options: Omit<CollectGarbageOptions, "dryRun">): Promise<void> {
  const { reports } = await collectAll(context, { ...options, dryRun: true, warn: () => undefined })
  const places = reports.flatMap((report) => [...report.places.values()])
  const shares = places.reduce((sum, place) => sum + place.shares, 0)
  const bytes = places.reduce((sum, place) => sum + place.bytes, 0)
  if (shares === 0) return
  const trees = reports.flatMap(({ byRoot }) => byRoot.map(({ label }) => label))
  await confirm(context, {
    warning: [
      `${plural(shares, "share")} (${humanSize(bytes)}) would go for good, and what only versions hold that are past their time (\`holdfast keep\`). None of these needs them:`,
      `  ${trees.join(" ") || "(your trees hold nothing)"}`,
    ],
    question: "Free that?",
    insteadOfAsking: "To do so unasked: holdfast gc --yes",
    refusal: "Nothing was freed.",
  })
}

interface Done {
  readonly reports: readonly VolumeReport[]
  readonly swept: readonly SweepOutcome[]
  readonly failed: readonly FailedVolume[]
}

/** A volume where nothing was removed, and why. */
interface FailedVolume {
  readonly volume: string
  readonly error: HoldfastError
}

async function show(context: Context, { reports, swept, failed }: Done, dryRun: boolean): Promise<void> {
  const all = reports.flatMap(({ places }) => [...places.values()])
  const condemned = swept.reduce((total, one) => total + one.condemned, 0)
  const sum = (of: (one: (typeof all)[number]) => number) => all.reduce((total, one) => total + of(one), 0)
  const total = {
    shares: swept.reduce(
      (total, { shares }) => total + shares,
      sum(({ shares }) => shares),
    ),
    bytes: swept.reduce(
      (total, { bytes }) => total + bytes,
      sum(({ bytes }) => bytes),
    ),
    condemned,
    registers: sum(({ registers }) => registers),
    young: sum(({ young }) => young),
    shared: dryRun ? 0 : Math.max(0, sum(({ marks }) => marks) - sum(({ shares }) => shares)),
    liveChunks: reports.reduce((chunks, report) => chunks + report.liveChunks, 0),
  }
  const errors = Object.fromEntries(reports.flatMap(({ leftOut }) => [...leftOut]))
  const problems = reports.flatMap((report) => report.problems)
  const lost = reports.flatMap((report) => report.lost)
  const untouched = reports.filter(({ outOfReach }) => outOfReach.length > 0)
  const lines = [
    `${dryRun ? "Would remove at most" : "Removed"} ${plural(total.shares, "share")} (${humanSize(total.bytes)}).`,
  ]
  if (total.young > 0)
    lines.push(
      `${plural(total.young, "share")} not needed any more, but too young to go: places spare what was used within a day.`,
    )
  if (condemned > 0)
    lines.push(
      `${plural(condemned, "object")} of buckets will go with a \`gc\` a day from now, unless somebody needs them again.`,
    )
  const neededBy = reports.flatMap(({ volume, byRoot }) =>
    byRoot.map(({ label, chunks }) => ({ volume, tree: label, chunks })),
  )
  if (dryRun) lines.push(...neededBy.map(({ tree, chunks }) => `${tree} needs ${plural(chunks, "chunk")}.`))
  const notHeld = reports.flatMap(({ refused }) => [...refused])
  for (const { label, why } of problems)
    lines.push(`${label} was not looked through, so all that it lists stays: ${why}`)
  const leftOut = Object.entries(errors).map(([server, why]) => ({ server, why }))
  if (leftOut.length > 0) lines.push(`Left out: ${tellAnswers(leftOut)}.`)
  for (const { place, message } of lost) lines.push(`cannot be read: ${place}: ${message}`)
  if (lost.length > 0) lines.push("All that the trees' own lists name was kept for what cannot be read.")
  for (const { volume, outOfReach } of untouched)
    lines.push(
      `Nothing was removed from ${volume}, as it could belong to what is out of reach: ${outOfReach.map(({ place }) => place).join(", ")}. ` +
        "Bring servers back, then collect again; an alias that you need no more is taken away with `holdfast alias remove`.",
    )
  for (const [server, refusal] of notHeld) lines.push(notHeldLine(server, refusal))
  const unreadable = lost.map(({ place, message }) => ({ place, message }))
  const outOfReach = untouched.flatMap(({ volume, outOfReach }) => outOfReach.map(({ place }) => ({ volume, place })))
  const failures = failed.map(({ volume, error: { code, message } }) => ({ volume, code, message }))
  for (const { volume, message } of failures) lines.push(`${volume} was not collected: ${message}`)
  const json = { ...total, neededBy, dryRun, errors, problems, unreadable, outOfReach, failed: failures }
  await context.outputChanged({ ...json, notHeld: notHeld.map(([server, refusal]) => ({ server, ...refusal })) }, lines)
  if (notHeld.length > 0)
    process.exitCode = notHeld.some(([, { isQuota }]) => isQuota) ? exitCodes.refused : exitCodes.unavailable
  if (untouched.length > 0) process.exitCode = exitCodes.unavailable
  if (failed[0]) process.exitCode = exitCodeOf(failed[0].error)
  if (lost.length > outOfReach.length) process.exitCode = exitCodes.damaged
}

/** Also for `upgrade`: what another account stored and this one needs, and a place does not let it hold. */
export function notHeldLine(server: string, { message, isQuota }: { message: string; isQuota: boolean }): string {
  const advice = isQuota
    ? "Remove what you do not need, or ask the provider for more; then collect again."
    : "The next `holdfast gc` tries again."
  return `${server} does not hold for this account all that it needs, so it goes when others let go of it: ${message} ${advice}`
}

/** A tree for messages: never a capability. */
function nameOf(text: string): string {
  return looksLikeCap(text) ? "(capability)" : text
}

/** Milliseconds of `90s`, `12h`, `30d`. Throws ERR_INVALID_ARGUMENT. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text)
  if (!match)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${text}" is not a time: write a number and s, m, h or d, such as 14d.`,
    )
  return Number(match[1]) * { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as "s" | "m" | "h" | "d"]
}
