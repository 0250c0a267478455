/** `leakage`: what servers can learn of a tree though they cannot read it. */
import { HoldfastError } from "@holdfast/core"
import { keysOfCap } from "@holdfast/store"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { parseRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { type Leakage, measureLeakage, type SeenByServer } from "./leakage-meter.ts"
import { humanSize } from "./listing.ts"
import { type FileFlags, withFiles } from "./open.ts"

/** Adds the command to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("leakage")
    .description("show what servers can learn of a tree though they cannot read it")
    .argument("[tree]", "a tree or mutable file, such as home:", "home:")
    .option("--cap-file <file>", "file with the capability that `cap:` stands for; - is stdin")
    .addHelpText(
      "after",
      `
Servers see shares of certain sizes come at certain times, and how often the tree changes. This prints what padding costs, how many
chunks and large files have a size that no other has, what came together with each version, and what each server tells that it holds
for your account. Trees that are linked in have registers of their own: ask for them by themselves. Nothing is changed.
${examples(
  ["holdfast leakage home:", "numbers for people"],
  ["holdfast leakage home: --json", "all of them: each size of share at each server"],
)}`,
    )
    .action(async (tree: string, flags: FileFlags) => leakage(context, tree, flags))
}

async function leakage(context: Context, text: string, flags: FileFlags): Promise<void> {
  await withFiles(context, flags, async (_open, sessionOf, capOf) => {
    const { base, path } = parseRemote(text)
    if (path.length > 0)
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        `Name the tree alone, without a path in it: "${text}". What servers see is the same for all that is in it.`,
      )
    const session = await sessionOf(base)
    const measured = await measureLeakage(session, await keysOfCap(session.env.crypto, await capOf(base)))
    const { k, n } = session.coding
    context.output({ coding: { k, n }, ...measured }, linesOf(measured))
  })
}

function linesOf(measured: Leakage): string[] {
  const { padding, files, versions, servers, complete } = measured
  const share = (part: number, whole: number) => `${whole === 0 ? 0 : Math.round((100 * part) / whole)} %`
  return [
    "Padding",
    `  ${plural(padding.chunks, "chunk")}: ${humanSize(padding.usedBytes)} of content padded to ` +
      `${humanSize(padding.paddedBytes)} (${(100 * padding.overhead).toFixed(1)} % more)`,
    `  ${plural(padding.sizeClasses, "size")} that servers tell apart; ${plural(padding.alone, "chunk")} ` +
      `(${share(padding.alone, padding.chunks)}) with a size of its own`,
    "Files",
    `  ${plural(files.contents, "content")} outside directories, ${humanSize(files.bytes)}; ${files.large} of them large: ` +
      "servers see about how large each is",
    `  ${plural(files.sizeClasses, "size")} of large files; ${files.alone} (${share(files.alone, files.large)}) with a size of its own`,
    "Versions that are kept, and what came with each",
    ...versions.map(
      ({ sequence, time, chunks, paddedBytes }) =>
        `  ${String(sequence).padStart(6)}  ${shortTime(time)}  ${plural(chunks, "chunk")}, ${humanSize(paddedBytes)}`,
    ),
    "Servers, by what they tell",
    ...servers.flatMap(serverLines),
    ...(complete ? [] : ["Not everything could be looked at: the numbers are too low."]),
  ]
}

function serverLines({ server, shares, bytes, sizes, otherShares, register, problem }: SeenByServer): string[] {
  const versions = register
    ? `version ${register.version} since ${shortTime(register.last)}, ${register.kept} kept since ${shortTime(register.first)}`
    : "no version"
  return [
    `  ${server}: ${plural(shares, "share")} of ${plural(sizes.length, "size")}, ${humanSize(bytes)}; ${versions}; ` +
      `${plural(otherShares, "share")} of the account for other trees`,
    ...(problem === undefined ? [] : [`    not known all: ${problem}`]),
  ]
}

/** A time to the second. */
function shortTime(time: string): string {
  return time === "unknown" ? time : `${time.slice(0, 19)}Z`
}
