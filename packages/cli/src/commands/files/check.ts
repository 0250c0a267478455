/** `check`, `rebalance`, `gc`: looking after what is stored. */
import { HoldfastError, toHex } from "@holdfast/core"
import { type ChunkId, decodeCap, looksLikeCap } from "@holdfast/protocol"
import type { Command } from "commander"
import { exitCodes } from "../../exit-codes.ts"
import { type Context, examples, plural, readSecret, type Session, type VolumeFlags, withVolumes } from "./frame.ts"
import { addHealth, checkChunks, checkRegister, emptyReport, type HealthReport, type RegisterCopy } from "./health.ts"
import { humanSize } from "./listing.ts"
import { find, show } from "./places.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("check")
    .description("tell the health of what is stored, and mend it")
    .argument("[path]", "a place in a tree, or a verify capability", "home:")
    .option("--deep", "all that is below, not only the place itself")
    .option("--verify", "read and verify every share instead of believing the servers")
    .option("--repair", "put missing and damaged shares right")
    .option(...capFile)
    .addHelpText(
      "after",
      examples(
        ["holdfast check --deep home:", "exit code 5 when something is damaged or lost"],
        ["holdfast check --deep --repair home:", "after a server was lost or replaced"],
        ["holdfast check @file:verify.cap", "with a verify capability: nothing can be read with it"],
      ),
    )
    .action(async (path: string, flags: CheckFlags) => check(context, path, flags))
  program
    .command("rebalance")
    .description("move shares to where they belong after servers came or went")
    .argument("[paths...]", "places in a tree", ["home:"])
    .option(...capFile)
    .addHelpText("after", examples(["holdfast rebalance home:"]))
    .action(async (paths: string[], flags: VolumeFlags) => rebalance(context, paths, flags))
  program
    .command("gc")
    .description("remove what no tree of this profile refers to any more")
    .option("--grace <time>", "keep what was stored or confirmed since, such as 12h or 30d", "14d")
    .option("--keep <paths...>", "further trees whose content stays (capabilities as @file:FILE)")
    .option("--dry-run", "only tell how much it would be")
    .addHelpText("after", examples(["holdfast gc --dry-run"], ["holdfast gc --grace 30d --keep @file:other.cap"]))
    .action(async (flags: GcFlags) => gc(context, flags))
}

interface CheckFlags extends VolumeFlags {
  readonly deep?: boolean
  readonly verify?: boolean
  readonly repair?: boolean
}
interface GcFlags {
  readonly grace: string
  readonly keep?: readonly string[]
  readonly dryRun?: boolean
}

async function check(context: Context, path: string, flags: CheckFlags): Promise<void> {
  const text = path.startsWith("@file:") && !path.includes("//") ? await readSecret(path.slice(6)) : path
  const cap = looksLikeCap(text) && !text.includes("/") ? decodeCap(text) : undefined
  if (cap?.kind === "dv" || cap?.kind === "fv")
    return conclude(context, flags, emptyReport(), await checkServers(context, cap.publicKey))
  if (cap?.kind === "cv")
    return conclude(context, flags, await checkAll(context, await context.openSession(), only(cap.chunkId), flags), [])
  await withVolumes(context, flags, async (open, session) => {
    const found = await find(open, text)
    const ids = found.volume.chunksOf(found.item, { deep: flags.deep ?? false })
    const report = await checkAll(context, session, ids, flags)
    conclude(context, flags, report, [], show(found))
  })
}

async function checkServers(context: Context, publicKey: Uint8Array): Promise<RegisterCopy[]> {
  const session = await context.openSession()
  return checkRegister(session.backends, session.env.crypto, publicKey)
}

async function checkAll(
  context: Context,
  session: Session,
  ids: AsyncIterable<ChunkId>,
  { verify = false, repair = false }: CheckFlags,
): Promise<HealthReport> {
  const report = emptyReport()
  const progress = context.progress(repair ? "repair" : "check", undefined)
  try {
    await checkChunks(
      ids,
      (id) => session.store.checkChunk(id, { verify, repair }),
      (health) => {
        addHealth(report, health, session.backends.length, repair)
        progress.add(1)
      },
    )
  } finally {
    progress.close()
  }
  return report
}

function conclude(
  context: Context,
  flags: CheckFlags,
  report: HealthReport,
  copies: readonly RegisterCopy[],
  place?: string,
): void {
  const lines: string[] = []
  if (report.chunks > 0) {
    lines.push(
      `${place ? `${place}: ` : ""}${plural(report.chunks, "chunk")}: ${report.healthy} healthy, ${report.damaged} damaged, ${report.lost} lost.`,
      `The weakest is on ${plural(report.leastServers, "distinct server")} with ${plural(report.leastSpare, "spare share")}.`,
    )
    if (report.placed > 0) lines.push(`${plural(report.placed, "share")} put right.`)
    for (const where of report.corrupt) lines.push(`damaged: share ${where}`)
    for (const id of report.lostChunks) lines.push(`lost: chunk ${id}`)
    if (report.damaged > 0 && !flags.repair) lines.push(`"holdfast check --repair" with the same words puts it right.`)
  } else if (copies.length === 0) lines.push(`${place ?? "It"} stands on no chunk of its own: nothing to check.`)
  for (const { server, sequence, problem } of copies) lines.push(`${server}: ${problem ?? `has sequence ${sequence}`}`)
  const bad = report.damaged + report.lost > 0 || copies.some(({ problem }) => problem !== undefined)
  const finite = (value: number) => (Number.isFinite(value) ? value : null)
  context.output(
    {
      ...report,
      leastServers: finite(report.leastServers),
      leastSpare: finite(report.leastSpare),
      registers: copies,
      ok: !bad,
    },
    lines.join("\n"),
  )
  if (bad) process.exitCode = exitCodes.damaged
}

async function rebalance(context: Context, paths: readonly string[], flags: VolumeFlags): Promise<void> {
  await withVolumes(context, flags, async (open, session) => {
    let moved = 0
    const progress = context.progress("rebalance", undefined)
    try {
      for (const path of paths) {
        const found = await find(open, path)
        const seen = new Set<string>()
        for await (const id of found.volume.chunksOf(found.item, { deep: true })) {
          if (seen.has(toHex(id))) continue
          seen.add(toHex(id))
          moved += await session.store.rebalanceChunk(id)
          progress.add(1)
        }
      }
    } finally {
      progress.close()
    }
    context.output({ moved }, `${plural(moved, "share")} moved.`)
  })
}

async function gc(context: Context, { grace, keep = [], dryRun = false }: GcFlags): Promise<void> {
  const touchedBeforeMs = Date.now() - parseDuration(grace)
  await withVolumes(context, {}, async (open, session) => {
    const live = new Set<string>()
    // A tree that cannot be read ends the command: its chunks would look unused.
    for (const text of [...[...session.profile.aliases.keys()].map((alias) => `${alias}:`), ...keep])
      for await (const id of (await find(open, text)).volume.liveChunks()) live.add(toHex(id))
    const results = await session.store.collectGarbage({ keep: (id) => live.has(id), touchedBeforeMs, dryRun })
    let [shares, bytes] = [0, 0]
    const errors: Record<string, string> = {}
    for (const [server, result] of results)
      if (result instanceof Error) errors[server] = result.message
      else {
        shares += result.shares
        bytes += result.bytes
      }
    const lines = [`${dryRun ? "Would remove" : "Removed"} ${plural(shares, "share")} (${humanSize(bytes)}).`]
    for (const [server, message] of Object.entries(errors)) lines.push(`${server} was left out: ${message}`)
    context.output({ shares, bytes, liveChunks: live.size, dryRun, errors }, lines.join("\n"))
  })
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

async function* only(id: ChunkId): AsyncGenerator<ChunkId, void, void> {
  yield id
}
