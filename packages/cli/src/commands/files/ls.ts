/** `ls`, `tree`, `stat`, `du`, `find`: looking at a tree. */
import { toHex, utf8 } from "@holdfast/core"
import { formatPath, holdsEntries, type Item, identityOf, show, sizeOf, walkItems } from "@holdfast/fs"
import { footingOf } from "@holdfast/fs/care"
import { RepeatGuard } from "@holdfast/tree"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { ItemList, writeOut } from "../../output.ts"
import { examples, plural } from "../../words.ts"
import { globMatches } from "./glob.ts"
import { globbed } from "./globs.ts"
import { humanSize, type Listed, ListingLines, modeText } from "./listing.ts"
import { type Found, find, findDirectory, nameAt } from "./locations.ts"
import { type FileFlags, withFiles } from "./open.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("ls")
    .description("list directories")
    .argument("[paths...]", "paths in a tree", ["home:"])
    .option("-l, --long", "with mode, owner, size and time")
    .option("-h, --human", "sizes as 1.5K")
    .option(...capFile)
    .helpOption("--help", "show this help")
    .addHelpText(
      "after",
      examples(
        ["holdfast ls -l home:/docs"],
        ["holdfast ls 'home:/docs/*.txt'", "quoted, so that the shell leaves it alone"],
        ["holdfast ls home:/docs@friday", "in a snapshot"],
      ),
    )
    .action(async (paths: string[], flags: LsFlags) => ls(context, paths, flags))
  program
    .command("tree")
    .description("show a directory with all below it")
    .argument("[path]", "a place in a tree", "home:")
    .option("-d, --depth <levels>", "no deeper than this", Number)
    .option(...capFile)
    .addHelpText("after", examples(["holdfast tree -d 2 home:/docs"]))
    .action(async (path: string, flags: TreeFlags) => tree(context, path, flags))
  program
    .command("stat")
    .description("show everything about an entry")
    .argument("<paths...>", "paths in a tree")
    .option(...capFile)
    .addHelpText("after", examples(["holdfast stat home:/docs/a.txt"]))
    .action(async (paths: string[], flags: FileFlags) => stat(context, paths, flags))
  program
    .command("du")
    .description("add up the sizes below directories")
    .argument("[paths...]", "paths in a tree", ["home:"])
    .option("-h, --human", "sizes as 1.5K")
    .option(...capFile)
    .helpOption("--help", "show this help")
    .addHelpText("after", examples(["holdfast du -h home:/photos home:/docs"]))
    .action(async (paths: string[], flags: LsFlags) => du(context, paths, flags))
  program
    .command("find")
    .description("find entries by name, type and size")
    .argument("[path]", "where to begin", "home:")
    .option("-n, --name <glob>", "name with * and ?")
    .option("-t, --type <type>", "f (file), d (directory), l (symlink) or j (linked tree)")
    .option("--larger <bytes>", "files larger than this", Number)
    .option("-0, --print0", "end each with a zero byte, exactly as it is, for xargs -0")
    .option(...capFile)
    .addHelpText("after", examples(['holdfast find home:/ --name "*.jpg" --larger 1000000']))
    .action(async (path: string, flags: FindFlags) => search(context, path, flags))
}

interface LsFlags extends FileFlags {
  readonly long?: boolean
  readonly human?: boolean
}
interface TreeFlags extends FileFlags {
  readonly depth?: number
}
interface FindFlags extends FileFlags {
  readonly name?: string
  readonly type?: string
  readonly larger?: number
  readonly print0?: boolean
}

async function ls(context: Context, paths: readonly string[], flags: LsFlags): Promise<void> {
  const style = { long: flags.long ?? false, human: flags.human ?? false }
  await withFiles(context, flags, async (open) => {
    const list = new ItemList(context)
    const places = await globbed(open, paths)
    for (const text of places) {
      const found = await find(open, text)
      if (context.json && places.length > 1) {
        const entries: unknown[] = []
        for await (const page of listedIn(found)) entries.push(...page.map(asJson))
        await list.add({ value: () => ({ path: formatPath(found.path), entries }) })
      } else {
        if (places.length > 1) await list.add({ line: () => `${show(found)}:` })
        await addListed(list, listedIn(found), new ListingLines(style))
      }
    }
    await list.end()
  })
}

/** What `ls` shows of a place, many at a time. */
async function* listedIn(found: Found): AsyncGenerator<readonly Listed[], void, void> {
  const { files, item, path } = found
  if (holdsEntries(item)) {
    for await (const page of files.listPages(item)) yield page.map(([name, child]) => listedOf(child, name))
    return
  }
  yield [listedOf(item, nameAt(found) ?? "/")]
  if (path.length > 0) return
  for await (const [name, child] of files.copies()) yield [listedOf(child, name)]
}

/** Entries whose columns are lined up, as far as so many are shown at once. */
const linedUp = 1000

async function addListed(
  list: ItemList,
  pages: AsyncIterable<readonly Listed[]>,
  columns: ListingLines,
): Promise<void> {
  let block: Listed[] = []
  const add = async () => {
    const shown = block
    block = []
    await list.addAll({ values: () => shown.map(asJson), lines: () => columns.of(shown) })
  }
  for await (const page of pages) {
    for (const listed of page) block.push(listed)
    if (block.length >= linedUp) await add()
  }
  await add()
}

async function tree(context: Context, path: string, { depth = Number.POSITIVE_INFINITY, ...flags }: TreeFlags) {
  await withFiles(context, flags, async (open) => {
    const found = await findDirectory(open, path)
    const lines = [show(found)]
    const guard = new RepeatGuard()
    const walk = async (item: Item, indent: string, level: number): Promise<unknown[]> => {
      const children: [string, Item][] = []
      for await (const [name, child] of found.files.list(item)) children.push([name, child])
      guard.enter(identityOf(item))(children.length)
      const result: unknown[] = []
      for (const [index, [name, child]] of children.entries()) {
        const isLast = index === children.length - 1
        const arrow = child.entry.kind === "symlink" ? ` -> ${child.entry.target}` : ""
        lines.push(`${indent}${isLast ? "└── " : "├── "}${name}${arrow}`)
        const below =
          holdsEntries(child) && level < depth
            ? await walk(child, `${indent}${isLast ? "    " : "│   "}`, level + 1)
            : undefined
        result.push({ ...asJson(listedOf(child, name)), ...(below ? { children: below } : {}) })
      }
      return result
    }
    const value = await walk(found.item, "", 1)
    context.output(value, lines)
  })
}

const mostXattrs = 20

async function stat(context: Context, paths: readonly string[], flags: FileFlags): Promise<void> {
  await withFiles(context, flags, async (open) => {
    const values: object[] = []
    const texts: string[] = []
    for (const text of await globbed(open, paths)) {
      const found = await find(open, text)
      const listed = listedOf(found.item, nameAt(found) ?? "/")
      const chunks = new Set<string>()
      for await (const { id } of footingOf(found.item, { deep: false }).chunks) chunks.add(toHex(id))
      values.push({
        path: formatPath(found.path),
        ...asJson(listed),
        xattrs: [...(found.item.entry.xattrs ?? [])].map(([name, value]) => ({ name, size: value.length })),
        chunks: chunks.size,
      })
      texts.push(
        ...(texts.length > 0 ? [""] : []),
        ...[
          `path    ${show(found)}`,
          `type    ${listed.kind}${listed.target === undefined ? "" : ` to ${listed.target}`}`,
          `mode    ${modeText(listed)} (${listed.mode.toString(8).padStart(4, "0")})`,
          `owner   ${listed.uid}:${listed.gid}`,
          `size    ${listed.sizeBytes} (${humanSize(listed.sizeBytes)})`,
          `mtime   ${isoTime(listed.mtimeNs)}`,
          ...xattrLines(found.item),
          `chunks  ${chunks.size}`,
        ],
      )
    }
    context.output(values.length === 1 ? values[0] : values, texts)
  })
}

/** The first extended attributes: a writer may have stored thousands. */
function xattrLines({ entry }: Item): string[] {
  const xattrs = [...(entry.xattrs ?? [])]
  const lines = xattrs.slice(0, mostXattrs).map(([name, value]) => `xattr   ${name} (${plural(value.length, "byte")})`)
  const rest = xattrs.length - lines.length
  return rest > 0 ? [...lines, `xattr   and ${rest} more`] : lines
}

async function du(context: Context, paths: readonly string[], flags: LsFlags): Promise<void> {
  await withFiles(context, flags, async (open) => {
    const values: object[] = []
    const texts: string[][] = []
    for (const text of await globbed(open, paths)) {
      const found = await find(open, text)
      const { bytes, files } = await sizeOf(found.item)
      values.push({ path: formatPath(found.path), bytes, files })
      texts.push([`${flags.human ? humanSize(bytes) : bytes}`, show(found)])
    }
    context.output(values, texts)
  })
}

async function search(context: Context, path: string, flags: FindFlags): Promise<void> {
  const kind = flags.type && { f: "file", d: "directory", l: "symlink", j: "junction" }[flags.type]
  await withFiles(context, flags, async (open) => {
    const found = await find(open, path)
    const list = new ItemList(context)
    for await (const { path: at, item } of walkItems(found.item, found.path)) {
      if (flags.name !== undefined && !globMatches(flags.name, at.at(-1) ?? "")) continue
      if (kind && item.entry.kind !== kind) continue
      if (flags.larger !== undefined && !(item.entry.kind === "file" && item.entry.size > flags.larger)) continue
      const shown = () => show({ files: found.files, path: at })
      if (flags.print0 && !context.json) await writeOut(context, utf8(`${shown()}\0`))
      else
        await list.add({
          value: () => ({ path: formatPath(at), ...asJson(listedOf(item, at.at(-1) ?? "/")) }),
          line: shown,
        })
    }
    await list.end()
  })
}

function listedOf({ entry }: Item, name: string): Listed {
  const { kind, mode, uid, gid, mtimeNs, size } = entry
  const common = { name, kind, mode, uid, gid, mtimeNs, sizeBytes: size }
  return entry.kind === "symlink" ? { ...common, target: entry.target } : common
}

function asJson({ name, kind, mode, uid, gid, sizeBytes, mtimeNs, target }: Listed) {
  return {
    name,
    kind,
    mode: mode.toString(8).padStart(4, "0"),
    uid,
    gid,
    size: sizeBytes,
    mtime: isoTime(mtimeNs),
    mtimeNs: String(mtimeNs),
    ...(target === undefined ? {} : { target }),
  }
}

/** ISO time with all nine digits. */
export function isoTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n - (ns % 1_000_000_000n < 0n ? 1n : 0n)
  const date = new Date(Number(seconds) * 1000)
  if (Number.isNaN(date.getTime())) return `${seconds} s`
  const digits = String(ns - seconds * 1_000_000_000n).padStart(9, "0")
  return date.toISOString().replace(/\.\d+Z$/, `.${digits}Z`)
}
