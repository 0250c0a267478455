/** `history restore`: going back to a past version of a tree, also when the present one cannot be read. */
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { examples } from "../../words.ts"
import { openTop } from "./locations.ts"
import { type FileFlags, withFiles } from "./open.ts"

/** Adds `restore` to the command `history`. */
export function registerRestore(history: Command, context: Context): void {
  history
    .command("restore")
    .description("go back to a past version, also when the present one cannot be read")
    .argument("<tree>", "the tree, such as home:")
    .argument("<version>", "number of the version")
    .option("--cap-file <file>", "file with the capability that `cap:` stands for; - is stdin")
    .addHelpText("after", examples(["holdfast history restore home: 12"]))
    .action(async (tree: string, version: string, flags: FileFlags) => {
      const number = Number(version)
      if (!/^\d{1,15}$/.test(version))
        throw new HoldfastError("ERR_INVALID_ARGUMENT", `"${version}" is not the number of a version.`)
      await withFiles(context, flags, async (open) => {
        const now = await (await openTop(open, tree)).restoreVersion(number)
        await context.outputChanged(
          { restored: number, version: now },
          `Version ${number} is the present one again, as version ${now}.`,
        )
      })
    })
}
