/**
 * `gc`: removing what nothing refers to any more. Volumes may share a node, where their shares lie among each other; so
 * what any tree of the profile needs stays in all of them.
 */
import { HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { type Cap, type ChunkId, looksLikeCap } from "@holdfast/protocol"
import { careIds, readCare } from "@holdfast/tree"
import type { Command } from "commander"
import { exitCodes } from "../../exit-codes.ts"
import { parseRemote, printable } from "../../transfer/path-spec.ts"
import { volumeNames } from "../../volumes/choose.ts"
import { idsOf } from "./check.ts"
import { type Context, examples, plural, type Session, withVolumes } from "./frame.ts"
import { humanSize } from "./listing.ts"
import type { VolumeOpener } from "./places.ts"
import type { LiveReport, LostPlace } from "./volume.ts"

/** Adds the command to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("gc")
    .description("remove what no tree of this profile refers to any more")
    .option("--grace <time>", "keep what was stored or confirmed since, such as 12h or 30d", "14d")
    .option("--keep <paths...>", "further trees whose content stays (capabilities as @file:FILE)")
    .option("--dry-run", "only tell how much it would be")
    .addHelpText("after", examples(["holdfast gc --dry-run"], ["holdfast gc --grace 30d --keep @file:other.cap"]))
    .action(async (flags: GcFlags) => gc(context, flags))
}

interface GcFlags {
  readonly grace: string
  readonly keep?: readonly string[]
  readonly dryRun?: boolean
}

async function gc(context: Context, { grace, keep = [], dryRun = false }: GcFlags): Promise<void> {
  const touchedBeforeMs = Date.now() - parseDuration(grace)
  await withVolumes(context, {}, async (open, sessionOf, capOf) => {
    const profile = await context.openProfile()
    const live = new Set<string>()
    const lost: LostPlace[] = []
    const unknown: string[] = []
    let firstUnknown: HoldfastError | undefined
    for (const text of [...[...profile.aliases.keys()].map((alias) => `${alias}:`), ...keep]) {
      const { base } = parseRemote(text)
      const session = await sessionOf(base)
      const onChunk = (id: ChunkId) => void live.add(toHex(id))
      const report = await liveChunks(session, open, await capOf(base), text, { trim: !dryRun, onChunk })
      lost.push(...report.lost)
      for (const error of report.unknown) {
        firstUnknown ??= error
        unknown.push(`${nameOf(text)}: ${error.message}`)
      }
    }
    if (firstUnknown) throw cannotKnow(firstUnknown, unknown, lost)
    let [shares, bytes] = [0, 0]
    const errors: Record<string, string> = {}
    for (const name of context.volume === undefined ? volumeNames(profile) : [context.volume]) {
      const { store } = await context.openSession(name)
      const results = await store.collectGarbage({ keep: (id) => live.has(id), touchedBeforeMs, dryRun })
      for (const [server, result] of results)
        if (result instanceof Error) errors[server] = result.message
        else {
          shares += result.shares
          bytes += result.bytes
        }
    }
    const lines = [`${dryRun ? "Would remove" : "Removed"} ${plural(shares, "share")} (${humanSize(bytes)}).`]
    for (const [server, message] of Object.entries(errors)) lines.push(`${server} was left out: ${message}`)
    for (const { place, message } of lost) lines.push(`cannot be read: ${place}: ${message}`)
    if (lost.length > 0) lines.push("All that the trees' own lists name was kept for what cannot be read.")
    const unreadable = lost.map(({ place, message }) => ({ place, message }))
    context.output({ shares, bytes, liveChunks: live.size, dryRun, errors, unreadable }, lines.join("\n"))
    if (lost.length > 0) process.exitCode = exitCodes.damaged
  })
}

/** Tells what `text` stands for needs: all that it lists, for a verify capability. */
async function liveChunks(
  session: Session,
  open: VolumeOpener,
  cap: Cap,
  text: string,
  options: { readonly trim: boolean; readonly onChunk: (id: ChunkId) => void },
): Promise<LiveReport> {
  try {
    if (cap.kind === "cv") for await (const id of idsOf(cap)) options.onChunk(id)
    else if (cap.kind === "dv" || cap.kind === "fv") {
      for (const list of await readCare(session.store.registers, cap))
        for await (const id of careIds(session.store.chunks, list)) options.onChunk(id)
    } else return await (await open(parseRemote(text).base)).liveChunks(options)
    return { lost: [], unknown: [] }
  } catch (error) {
    if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
    return { lost: [], unknown: [error] }
  }
}

/** A tree for messages: never a capability. */
function nameOf(text: string): string {
  return looksLikeCap(text) ? "(capability)" : printable(text)
}

/** Removing nothing is all that is left when it cannot be known what a tree needs. */
function cannotKnow(first: HoldfastError, unknown: readonly string[], lost: readonly LostPlace[]): HoldfastError {
  const lines = [...unknown, ...lost.map(({ place, message }) => `${place}: ${message}`)].map((line) => `  ${line}`)
  return new HoldfastError(
    first.code,
    `Nothing was removed, as it cannot be known what these trees need:\n${lines.join("\n")}`,
    { ...first.details, unknown, unreadable: lost.map(({ place }) => place) },
    { cause: first },
  )
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
