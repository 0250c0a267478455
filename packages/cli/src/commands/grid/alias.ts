/** `holdfast alias`: names for capabilities, kept in the profile. */
import { decodeCap } from "@holdfast/protocol"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { createAliasTree } from "../../new-tree.ts"
import { gridName, volumeFor } from "../../volumes/choose.ts"
import { readSecret } from "../files/frame.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  const alias = program.command("alias").description("name capabilities, so that paths can begin with the name")
  alias.addHelpText(
    "after",
    "\nExamples:\n  holdfast alias create photos\n  holdfast alias create notes --file\n  holdfast alias add team --cap-file team.cap\n  holdfast alias list\n  holdfast alias remove team\n",
  )
  alias
    .command("add")
    .description("name a capability, read from a file or from standard input")
    .argument("<name>", "the alias, without a colon")
    .option("--cap-file <file>", "file that holds the capability; - or nothing is standard input")
    .action(async (name: string, flags: { capFile?: string }) => {
      const cap = await readSecret(flags.capFile ?? "-")
      const { kind } = decodeCap(cap)
      const alias = nameOf(name)
      const profile = await context.openProfile()
      const volume = volumeFor(profile, context.volume)
      await profile.setAlias(alias, cap, volume === gridName ? undefined : volume)
      context.output({ alias, kind }, `${alias}: now stands for a capability of kind hf:${kind}:.`)
    })
  alias
    .command("create")
    .description("make a new, empty tree and name it")
    .argument("<name>", "the alias, without a colon")
    .option("--file", "a single file instead of a tree, to be shared by itself")
    .action(async (given: string, { file = false }: { file?: boolean }) => {
      const name = nameOf(given)
      const kind = file ? "fw" : "dw"
      await createAliasTree(await context.openSession(), name, kind)
      context.output({ alias: name, kind }, `${name}: is a new, empty ${file ? "file" : "tree"}.`)
    })
  alias
    .command("list")
    .description("list aliases and what they grant (never the capabilities themselves)")
    .action(async () => {
      const profile = await context.openProfile()
      const rows = [...profile.aliases].map(([name, cap]) => ({
        name,
        kind: decodeCap(cap).kind,
        volume: profile.volumeOf(name) ?? gridName,
      }))
      const line = (row: (typeof rows)[number]) =>
        `${`${row.name}:`.padEnd(20)} ${grants[row.kind].padEnd(18)} ${row.volume}`
      context.output(rows, rows.map(line).join("\n"))
    })
  alias
    .command("remove")
    .description("forget an alias; what it stands for stays stored")
    .argument("<name>")
    .action(async (given: string) => {
      const name = nameOf(given)
      await (await context.openProfile()).removeAlias(name)
      context.output({ removed: name }, `${name} is forgotten.`)
    })
}

const grants = {
  dw: "directory, write",
  dr: "directory, read",
  dv: "directory, verify",
  fw: "file, write",
  fr: "file, read",
  fv: "file, verify",
  ci: "immutable, read",
  cv: "immutable, verify",
  lit: "literal",
} as const

/** An alias as it is kept: people also write the colon that paths have. */
function nameOf(given: string): string {
  return given.replace(/:$/, "")
}
