/** Writes docs/guides/command-line.md from the command's own help, so that page and program cannot differ. */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Command } from "commander"
import { commands } from "../packages/cli/src/command-table.ts"
import { createContext } from "../packages/cli/src/context.ts"
import { buildProgram } from "../packages/cli/src/program.ts"

/** Where the page is. */
export const commandPage = fileURLToPath(new URL("../docs/guides/command-line.md", import.meta.url))

/** Every command but the hidden ones, in full. */
export function wholeProgram(): Promise<Command> {
  const visible = commands.filter(({ hidden }) => !hidden)
  return buildProgram(createContext(process, []), visible, () => true)
}

/** The page's text. */
export async function makeCommandPage(): Promise<string> {
  const program = await wholeProgram()
  const sections = program.commands.map((command) => sectionOf(command, 2))
  return `${intro(optionsOf(program))}\n${sections.join("\n")}`
}

function intro(options: string): string {
  return `# The command line

\`holdfast COMMAND --help\` says the same as this page, which is made from it by \`node scripts/make-command-page.ts\`. In a checkout the
command is \`npx holdfast\`, unless \`npm link\` has put it on the PATH.

## Paths

\`ALIAS:PATH\` is a place in the tree that an alias stands for: \`home:docs/a.txt\`, \`home:/docs/a.txt\` and \`home:\` (the whole tree).
\`home:docs@friday/a.txt\` is the same place in a snapshot. \`@file:FILE//PATH\` is a place below the capability that a file holds; with
\`--cap-file FILE\` it is \`cap:PATH\`, and \`-\` as the file is standard input. A local path that could be taken for one of these begins
with \`./\`. In places that are read, moved or removed \`*\` and \`?\` stand for what is there, as in \`'home:/photos/*.jpg'\`; quote them.

## Secrets

Other users of a machine can see the arguments of its commands. So a capability, an invitation or a kit's words as an argument are
refused; \`HOLDFAST_ALLOW_SECRETS_IN_ARGV=1\` allows them. Files with secrets must be readable by you only, and \`--out FILE\` makes them
so (mode 0600). No message and no log shows a capability or a key: it says \`[hidden]\` there.

Names may come from others. Text for people has control characters, line ends within names, text-direction marks and letters that are not
seen made visible (\`\\x1b\`, \`\\u202e\`), in a pipe too. \`--json\` and \`cat\` are exact; \`cat\` to a terminal gives it what the file holds.

## What is stored, and what is not

\`put\` stores content, names, permissions, owner (as numbers), time of change, and symlinks. \`get\` brings permissions and times back; owners when
root runs it, or with \`--owner\`; set-user-id, set-group-id and sticky bits with \`--special-bits\` (the first two of what root owns
with owners only). Long runs of zeros come back as holes. Hard
links are stored as files of their own, and counted.
**Extended attributes**: those of users (\`user.\`), POSIX ACLs
and capabilities of programs are kept of files and folders. \`get\` brings back the first; ACLs with owners only, and capabilities with owners and
\`--special-bits\`. Labels of SELinux and what a file system keeps for itself (\`trusted.\`) are not kept, and names that are not UTF-8 are told. Where there
is no help for that (other systems than Linux, the single executable and the image, or without the optional package \`koffi\`), \`put\` and \`get\` say so, and what is stored stays.
Where the place of a \`get\` keeps none (FAT, some network file systems) it says once how many files and folders came without those of users, counts them as \`withoutXattrs\` with \`--json\`, and
ends with 0, as \`cp -a\` does. An ACL that cannot be set is told of each file, and ends with 8, since it says who may do what; so are capabilities, which only who asks for them gets.
A \`put\` from such a place leaves those that are stored of a file or folder as they are, since nothing was said of them; of a file with other content all but capabilities, which were another program's.
A file counts as unchanged when size, time, permissions, owner and these are the same; when only they differ, its content is not sent again.

\`put\` leaves out sockets, pipes and devices, and the folders in which Holdfast itself keeps keys, grid and volumes, unless they are what was
named. It says so, with \`--json\` in \`leftOut\`. What you want left out:

- \`--exclude PATTERN\` and \`--exclude-from FILE\`: patterns as in \`.gitignore\`, read from what is stored: \`*.tmp\`, \`/build/\`, \`!keep.tmp\`.
- a file \`.holdfastignore\` in any folder, for what is in it; inner ones decide over outer ones, those asked for over all.
  \`--no-ignore-files\` takes them for files like others.
- \`--exclude-caches\`: of a folder that a program marked with a \`CACHEDIR.TAG\`, the tag alone is stored.
- \`-x\`: what other file systems that are mounted below hold.

What patterns leave out is counted in the last line, and in \`excluded\` with \`--json\`. \`put --delete\` makes the directory a mirror: it removes what the
folder does not have. What is left out, or in a folder that cannot be read, stays. \`--dry-run\` tells what would be done.

## Options of all commands

\`\`\`text
${options}
\`\`\`

With \`--json\` a command prints one JSON value, and an error is \`{"error":{"code","message","details"}}\`. Codes and exit codes are in
[errors.md](../errors.md). \`HOLDFAST_DEBUG=1\` adds where in the code an error arose.

With \`--json --verbose\` long work (\`put\`, \`get\`, \`check\`, \`rebalance\`, \`audit\`) also tells how far it is: a line of JSON on standard error
each second, and one in the end. \`{"event":"progress","task":"put","done":123,"total":456,"unit":"bytes","seconds":1.5,"isEnd":false}\`; \`total\` is null
where nobody knows it, \`unit\` is \`bytes\` or \`chunks\`. Lines that do not begin with a brace are warnings, as without \`--json\`. More fields and
events may come; these stay.

\`maintain --json\` prints one value a round: \`{"event":"round","started","ended","ok","isCutShort","trees":[…],"volumes":[…]}\`. A tree has \`tree\`, \`volume\`,
\`suspects\`, \`mended\`, \`below\`, \`broken\`, \`registers\`, \`verified\` (when a full check last came to its end, or null), \`error\` (or null), and where
it was due \`sample\` (\`asked\`, \`good\`), \`sweep\`, \`verify\` (\`chunks\`, \`part\` of this full check, \`isDone\`) and \`rebalance\` (\`chunks\`, \`moved\`, \`released\`); a volume has
\`volume\`, \`away\` (\`server\`, \`since\`), \`hasMoved\`, \`collected\` (\`shares\`, \`bytes\`, \`problems\`, or null) and \`error\`.

## Questions

Before something goes that does not come back by itself, a command on a terminal says what, how much, and who still holds it, and asks: \`rm -r\` of a
directory with something in it, \`put --delete\`, \`gc\`, \`alias remove\`, \`snapshot remove\`, \`volume remove\`, \`history epoch\`, \`seen forget\`,
\`coordinator revoke\`. \`--yes\` answers before, and its variable always (\`HOLDFAST_RM_YES=1\`). Without a terminal, or with \`--json\`, nothing is asked: what
would be lost for good without a word elsewhere (\`alias remove\`, a mirror of an empty folder, the last account) is refused without \`--yes\`, and the rest is
done.

## Defaults

Each flag has a variable: \`HOLDFAST_\`, the command, and the flag in capitals, as \`HOLDFAST_PUT_ONE_FILE_SYSTEM=1\`; those of all commands have no command
in it, as \`HOLDFAST_JSON\`, and \`--accept-…\` has none. \`0\`, \`no\` and \`false\` leave a flag without a value out, and each line of \`HOLDFAST_PUT_EXCLUDE\` is a
pattern. The file \`\${XDG_CONFIG_HOME:-~/.config}/holdfast/defaults\` has such
lines, \`NAME=VALUE\`, for what the environment does not say. What is typed counts more than both.

## Files and environment

| What                              | Where                                                                          |
| --------------------------------- | ------------------------------------------------------------------------------ |
| keys, certificate, aliases        | \`\${XDG_CONFIG_HOME:-~/.config}/holdfast/profiles/NAME\`, readable by you only    |
| the local grid with all its data  | \`\${XDG_DATA_HOME:-~/.local/share}/holdfast/grid\`                                |
| newest version seen of each tree  | \`\${XDG_STATE_HOME:-~/.local/state}/holdfast/seen\`                               |
| what files were like when stored  | \`\${XDG_CACHE_HOME:-~/.cache}/holdfast/stored\`                               |
| what V8 compiled                  | \`\${XDG_CACHE_HOME:-~/.cache}/holdfast/compiled\`                             |
| how far maintenance is            | \`\${XDG_STATE_HOME:-~/.local/state}/holdfast/maintenance\`                       |
| \`HOLDFAST_PROFILE\`                | the profile to use; else \`default\`                                             |
| \`HOLDFAST_PASSPHRASE_FILE\`        | a file that holds the passphrase of a locked profile                           |
| the recovery kits it made         | \`recovery.json\` beside them; opens nothing                                    |
| \`HOLDFAST_ALLOW_SECRETS_IN_ARGV\`  | \`1\` takes secrets as arguments                                                |
| \`HOLDFAST_DEBUG\`                  | \`1\` shows stacks                                                               |

## A profile under a passphrase

\`holdfast lock\` encrypts capabilities, private key and convergence secret; from then on a command that needs them asks once, on the
terminal, even while standard input is a pipe. \`up\`, \`down\`, \`status\` and \`doctor\` need no secrets and do not ask; \`status\` and \`doctor\` tell more
with \`--passphrase-file\`. \`--passphrase-command\` (or \`HOLDFAST_PASSPHRASE_COMMAND\` in the file of defaults) runs a command that prints it: \`pass show
holdfast\`, or \`secret-tool lookup app holdfast\` for the desktop's keyring. A service of systemd gives it with
\`LoadCredentialEncrypted=holdfast-passphrase:FILE\`. Nothing opens a profile whose passphrase is forgotten. Keep your write capabilities elsewhere too
(\`holdfast cap home: --out FILE\`): with one of them and a new profile everything is there again.
`
}

function sectionOf(command: Command, depth: number): string {
  const children = command.commands.filter((child) => child.name() !== "help")
  const help = fullHelp(command)
  const heading = `${"#".repeat(depth)} ${pathOf(command)}\n\n${command.description()}.\n`
  const examples = examplesOf(command)
  const shown = examples
    ? `\n\`\`\`sh\n${examples.replace(/^ {2}/gm, "").replace(/ {2,}(?=\S)/g, "   # ")}\n\`\`\`\n`
    : ""
  if (children.length > 0) return [heading + shown, ...children.map((child) => sectionOf(child, depth + 1))].join("\n")
  return `${heading}\n\`\`\`text\n${withoutExamples(help)}\n\`\`\`\n${shown}`
}

/** The examples of a command's help, two spaces before each. */
export function examplesOf(command: Command): string | undefined {
  return /\nExamples?:\n([\s\S]*)$/.exec(fullHelp(command))?.[1]?.trimEnd()
}

/** Usage, arguments and options of its own. */
function withoutExamples(help: string): string {
  const blocks = help
    .replace(/\nExamples?:\n[\s\S]*$/, "")
    .trimEnd()
    .split("\n\n")
  return blocks.filter((block) => /^(Usage|Arguments|Options):/.test(block)).join("\n\n")
}

function optionsOf(program: Command): string {
  return /Options:\n([\s\S]*?)\n\n/.exec(fullHelp(program))![1]!
}

/** A command with those above it, without the program. */
export function pathOf(command: Command): string {
  return command.parent?.parent ? `${pathOf(command.parent as Command)} ${command.name()}` : command.name()
}

function fullHelp(command: Command): string {
  let text = ""
  const writeOut = (piece: string) => {
    text += piece
  }
  command.configureOutput({ writeOut, getOutHelpWidth: () => 120 })
  command.outputHelp()
  return text
}

if (import.meta.main) writeFileSync(commandPage, await makeCommandPage())
