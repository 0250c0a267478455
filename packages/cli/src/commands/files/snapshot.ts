/** `snapshot`, `diff`, `cap`: versions of a tree, and handing it over. */

import type { Session } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import { type FileSystem, filesOf, formatPath, share, show } from "@holdfast/fs"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { handOver, ItemList } from "../../output.ts"
import { parseRemote } from "../../places.ts"
import { examples } from "../../words.ts"
import { confirmSnapshotRemoval } from "./confirm-removal.ts"
import { type Found, find, openTop } from "./locations.ts"
import { isoTime } from "./ls.ts"
import { type FileFlags, withFiles } from "./open.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  registerSnapshot(program, context)
  program
    .command("diff")
    .description("tell what differs between two places")
    .argument("<before>", "a place in a tree")
    .argument("<after>", "another, or the same in a snapshot")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast diff home:/docs@friday home:/docs"]))
    .action(async (before: string, after: string, flags: FileFlags) => diff(context, before, after, flags))
  registerCap(program, context)
}

function registerCap(program: Command, context: Context): void {
  program
    .command("cap")
    .description("print a capability to a place: whoever has it needs nothing else")
    .argument("<path>", "a place in a tree")
    .option("--read", "one that can only read")
    .option("--verify", "one that can only check and repair")
    .option("--live", "of a folder: one that shows what it becomes; the folder becomes a tree of its own, at its place")
    .option("--out <file>", "a new file for it, readable by you only; without it, it is printed")
    .option(...capFile)
    .addHelpText(
      "after",
      examples(
        ["holdfast cap home: --read --out friends.cap"],
        ["holdfast ls @file:friends.cap"],
        [
          "holdfast cap home:/photos --read --live --out photos.cap",
          "of one folder, and of all that is put there later",
        ],
        ["holdfast cap home:/photos --read --out photos.cap", "of the folder as it is now, for ever"],
      ),
    )
    .action(async (path: string, flags: CapFlags) => cap(context, path, flags))
}

function registerSnapshot(program: Command, context: Context): void {
  const snapshot = program
    .command("snapshot")
    .description("keep a tree as it is now, under a name")
    .addHelpText(
      "after",
      examples(
        ["holdfast snapshot create home: friday"],
        ["holdfast snapshot list home:"],
        ["holdfast ls home:/docs@friday"],
        ["holdfast snapshot restore home: friday", "also when the present state cannot be read"],
        ["holdfast snapshot remove home: friday"],
      ),
    )
  snapshot
    .command("create")
    .description("name the state of the whole tree")
    .argument("<tree>", "the tree, such as home:")
    .argument("<name>", "name of the snapshot")
    .option(...capFile)
    .action(async (tree: string, name: string, flags: FileFlags) => create(context, tree, name, flags))
  snapshot
    .command("list")
    .description("list the snapshots of a tree")
    .argument("[tree]", "the tree", "home:")
    .option(...capFile)
    .action(async (tree: string, flags: FileFlags) => list(context, tree, flags))
  snapshot
    .command("remove")
    .description("give a snapshot up; gc then frees what only it held")
    .argument("<tree>", "the tree")
    .argument("<name>", "name of the snapshot")
    .option("--yes", "do not ask, as without a terminal")
    .option(...capFile)
    .action(async (tree: string, name: string, flags: FileFlags & { readonly yes?: boolean }) =>
      withFiles(context, { ...flags, forRemoval: true }, async (open) => {
        const files = await openTop(open, tree)
        if (!flags.yes) await confirmSnapshotRemoval(context, files, name)
        await files.removeSnapshot(name)
        await context.outputChanged({ removed: name }, "")
      }),
    )
  snapshot
    .command("restore")
    .description("go back to a snapshot: what came after it stays in the history")
    .argument("<tree>", "the tree")
    .argument("<name>", "name of the snapshot")
    .option(...capFile)
    .action(async (tree: string, name: string, flags: FileFlags) =>
      withFiles(context, flags, async (open) => {
        await (await openTop(open, tree)).restoreSnapshot(name)
        await context.outputChanged({ restored: name }, "")
      }),
    )
}

interface CapFlags extends FileFlags {
  readonly read?: boolean
  readonly verify?: boolean
  readonly live?: boolean
  readonly out?: string
}

async function create(context: Context, tree: string, name: string, flags: FileFlags): Promise<void> {
  await withFiles(context, flags, async (open) => {
    await (await openTop(open, tree)).createSnapshot(name)
    await context.outputChanged({ created: name }, "")
  })
}

async function list(context: Context, tree: string, flags: FileFlags): Promise<void> {
  await withFiles(context, flags, async (open) => {
    const snapshots = await (await openTop(open, tree)).listSnapshots()
    context.output(
      snapshots.map(({ name, createdNs }) => ({ name, created: isoTime(createdNs) })),
      snapshots.map(({ name, createdNs }) => `${isoTime(createdNs).slice(0, 19)}Z ${name}`),
    )
  })
}

async function diff(context: Context, before: string, after: string, flags: FileFlags): Promise<void> {
  await withFiles(context, flags, async (open) => {
    const [a, b] = [await find(open, before), await find(open, after)]
    if (!a.files.io.isSameStore(b.files.io))
      throw new HoldfastError("ERR_INVALID_ARGUMENT", "diff compares places of one volume; these are in two.")
    const list = new ItemList(context)
    for await (const { kind, path } of b.files.diff(a.item, b.item))
      await list.add({
        value: () => ({ kind, path: formatPath(path) }),
        line: () => `${{ added: "+", removed: "-", changed: "~" }[kind]} ${formatPath(path)}`,
      })
    await list.end()
  })
}

async function cap(context: Context, path: string, { read, verify, live, out, ...flags }: CapFlags): Promise<void> {
  if (read && verify)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "Choose one of --read and --verify: read includes verify.")
  await withFiles(context, flags, async (open, sessionOf) => {
    const found = await find(open, path)
    const shared = live ? { files: await shareFolder(found, await sessionOf(parseRemote(path).base)), path: [] } : found
    const text = await shared.files.capOf(shared.path, verify ? "verify" : read ? "read" : "write")
    await handOver(context, { out, value: { cap: text }, text })
  })
}

/** The tree that the folder is, made of it when it is none. */
async function shareFolder(found: Found, { store, env, profile, volume }: Session): Promise<FileSystem> {
  const { chunks, registers } = store
  const { io, warn } = found.files
  const { id: account } = await profile.account()
  const files = filesOf({ ...{ chunks, registers, env, io, volume, account }, uploads: profile })
  const label = show(found)
  let isNew = false
  const shared = await share(found, {
    create: async () => {
      isNew = true
      return files.open(await files.create("directory"), { label, warn })
    },
  })
  if (isNew)
    warn(
      `${label} is a tree of its own now: snapshots of the tree around it no longer keep what is in it, and putting a folder above it ` +
        `leaves it out. Keep it with: holdfast snapshot create ${label} NAME; store it with: holdfast put FOLDER ${label}`,
    )
  return shared
}
