/**
 * `holdfast complete-places`: what shells ask while somebody types: aliases, and names in trees. It changes nothing, asks nothing, says
 * nothing of what goes wrong, and ends soon. Exits with 0 when the word can only be a place, so that no local file is offered.
 */
import { isLocked, pathsOf, profileDir } from "@holdfast/client/profile"
import { isHoldfastError, shownLine, utf8 } from "@holdfast/core"
import { holdsEntries } from "@holdfast/fs"
import type { Command } from "commander"
import { hasFlag, optionValue } from "../../arguments.ts"
import { type Context, createContext } from "../../context.ts"
import { writeOut } from "../../output.ts"
import { looksRemote, splitRemote } from "../../places.ts"
import { parseTyped, quotedForBash } from "../../shell-words.ts"
import { lookUp } from "../files/locations.ts"
import { withFiles } from "../files/open.ts"

/** Who presses Tab waits no longer, unless the variable of the option says so. */
const longestMs = 2000
const mostCandidates = 1000
const mostTyped = 64 * 1024
/** For what may be a local file as well. */
const notAPlace = 1

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("complete-places", { hidden: true })
    .option(
      "--breaks <letters>",
      "bash's COMP_WORDBREAKS: answers as bash takes them, quoted, and without what it keeps",
    )
    .option("--wait <ms>", "how long servers may take", String(longestMs))
    .action(async ({ breaks, wait }: { breaks?: string; wait: string }) => {
      const typed = parseTyped(await readTyped(context), breaks)
      const isPlace = typed !== undefined && looksRemote(typed.current)
      const found: string[] = []
      if (typed) await within(Math.min(Number(wait) || 0, 60_000), candidates(typed, context.env, found))
      const answers = found.flatMap((text) => {
        if (breaks === undefined || !typed) return [text]
        return quotedForBash(text.slice(typed.kept), typed.quote) ?? []
      })
      await writeOut(context, utf8(answers.map((text) => `${text}\n`).join("")))
      process.exit(isPlace ? 0 : notAPlace) // whatever is still asked of servers
    })
}

/** What was typed, from standard input: arguments can be read by everybody on the machine. */
async function readTyped({ stdin }: Context): Promise<string> {
  if (stdin.isTTY) return ""
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of stdin) {
    bytes += piece.length
    if (bytes > mostTyped) return ""
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString("utf8").replace(/\n$/, "") // fish ends the line
}

/** Resolves when `work` is done or failed, or the time is over. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  const silent = work.catch((error: unknown) => {
    if (!isHoldfastError(error)) throw error // a bug of ours ends with a code of its own, and the shell is told nothing
  })
  let timer: NodeJS.Timeout | undefined
  await Promise.race([
    silent,
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    }),
  ]).finally(() => clearTimeout(timer))
}

/** Puts into `found` what the word may become. */
async function candidates(
  { words, current }: { readonly words: readonly string[]; readonly current: string },
  env: NodeJS.ProcessEnv,
  found: string[],
): Promise<void> {
  // Words of the line that say where to look; with --json nothing is asked on the terminal.
  const options = ["--profile", "--volume"].flatMap((name) => {
    const value = optionValue(words, name)
    return value === undefined ? [] : [name, value]
  })
  if (hasFlag(words, "--help")) return
  const context = createContext(process, [...options, "--json"])
  if (isLocked(profileDir(pathsOf(env), context.profile))) return // the passphrase would be asked for
  if (looksRemote(current)) return names(context, current, found)
  if (/[/\\]/.test(current) || current.startsWith("-")) return
  const { aliases } = await context.openProfile()
  for (const alias of aliases.keys()) if (alias.startsWith(current)) found.push(`${alias}:`)
}

/** Names in the directory of a place that go on as the word does. */
async function names(context: Context, current: string, found: string[]): Promise<void> {
  const { base, path } = splitRemote(current)
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*:$/.test(base)) return // a capability, or a file with one, is not opened for this
  const begun = path.slice(path.lastIndexOf("/") + 1)
  const above = current.slice(0, current.length - begun.length)
  await withFiles(context, {}, async (open) => {
    const directory = await lookUp(open, above)
    if (!directory) return
    for await (const [name, item] of directory.files.list(directory.item)) {
      if (!name.startsWith(begun) || (begun === "" && name.startsWith("."))) continue
      if (shownLine(name) !== name) continue // it would drive the terminal, or be two lines to the shell
      found.push(`${above}${name}${holdsEntries(item) ? "/" : ""}`)
      if (found.length >= mostCandidates) return
    }
  })
}
