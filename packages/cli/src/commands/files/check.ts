/** `check`, `rebalance`: looking after what is stored. */
import { collectorOf, ownRegisters } from "@holdfast/client/account"
import type { Session } from "@holdfast/client/volumes"
import { HoldfastError, ownValue } from "@holdfast/core"
import { type LostPlace, show } from "@holdfast/fs"
import {
  addUnreadable,
  checkHealth,
  type DomainReport,
  emptyReport,
  type Footing,
  type FootingOptions,
  footingOf,
  footingOfCap,
  type Health,
  type HealthReport,
  isBad,
  onlyVerifies,
  type RebalanceReport,
  rebalance,
} from "@holdfast/fs/care"
import type { RegisterCopy } from "@holdfast/store"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { parseRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { audit } from "./audit.ts"
import { find, type Opener } from "./locations.ts"
import { type CapFinder, type FileFlags, withFiles } from "./open.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("check")
    .description("tell the health of what is stored, and mend it")
    .argument("[path]", "a place in a tree, or a verify capability", "home:")
    .option("--deep", "all that is below, not only the place itself")
    .option("--verify", "read and verify every share instead of believing the servers")
    .option(
      "--sample <count>",
      "ask for so many blocks by chance, with their proofs, instead of everything",
      parseCount,
    )
    .option("--repair", "put missing and damaged shares right")
    .option("--dry-run", "with --repair: only tell how many shares that would be")
    .option(...capFile)
    .addHelpText(
      "after",
      examples(
        ["holdfast check --deep home:", "exit code 5 when something is damaged or lost"],
        ["holdfast check --sample 459 @file:verify.cap", "30 MB find a loss of 1 % with a certainty of 99 %"],
        ["holdfast check --deep --repair home:", "after a server was lost or replaced"],
        [
          "holdfast check --repair @file:verify.cap",
          "with a verify capability: all of its tree, though nothing can be read with it",
        ],
      ),
    )
    .action(async (path: string, flags: CheckFlags) => check(context, path, flags))
  program
    .command("rebalance")
    .description("move shares to where they belong after servers came or went")
    .argument("[paths...]", "paths in a tree", ["home:"])
    .option("--dry-run", "only tell how many shares would be moved")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast rebalance home:"], ["holdfast rebalance --dry-run home:"]))
    .action(async (paths: string[], flags: RebalanceFlags) => rebalanceAll(context, paths, flags))
}

interface CheckFlags extends FileFlags {
  readonly deep?: boolean
  readonly verify?: boolean
  readonly repair?: boolean
  readonly dryRun?: boolean
  readonly sample?: number
}

interface RebalanceFlags extends FileFlags {
  readonly dryRun?: boolean
}

const mostSamples = 1_000_000

function parseCount(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= mostSamples) return count
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `--sample takes a number from 1 to ${mostSamples}, not "${text}".`)
}

async function check(context: Context, text: string, flags: CheckFlags): Promise<void> {
  await withFiles(context, flags, async (open, sessionOf, capOf) => {
    const { sample, deep = false, verify = false, repair = false, dryRun = false } = flags
    if (dryRun && !repair)
      throw new HoldfastError("ERR_INVALID_ARGUMENT", "--dry-run goes with --repair: without it nothing is changed.")
    if (sample !== undefined && (verify || repair))
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        "--sample goes neither with --verify nor with --repair: these read everything.",
      )
    const session = await sessionOf(parseRemote(text).base)
    if (sample !== undefined) {
      const { footing } = await standsOn({ session, open, capOf }, text, { deep })
      return audit(context, session, footing, sample)
    }
    const report = emptyReport()
    const onLost = (lost: LostPlace) => addUnreadable(report, lost)
    const { footing, place } = await standsOn({ session, open, capOf }, text, { deep, onLost })
    const more = await accountsOwn(context, session, text)
    const progress = context.progress(repair ? "repair" : "check", undefined, "chunks")
    const { store, env } = session
    const options = { report, verify, repair, dryRun, more, onChunk: () => progress.add(1) }
    const health = await checkHealth({ crypto: env.crypto, store }, footing, options).finally(() => progress.close())
    await conclude(context, health, { isRepair: repair, dryRun, place })
  })
}

/** What the account needs besides its trees: looked after with each tree that it keeps. */
async function accountsOwn(context: Context, session: Session, text: string) {
  const { base, path } = parseRemote(text)
  const isRoot = base.kind === "alias" && path.length === 0 && session.profile.aliasState(base.alias) === "listed"
  const { warn } = context
  return isRoot ? ownRegisters(session, warn) : { registers: [], chunks: [] }
}

interface Sources {
  readonly session: Session
  readonly open: Opener
  readonly capOf: CapFinder
}

/** What `text` stands on; of a verify capability all that it lists, whether `deep` or not. */
async function standsOn(
  { session, open, capOf }: Sources,
  text: string,
  options: FootingOptions,
): Promise<{ readonly footing: Footing; readonly place?: string }> {
  const { base, path } = parseRemote(text)
  const cap = path.length === 0 ? await capOf(base) : undefined
  if (cap && onlyVerifies(cap)) return { footing: footingOfCap(session.store, cap) }
  const found = await find(open, text)
  return { footing: footingOf(found.item, options), place: show(found) }
}

const inconsistentText =
  "Parity of these does not follow from their data, so they would read differently from different servers. Whoever wrote them made " +
  "them so, and no repair mends it: go back to an older version, or have it written again."

async function conclude(
  context: Context,
  health: Health,
  {
    isRepair,
    dryRun,
    place,
  }: { readonly isRepair: boolean; readonly dryRun: boolean; readonly place?: string | undefined },
): Promise<void> {
  const { report, copies } = health
  const lines: string[] = []
  if (report.chunks > 0) {
    lines.push(
      `${place ? `${place}: ` : ""}${plural(report.chunks, "chunk")}: ${report.healthy} healthy, ${report.damaged} damaged, ${report.lost} lost${report.inconsistent > 0 ? `, ${report.inconsistent} inconsistent` : ""}.`,
      `The weakest is on ${plural(report.leastServers, "distinct server")} with ${plural(report.leastSpare, "spare share")}.`,
    )
    if (dryRun) lines.push(`Would put ${plural(report.placed, "share")} right.`)
    else if (report.placed > 0) lines.push(`${plural(report.placed, "share")} put right.`)
    for (const where of report.corrupt) lines.push(`damaged: share ${where}`)
    for (const id of report.lostChunks) lines.push(`lost: chunk ${id}${placeOf(report, id)}`)
    for (const id of report.inconsistentChunks) lines.push(`inconsistent: chunk ${id}${placeOf(report, id)}`)
    if (report.inconsistent > 0) lines.push(inconsistentText)
    for (const why of Object.values(report.silent)) lines.push(`no answer: ${why}`)
    for (const [name, domain] of Object.entries(report.domains)) lines.push(domainLine(name, domain, report.chunks))
  } else if (copies.length === 0) lines.push(`${place ?? "It"} stands on no chunk of its own: nothing to check.`)
  for (const { place: where, what, message } of report.unreadable)
    lines.push(
      `cannot be read: ${what === "directory" ? "directory" : "list of the pieces of file"} ${where}: ${message}`,
    )
  if (report.unreadable.length > 0)
    lines.push(
      'What is below it was checked by the tree\'s own list. To go back: "holdfast snapshot list", "holdfast history restore".',
    )
  for (const { register, server, problem, what } of copies)
    if (problem) lines.push(`${server}: ${problem} (${what ?? "the root"}, register ${register})`)
  const roots = copies.filter(({ what }) => what === undefined)
  const others = copies.filter(({ what }) => what !== undefined)
  const good = copies.filter(({ problem }) => problem === undefined).length
  if (roots.length > 0) lines.push(`${goodOf(roots)} of the root are good.`)
  if (others.length > 0) lines.push(`${goodOf(others)} of the account's own list, and of what belongs to it, are good.`)
  if (report.damaged + copies.length - good > 0 && (!isRepair || dryRun))
    lines.push(`"holdfast check --repair" with the same words puts it right.`)
  const bad = isBad(health)
  const finite = (value: number) => (Number.isFinite(value) ? value : null)
  await context.outputChanged(
    {
      ...report,
      leastServers: finite(report.leastServers),
      leastSpare: finite(report.leastSpare),
      registers: roots,
      account: others,
      ok: !bad,
      dryRun,
    },
    lines,
  )
  if (bad) process.exitCode = exitCodes.damaged
}

/** What would be left without a domain. */
function domainLine(name: string, { lost, leastSpare, keepsQuorum }: DomainReport, chunks: number): string {
  const shares =
    lost > 0
      ? `${lost} of ${plural(chunks, "chunk")} could not be read`
      : `every chunk could be read, with ${plural(leastSpare ?? 0, "spare share")} at least`
  const roots = keepsQuorum ? "" : "; too few places of roots would be left to read or write anything"
  return `If all of ${name} were lost, ${shares}${roots}.`
}

function goodOf(copies: readonly RegisterCopy[]): string {
  const good = copies.filter(({ problem }) => problem === undefined).length
  return `${good} of ${plural(copies.length, "copy", "copies")}`
}

function placeOf({ places }: HealthReport, id: string): string {
  const place = ownValue(places, id)
  return place === undefined ? "" : `, of ${place}`
}

async function rebalanceAll(context: Context, paths: readonly string[], flags: RebalanceFlags): Promise<void> {
  const { dryRun = false } = flags
  await withFiles(context, flags, async (open, sessionOf, capOf) => {
    const reports: RebalanceReport[] = []
    const unreadable: LostPlace[] = []
    const progress = context.progress("rebalance", undefined, "chunks")
    try {
      for (const path of paths) {
        const session = await sessionOf(parseRemote(path).base)
        const options = { deep: true, onLost: (lost: LostPlace) => void unreadable.push(lost) }
        const { footing } = await standsOn({ session, open, capOf }, path, options)
        const account = await session.profile.account()
        // A device that may only append leaves what is freed to the next that may collect.
        const collector = account.keys && collectorOf(account)
        const { env, store } = session
        const how = { collector, dryRun, onChunk: () => progress.add(1) }
        reports.push(await rebalance({ crypto: env.crypto, store }, footing, how))
      }
    } finally {
      progress.close()
    }
    const sum = (of: "moved" | "released") => reports.reduce((total, report) => total + report[of], 0)
    const [moved, released] = [sum("moved"), sum("released")]
    const inconsistent = reports.flatMap((report) => report.inconsistent)
    const done = `${plural(moved, "share")} moved, ${released} freed where they lay before.`
    const would = `Would move ${plural(moved, "share")}, and free at most ${released} where they lie now.`
    const lines = [dryRun ? would : done]
    for (const id of inconsistent) lines.push(`inconsistent: chunk ${id}`)
    if (inconsistent.length > 0) lines.push(inconsistentText)
    for (const { place, message } of unreadable) lines.push(`cannot be read: ${place}: ${message}`)
    await context.outputChanged(
      {
        moved,
        released,
        dryRun,
        inconsistent,
        unreadable: unreadable.map(({ place, message }) => ({ place, message })),
      },
      lines,
    )
    if (inconsistent.length + unreadable.length > 0) process.exitCode = exitCodes.damaged
  })
}
