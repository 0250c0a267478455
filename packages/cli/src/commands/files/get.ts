/** `get`: files and directories of a tree into local folders, or to stdout; and `cat`. */
import * as fs from "node:fs"
import * as nodePath from "node:path"
import { HoldfastError } from "@holdfast/core"
import { holdsEntries, show } from "@holdfast/fs"
import { addTotals, doneOf, download, noTotals, type Problem, preview } from "@holdfast/fs/node"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { writeOut } from "../../output.ts"
import { eachOf, incomplete, placesOfTheirOwn } from "../../partial.ts"
import { isStdio, looksRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { globbed } from "./globs.ts"
import { humanSize } from "./listing.ts"
import { type Found, find, nameAt } from "./locations.ts"
import { withFiles } from "./open.ts"
import { itemTeller, patternsOf, type TransferFlags, withoutXattrs, withTransferFlags } from "./transfer-flags.ts"

interface GetFlags extends TransferFlags {
  readonly owner?: boolean
  readonly specialBits?: boolean
}

/** Adds `get` and `cat` to the program. */
export function register(program: Command, context: Context): void {
  const command = program
    .command("get")
    .description("fetch files and directories")
    .argument("<paths...>", "SRC… DEST: paths in a tree, then a local path (or - for stdout)")
  withTransferFlags(command, "write")
    .option("--owner", "restore user and group, by number (what root does unless told --no-owner)")
    .option("--no-owner", "leave user and group to the system")
    .option(
      "--special-bits",
      "restore set-user-id, set-group-id and sticky bits, and with owners capabilities of programs",
    )
    .addHelpText(
      "after",
      examples(
        ["holdfast get home:/photos photos", "the directory becomes ./photos, or is merged into it"],
        ["holdfast get home:/photos restore/", "with a slash: becomes restore/photos"],
        ["holdfast get home:/docs@friday/a.txt .", "from the snapshot called friday"],
        ["holdfast get home:/all.tar - | tar x", "stdout"],
      ),
    )
    .action(async (paths: string[], flags: GetFlags) => get(context, paths, flags))
  program
    .command("cat")
    .description("write files to stdout")
    .argument("<paths...>", "files in a tree")
    .option("--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)")
    .addHelpText("after", examples(["holdfast cat home:/notes.txt"]))
    .action(async (paths: string[], flags: TransferFlags) =>
      withFiles(context, flags, async (open) => {
        for (const path of await globbed(open, paths)) await catFile(context, await find(open, path))
      }),
    )
}

async function get(context: Context, paths: readonly string[], flags: GetFlags): Promise<void> {
  const sources = paths.slice(0, -1)
  const local = paths.at(-1)!
  if (sources.length === 0)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "get needs a source and a destination: holdfast get SRC… DEST.")
  if (!isStdio(local) && looksRemote(local))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "The destination of get is a local path; write ./ before it if it holds a colon, or use cp to copy within a grid.",
    )
  await withFiles(context, flags, async (open) => {
    const places = await globbed(open, sources)
    const found: Found[] = []
    const problems: Problem[] = []
    const onProblem = (problem: Problem) => void problems.push(problem)
    if (isStdio(local)) {
      for (const place of places) found.push(await find(open, place)) // one stream of all or none
      for (const one of found) await catFile(context, one)
      return
    }
    const claim = placesOfTheirOwn() // where there are several, each goes into the folder under its own name
    const findOne = async (source: string) => {
      const one = await find(open, source)
      claim(nodePath.join(local, nameAt(one) ?? ""), { merges: holdsEntries(one.item) })
      found.push(one)
    }
    await eachOf(places, findOne, onProblem)
    const totals = noTotals()
    let [excluded, lacking] = [0, 0]
    const tell = itemTeller(context, flags.dryRun)
    const options = {
      ...{ onProblem, overwrite: flags.overwrite ?? false },
      ...{ owner: flags.owner ?? process.getuid?.() === 0, specialBits: flags.specialBits ?? false },
      ...{ exclude: { patterns: patternsOf(flags) }, onExcluded: () => void excluded++ },
      onWithoutXattrs: () => void lacking++,
      ...(tell && { onItem: (path: string) => tell(`write ${path}`) }),
    }
    const known = found.every(({ item }) => item.entry.kind === "file")
    const total = known ? found.reduce((sum, { item }) => sum + item.entry.size, 0) : undefined
    const progress = context.progress("get", total)
    try {
      for (const one of found) {
        const to = localTarget(one, local, { several: places.length > 1, dryRun: flags.dryRun ?? false })
        const { signal } = context.interruption
        addTotals(
          totals,
          await (flags.dryRun ? preview : download)(one.item, to, { ...options, onBytes: progress.add, signal }),
        )
      }
    } finally {
      progress.close()
    }
    if (lacking > 0)
      context.warn(
        withoutXattrs(`${plural(lacking, "file or folder", "files and folders")} came without extended attributes`),
      )
    const details = { ...totals, excluded, withoutXattrs: lacking }
    if (problems.length > 0) throw incomplete({ problems, verb: "fetched", done: doneOf(totals), details })
    const parts = [`${totals.unchanged} unchanged`, ...(excluded > 0 ? [`${excluded} left out by patterns`] : [])]
    const fetched = `${plural(totals.files, "file")} (${humanSize(totals.bytes)})`
    context.done(
      { ...details, ...(flags.dryRun && { dryRun: true }) },
      flags.dryRun
        ? `Would fetch ${fetched} to ${local}; ${parts.join(", ")}.`
        : `Fetched ${fetched}, ${parts.join(", ")}, to ${local}.`,
    )
  })
}

/** A directory takes the local name, or goes inside after a slash; a file goes into an existing folder. */
function localTarget(
  found: Found,
  given: string,
  { several, dryRun }: { readonly several: boolean; readonly dryRun: boolean },
): string {
  // By its text alone, so that a folder is made where things go: through a link `..` would lead elsewhere.
  const local = given === "" ? given : nodePath.normalize(given)
  const inside = several || given.endsWith("/") || given === "." || given === ".." || /\/\.\.?$/.test(given)
  const name = nameAt(found)
  const isFolder = holdsEntries(found.item)
  if (name === undefined) return local // the root has no name: its entries go into the folder
  if (inside) {
    if (!dryRun) fs.mkdirSync(local, { recursive: true })
    return nodePath.join(local, name)
  }
  if (!isFolder && fs.statSync(local, { throwIfNoEntry: false })?.isDirectory()) return nodePath.join(local, name)
  return local
}

async function catFile(context: Context, found: Found): Promise<void> {
  const { files, item } = found
  if (holdsEntries(item))
    throw new HoldfastError("ERR_IS_A_DIRECTORY", `${show(found)} is a directory; get fetches it, ls lists it.`)
  if (item.entry.kind === "symlink")
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `${show(found)} is a symlink to "${item.entry.target}"; name the file it points to.`,
    )
  for await (const piece of files.read(item)) await writeOut(context, piece)
}
