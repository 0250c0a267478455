/** `mkdir`, `cp`, `mv`, `rm`, `ln`: changing a tree. Each command is one commit for each tree it touches. */
import { HoldfastError } from "@holdfast/core"
import { decodeCap } from "@holdfast/protocol"
import type { Command } from "commander"
import { holdLinks, holdNow } from "../../account/hold.ts"
import type { Context } from "../../context.ts"
import { readSecret } from "../../input.ts"
import type { Problem } from "../../transfer/local.ts"
import { eachOf, incomplete } from "../../transfer/partial.ts"
import { checkName, parseRemote } from "../../transfer/path-spec.ts"
import { examples, plural } from "../../words.ts"
import { type VolumeFlags, withVolumes } from "./open.ts"
import { find, holdsEntries, nameAt, notFound, openPlace, type Place, show, target } from "./places.ts"
import type { Edit, Volume } from "./volume.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("mkdir")
    .description("make directories")
    .argument("<paths...>", "places in a tree")
    .option("-p, --parents", "make what is missing above too, and do not mind one that exists")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast mkdir -p home:/docs/2026/letters"]))
    .action(async (paths: string[], flags: MkdirFlags) => mkdir(context, paths, flags))
  program
    .command("cp")
    .description("copy within a grid; within a tree content is shared, not sent again")
    .argument("<paths...>", "SRC… DEST: places in a tree")
    .option(...capFile)
    .addHelpText(
      "after",
      examples(
        ["holdfast cp home:/docs home:/docs-old"],
        ["holdfast cp home:/a@friday home:/a", "back from a snapshot"],
      ),
    )
    .action(async (paths: string[], flags: VolumeFlags) => copy(context, paths, flags))
  program
    .command("mv")
    .description("move or rename")
    .argument("<paths...>", "SRC… DEST: places in one tree")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast mv home:/draft.txt home:/letters/"]))
    .action(async (paths: string[], flags: VolumeFlags) => move(context, paths, flags))
  program
    .command("rm")
    .description("remove entries")
    .argument("<paths...>", "places in a tree")
    .option("-r, --recursive", "directories with all in them too")
    .option("-f, --force", "do not mind what does not exist")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast rm -r home:/old", "snapshots keep what they hold"]))
    .action(async (paths: string[], flags: RmFlags) => remove(context, paths, flags))
  program
    .command("ln")
    .description("link a capability into a directory")
    .argument("<cap>", "the capability, or @file:FILE (- is stdin)")
    .argument("<path>", "a place in a tree")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast ln @file:team.cap home:/team"]))
    .action(async (cap: string, path: string, flags: VolumeFlags) => link(context, cap, path, flags))
}

interface MkdirFlags extends VolumeFlags {
  readonly parents?: boolean
}
interface RmFlags extends VolumeFlags {
  readonly recursive?: boolean
  readonly force?: boolean
}

async function mkdir(context: Context, paths: readonly string[], { parents, ...flags }: MkdirFlags): Promise<void> {
  await withVolumes(context, flags, async (open) => {
    const one = async (path: string) => {
      const place = await openPlace(open, path)
      await place.volume.edit(async (edit) => {
        const existing = await edit.lookup(place.path)
        if (existing && !(parents && holdsEntries(existing))) throw alreadyExists(show(place))
        if (existing) return
        for (let depth = 1; depth <= place.path.length; depth++) {
          const part = place.path.slice(0, depth)
          const item = await edit.lookup(part)
          if (!item && depth < place.path.length && !parents) throw notFound(place.volume, part)
          if (!item) await edit.mkdir(part)
          else if (!holdsEntries(item)) throw notDirectory(show({ ...place, path: part }))
        }
      })
    }
    context.output({ made: await all(paths, "made", one) }, "")
  })
}

async function copy(context: Context, paths: readonly string[], flags: VolumeFlags): Promise<void> {
  const [sources, destination] = sourcesAndDestination(paths, "cp")
  await withVolumes(context, flags, async (open, sessionOf) => {
    let to = await openPlace(open, destination, { follow: true })
    if (sources.length > 1) to = { ...to, inside: true }
    const { warn } = context
    const one = async (source: string) => {
      const from = await find(open, source)
      const place = await target(to, nameOf(from, source), { merge: false })
      refuseOtherHome(from.volume, place.volume)
      await place.volume.edit(async (edit) => {
        await mustBeFree(edit, place.volume, place.path)
        await edit.set(place.path, from.item)
      })
      if (from.volume !== place.volume)
        await holdLinks(await sessionOf(parseRemote(destination).base), from.item, { label: show(place), warn })
    }
    context.output({ copied: await all(sources, "copied", one) }, "")
  })
}

/** Content is shared by reference, which only what lies in the same volume can follow. */
function refuseOtherHome(from: Volume, to: Volume): void {
  if (from.home === to.home) return
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `${from.label} is in volume ${from.home} and ${to.label} in ${to.home}: get it from the one, then put it into the other.`,
  )
}

async function move(context: Context, paths: readonly string[], flags: VolumeFlags): Promise<void> {
  const [sources, destination] = sourcesAndDestination(paths, "mv")
  await withVolumes(context, flags, async (open) => {
    let to = await openPlace(open, destination, { follow: true })
    if (sources.length > 1) to = { ...to, inside: true }
    const one = async (source: string) => {
      const from = await openPlace(open, source)
      if (from.volume !== to.volume)
        throw new HoldfastError(
          "ERR_INVALID_ARGUMENT",
          "mv works within one tree. Use cp, look at the result, then rm.",
        )
      const place = await target(to, nameOf(from, source), { merge: false })
      if (isBelow(place.path, from.path))
        throw new HoldfastError("ERR_INVALID_ARGUMENT", `${show(from)} cannot be moved into itself.`)
      await place.volume.edit(async (edit) => {
        if (!(await edit.lookup(from.path))) throw notFound(from.volume, from.path)
        await mustBeFree(edit, place.volume, place.path)
        await edit.move(from.path, place.path)
      })
    }
    context.output({ moved: await all(sources, "moved", one) }, "")
  })
}

async function remove(context: Context, paths: readonly string[], flags: RmFlags): Promise<void> {
  await withVolumes(context, { ...flags, forRemoval: true }, async (open) => {
    const one = async (text: string) => {
      const place = await openPlace(open, text)
      if (place.path.length === 0)
        throw new HoldfastError(
          "ERR_INVALID_ARGUMENT",
          `${show(place)} is the root of a tree and cannot be removed. "holdfast alias remove" forgets an alias.`,
        )
      await place.volume.edit(async (edit) => {
        const item = await edit.lookup(place.path)
        if (!item && flags.force) return
        if (!item) throw notFound(place.volume, place.path)
        if (item.kind === "directory" && !flags.recursive && !(await edit.isEmpty(place.path)))
          throw new HoldfastError("ERR_NOT_EMPTY", `${show(place)} is a directory that is not empty; rm -r removes it.`)
        await edit.remove(place.path)
      })
    }
    const removed = await all(paths, "removed", one)
    context.output({ removed }, context.stdout.isTTY ? `Removed ${plural(removed, "entry", "entries")}.` : "")
  })
}

/** Does `work` for each path, one after another; gives how many that were. Throws ERR_INCOMPLETE when some could not be done. */
async function all(paths: readonly string[], verb: string, work: (path: string) => Promise<void>): Promise<number> {
  const problems: Problem[] = []
  const done = await eachOf(paths, work, (problem) => void problems.push(problem))
  if (problems.length > 0) throw incomplete({ problems, done, verb, details: { [verb]: done } })
  return done
}

async function link(context: Context, cap: string, path: string, flags: VolumeFlags): Promise<void> {
  const text = cap.startsWith("@file:") ? await readSecret(cap.slice("@file:".length)) : cap
  decodeCap(text) // a mistyped one is refused here
  await withVolumes(context, flags, async (open, sessionOf) => {
    const place = await openPlace(open, path)
    if (place.path.length === 0) throw alreadyExists(show(place))
    await place.volume.edit(async (edit) => {
      if (await edit.lookup(place.path)) throw alreadyExists(show(place))
      await edit.link(place.path, text)
    })
    // Linked first: should this end in between, the next collection finds the link.
    const { warn } = context
    await holdNow(await sessionOf(parseRemote(path).base), text, { label: show(place), warn })
    context.output({ linked: path }, "")
  })
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

/** A file gives way to what takes its place; a directory must be removed first. */
async function mustBeFree(edit: Edit, volume: Volume, path: readonly string[]): Promise<void> {
  if (path.length === 0 && volume.isFile) return
  if (path.length === 0) throw alreadyExists(show({ volume, path }))
  const existing = await edit.lookup(path)
  if (existing && holdsEntries(existing)) throw alreadyExists(show({ volume, path }))
  const parent = await edit.lookup(path.slice(0, -1))
  if (!parent) throw notFound(volume, path.slice(0, -1))
  if (!holdsEntries(parent)) throw notDirectory(show({ volume, path: path.slice(0, -1) }))
}

function isBelow(path: readonly string[], above: readonly string[]): boolean {
  return path.length >= above.length && above.every((name, i) => path[i] === name)
}

function alreadyExists(shown: string): HoldfastError {
  return new HoldfastError("ERR_ALREADY_EXISTS", `${shown} exists already. Remove it first or choose another name.`)
}

function notDirectory(shown: string): HoldfastError {
  return new HoldfastError("ERR_NOT_A_DIRECTORY", `${shown} is not a directory, so nothing can be put inside it.`)
}
