/** `history`: which versions of a tree there are and which device wrote them, and the ways back: a writer's and the owner's. */
import { HoldfastError, isoTime } from "@holdfast/core"
import { registerIdOf } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import type { TreeVersion } from "@holdfast/tree"
import type { Command } from "commander"
import { confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { parseRemote } from "../../places.ts"
import { examples } from "../../words.ts"
import { registerRestore } from "./history-restore.ts"
import { openTop } from "./locations.ts"
import { type FileFlags, withFiles } from "./open.ts"

const capFile = ["--cap-file <file>", "file with the capability that `cap:` stands for; - is stdin"] as const

/** Adds the command to the program. */
export function register(program: Command, context: Context): void {
  const history = program
    .command("history")
    .description("show the versions of a tree, go back to one, and go back from what a writer did")
  history
    .command("list")
    .description("list the versions that are kept, newest first, with time, device and account")
    .argument("<tree>", "a tree or mutable file, such as home:")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast history list home:"]))
    .action(async (tree: string, flags: FileFlags) => list(context, tree, flags))
  registerRestore(history, context)
  history
    .command("epoch")
    .description("as the owner: go on from the version that was seen here last, whatever was written since")
    .argument("<tree>", "a tree or mutable file that this profile made")
    .option("--yes", "do not ask, as without a terminal")
    .option(...capFile)
    .addHelpText(
      "after",
      `
When a writer took changes out of the history (ERR_UNPROVEN, ERR_FORK), or used up its numbers, the profile that made the tree begins
another epoch of it with what it saw last. Places and other devices then refuse all that is of the epoch before.
${examples(["holdfast history epoch home:"])}`,
    )
    .action(async (tree: string, flags: EpochFlags) => beginEpoch(context, tree, flags))
}

async function list(context: Context, tree: string, flags: FileFlags): Promise<void> {
  await withFiles(context, flags, async (open) => {
    const versions = await (await openTop(open, tree)).listVersions()
    context.output(versions.map(lineOf), versions.map(textOf))
  })
}

interface EpochFlags extends FileFlags {
  readonly yes?: boolean
}

async function beginEpoch(context: Context, tree: string, flags: EpochFlags): Promise<void> {
  const profile = await context.openProfile()
  await withFiles(context, flags, async (_open, sessionOf, capOf) => {
    // Not opened first: what servers offer is what this leaves behind.
    const { base, path } = parseRemote(tree)
    if (path.length > 0)
      throw new HoldfastError("ERR_INVALID_ARGUMENT", `Name the tree alone, without a path in it: "${tree}".`)
    if (!flags.yes && isAsking(context))
      await confirm(context, {
        warning: `All that anybody wrote to ${base.kind === "alias" ? `${base.alias}:` : "this tree"} since this profile saw it last is left behind, and no place takes it back.`,
        question: "Go on from what was seen here last?",
        insteadOfAsking: "To do so unasked: --yes",
        refusal: "The tree stays as it is.",
      })
    const { store, env } = await sessionOf(base)
    const keys = await keysOfCap(env.crypto, await capOf(base))
    const owner = await profile.ownerSeed(hex(registerIdOf(keys.publicKey)))
    const begun = await store.registers.beginEpoch(keys, owner)
    await context.outputChanged(
      begun,
      `Epoch ${begun.epoch} goes on from version ${begun.sequence - 1}, which was seen here last.`,
    )
  })
}

function lineOf({ sequence, timeMs, author }: TreeVersion): object {
  const device = author && { key: hex(author.device), name: author.name }
  const account = author && author.account.length > 0 ? { account: hex(author.account) } : {}
  return { sequence, time: isoTime(timeMs), ...(device && { device }), ...account }
}

function textOf({ sequence, timeMs, author }: TreeVersion): string {
  const time = `${isoTime(timeMs).slice(0, 19)}Z`
  if (!author) return `${sequence}  ${time}  written by an unknown device`
  const account = author.account.length > 0 ? ` of account ${hex(author.account).slice(0, 16)}` : ""
  return `${sequence}  ${time}  ${author.name} (${hex(author.device).slice(0, 16)})${account}`
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex")
}
