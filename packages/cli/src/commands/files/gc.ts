/**
 * `gc`: removing what nothing refers to any more. Volumes may share a node, where their shares lie among each other; so
 * what any tree of the profile needs stays in all of them.
 */
import { HoldfastError, toHex } from "@holdfast/core"
import type { Cap, ChunkId } from "@holdfast/protocol"
import { careIds, readCare } from "@holdfast/tree"
import type { Command } from "commander"
import { parseRemote } from "../../transfer/path-spec.ts"
import { volumeNames } from "../../volumes/choose.ts"
import { idsOf } from "./check.ts"
import { type Context, examples, plural, type Session, withVolumes } from "./frame.ts"
import { humanSize } from "./listing.ts"
import { find, type VolumeOpener } from "./places.ts"

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
    // A tree that cannot be read ends the command: its chunks would look unused.
    for (const text of [...[...profile.aliases.keys()].map((alias) => `${alias}:`), ...keep]) {
      const { base } = parseRemote(text)
      const session = await sessionOf(base)
      for await (const id of liveChunks(session, open, await capOf(base), text, !dryRun)) live.add(toHex(id))
    }
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
    context.output({ shares, bytes, liveChunks: live.size, dryRun, errors }, lines.join("\n"))
  })
}

/** What `text` stands for needs: all that it lists, for a verify capability. */
async function* liveChunks(
  session: Session,
  open: VolumeOpener,
  cap: Cap,
  text: string,
  trim: boolean,
): AsyncGenerator<ChunkId, void, void> {
  if (cap.kind === "cv") yield* idsOf(cap)
  else if (cap.kind === "dv" || cap.kind === "fv")
    for (const list of await readCare(session.store.registers, cap)) yield* careIds(session.store.chunks, list)
  else yield* (await find(open, text)).volume.liveChunks({ trim })
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
