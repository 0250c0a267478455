/** `mkdir`, `cp`, `mv`, `rm`, `ln`: changing a tree. Each command is one commit for each tree it touches. */
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { copy, link, mkdir, move, notEmpty, notFound, remove, rootStays, show, walkItems } from "@holdfast/fs"
import type { Problem } from "@holdfast/fs/node"
import { decodeCap } from "@holdfast/protocol"
import { checkName } from "@holdfast/tree"
import type { Command } from "commander"
import { holdLinks, holdNow } from "../../account/hold.ts"
import type { Context } from "../../context.ts"
import { readSecret } from "../../input.ts"
import { eachOf, incomplete, placesOfTheirOwn } from "../../partial.ts"
import { parseRemote } from "../../places.ts"
import { examples, plural } from "../../words.ts"
import { confirmRemovals } from "./confirm-removal.ts"
import { globbed } from "./globs.ts"
import { find, nameAt, type Opener, openPlace, type Place, target } from "./locations.ts"
import { type FileFlags, withFiles } from "./open.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("mkdir")
    .description("make directories")
    .argument("<paths...>", "paths in a tree")
    .option("-p, --parents", "make what is missing above too, and do not mind one that exists")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast mkdir -p home:/docs/2026/letters"]))
    .action(async (paths: string[], flags: MkdirFlags) => makeDirectories(context, paths, flags))
  program
    .command("cp")
    .description("copy within a grid; within a tree content is shared, not sent again")
    .argument("<paths...>", "SRC… DEST: paths in a tree")
    .option(...capFile)
    .addHelpText(
      "after",
      examples(
        ["holdfast cp home:/docs home:/docs-old"],
        ["holdfast cp home:/a@friday home:/a", "back from a snapshot"],
      ),
    )
    .action(async (paths: string[], flags: FileFlags) => copyAll(context, paths, flags))
  program
    .command("mv")
    .description("move or rename")
    .argument("<paths...>", "SRC… DEST: places in one tree")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast mv home:/draft.txt home:/letters/"]))
    .action(async (paths: string[], flags: FileFlags) => moveAll(context, paths, flags))
  program
    .command("rm")
    .description("remove entries")
    .argument("<paths...>", "paths in a tree")
    .option("-r, --recursive", "directories with all in them too")
    .option("-f, --force", "do not mind what does not exist")
    .option("--dry-run", "say what would be removed, and remove nothing")
    .option("--yes", "do not ask before directories with something in them go, as -f and as without a terminal")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast rm -r home:/old", "snapshots keep what they hold"]))
    .action(async (paths: string[], flags: RmFlags) => removeAll(context, paths, flags))
  program
    .command("ln")
    .description("link a capability into a directory")
    .argument("<cap>", "the capability, or @file:FILE (- is stdin)")
    .argument("<path>", "a place in a tree")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast ln @file:team.cap home:/team"]))
    .action(async (cap: string, path: string, flags: FileFlags) => linkCap(context, cap, path, flags))
}

interface MkdirFlags extends FileFlags {
  readonly parents?: boolean
}
interface RmFlags extends FileFlags {
  readonly recursive?: boolean
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
}

async function makeDirectories(
  context: Context,
  paths: readonly string[],
  { parents, ...flags }: MkdirFlags,
): Promise<void> {
  await withFiles(context, flags, async (open) => {
    const one = async (path: string) => mkdir(await openPlace(open, path), { parents: parents ?? false })
    await context.outputChanged({ made: await all(paths, "made", one) }, "")
  })
}

async function copyAll(context: Context, paths: readonly string[], flags: FileFlags): Promise<void> {
  const [sources, destination] = sourcesAndDestination(paths, "cp")
  await withFiles(context, flags, async (open, sessionOf) => {
    const places = await globbed(open, sources)
    const to = await openDestination(open, destination, places.length)
    const { warn } = context
    const claim = placesOfTheirOwn()
    const one = async (source: string) => {
      const from = await find(open, source)
      const place = await target(to, nameOf(from, source), { merge: false })
      claim(show(place))
      await copy(from.item, place)
      if (from.files !== place.files)
        await holdLinks(await sessionOf(parseRemote(destination).base), from.item, { label: show(place), warn })
    }
    await context.outputChanged({ copied: await all(places, "copied", one) }, "")
  })
}

async function moveAll(context: Context, paths: readonly string[], flags: FileFlags): Promise<void> {
  const [sources, destination] = sourcesAndDestination(paths, "mv")
  await withFiles(context, flags, async (open) => {
    const places = await globbed(open, sources)
    const to = await openDestination(open, destination, places.length)
    const claim = placesOfTheirOwn()
    const one = async (source: string) => {
      const from = await openPlace(open, source)
      const place = await target(to, nameOf(from, source), { merge: false })
      claim(show(place))
      await move(from, place)
    }
    await context.outputChanged({ moved: await all(places, "moved", one) }, "")
  })
}

async function removeAll(context: Context, paths: readonly string[], flags: RmFlags): Promise<void> {
  await withFiles(context, { ...flags, forRemoval: true }, async (open) => {
    const places = flags.force ? await globbedIfAny(open, paths) : await globbed(open, paths)
    if (flags.dryRun) return tryRemoving(context, open, places, flags)
    if (flags.recursive && !flags.force && !flags.yes) await confirmRemovals(context, open, places)
    const one = async (text: string) => {
      const place = await openPlace(open, text)
      await remove(place, flags)
      context.detail(`remove ${show(place)}`)
    }
    const removed = await all(places, "removed", one)
    await context.outputChanged(
      { removed },
      context.stdout.isTTY ? `Removed ${plural(removed, "entry", "entries")}.` : "",
    )
  })
}

async function globbedIfAny(open: Opener, texts: readonly string[]): Promise<string[]> {
  const found = texts.map((text) =>
    globbed(open, [text]).catch((error: unknown) => {
      if (!isHoldfastError(error, "ERR_NOT_FOUND")) throw error
      return []
    }),
  )
  return (await Promise.all(found)).flat()
}

/** Lists all that would go, with what is below. Throws as removing would. */
async function tryRemoving(context: Context, open: Opener, texts: readonly string[], flags: RmFlags): Promise<void> {
  const problems: Problem[] = []
  let entries = 0
  const one = async (text: string) => {
    const place = await openPlace(open, text)
    const item = await place.files.lookup(place.path)
    if (!item && flags.force) return
    if (!item) throw notFound(place)
    if (place.path.length === 0) throw rootStays(place)
    if (item.entry.kind === "directory" && !flags.recursive)
      for await (const _ of place.files.list(item)) throw notEmpty(place)
    // Of a tree that is linked in only the link goes.
    for await (const { path, item: one } of walkItems(item, place.path, { links: false })) {
      context.line(
        `remove ${show({ files: place.files, path })}${one.entry.kind === "junction" ? " (the link alone)" : ""}`,
      )
      entries++
    }
  }
  const done = await eachOf(texts, one, (problem) => void problems.push(problem))
  const details = { dryRun: true, entries }
  if (problems.length > 0) throw incomplete({ problems, done, verb: "removed", details })
  context.done({ ...details, removed: texts.length }, `Would remove ${plural(entries, "entry", "entries")}.`)
}

/** Does `work` for each path, one after another; gives how many that were. Throws ERR_INCOMPLETE when some could not be done. */
async function all(paths: readonly string[], verb: string, work: (path: string) => Promise<void>): Promise<number> {
  const problems: Problem[] = []
  const done = await eachOf(paths, work, (problem) => void problems.push(problem))
  if (problems.length > 0) throw incomplete({ problems, done, verb, details: { [verb]: done } })
  return done
}

async function linkCap(context: Context, text: string, path: string, flags: FileFlags): Promise<void> {
  const cap = text.startsWith("@file:") ? await readSecret(text.slice("@file:".length)) : text
  const parsed = decodeCap(cap) // a mistyped one is refused here
  await withFiles(context, flags, async (open, sessionOf) => {
    const place = await openPlace(open, path)
    await link(parsed, place)
    // Linked first: should this end in between, the next collection finds the link.
    const { warn } = context
    await holdNow(await sessionOf(parseRemote(path).base), cap, { label: show(place), warn })
    await context.outputChanged({ linked: path }, "")
  })
}

async function openDestination(open: Opener, text: string, sources: number): Promise<Place> {
  const place = await openPlace(open, text, { follow: true })
  return sources > 1 ? { ...place, inside: true } : place
}

function sourcesAndDestination(paths: readonly string[], verb: string): [readonly string[], string] {
  if (paths.length < 2)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `${verb} needs a source and a destination: holdfast ${verb} SRC… DEST.`,
    )
  return [paths.slice(0, -1), paths.at(-1)!]
}

function nameOf(place: Place, text: string): string {
  const name = nameAt(place)
  checkName(name ?? "root")
  if (name === undefined && !text.includes("@"))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "The root of a tree cannot be copied or moved as a whole; name what is in it.",
    )
  return name ?? "root"
}
