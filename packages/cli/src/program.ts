/** Builds the commander program: the asked-for command in full, the others as a line of help. */
import { HoldfastError, shownLine, shownLines } from "@holdfast/core"
import { Command, CommanderError } from "commander"
import { firstWord } from "./arguments.ts"
import type { CommandModule, CommandSource } from "./command.ts"
import type { Context } from "./context.ts"
import { CommandWithVariables } from "./defaults.ts"
import { refuseSecrets } from "./refuse-secrets.ts"
import { version } from "./version.ts"

/** Parses `args` and runs the command. Usage errors are reported by commander and leave exit code 2. */
export async function runProgram(
  args: readonly string[],
  context: Context,
  sources: readonly CommandSource[],
): Promise<void> {
  await refuseSecrets(args, context.env)
  const asked = firstWord(args)
  const name = asked === "help" ? args[args.indexOf("help") + 1] : asked
  const program = await buildProgram(context, sources, (source) => source.names.includes(name ?? ""))
  try {
    if (args.length === 0) program.outputHelp()
    else await program.parseAsync(args as string[], { from: "user" })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (context.json && error.exitCode !== 0)
      throw new HoldfastError("ERR_INVALID_ARGUMENT", error.message.replace(/^error: /, ""))
    process.exitCode = error.exitCode === 0 ? 0 : 2
  }
}

/** The program with the commands that `isWanted` in full. */
export async function buildProgram(
  context: Context,
  sources: readonly CommandSource[],
  isWanted: (source: CommandSource) => boolean,
): Promise<Command> {
  const program = globalProgram(context)
  const loaded: CommandModule[] = []
  for (const source of sources) if (isWanted(source)) loaded.push(await source.load())
  for (const module of loaded) module.register(program, context, sources)
  const known = new Map(program.commands.map((command) => [command.name(), command]))
  const inOrder: Command[] = []
  for (const source of sources)
    for (const [i, name] of source.names.entries())
      inOrder.push(
        (known.get(name) as Command | undefined) ??
          new Command(name).description(source.summaries[i] ?? "").copyInheritedSettings(program),
      )
  const hidden = new Set(sources.filter((source) => source.hidden).flatMap(({ names }) => names))
  for (const command of inOrder)
    if (!known.has(command.name())) program.addCommand(command, { hidden: hidden.has(command.name()) })
  sortCommands(program, inOrder)
  for (const command of allCommands(program)) {
    command.exitOverride()
    command.configureOutput(program.configureOutput()).configureHelp(program.configureHelp())
  }
  return program
}

function globalProgram(context: Context): Command {
  const program = new CommandWithVariables("holdfast")
    .description("End-to-end encrypted files on machines that nobody has to trust")
    .version(version, "-V, --version")
    .option("--json", "print one JSON value instead of text")
    .option(
      "-v, --verbose",
      "say what is done with each file and what was asked of each server (with --json: how far long work is)",
    )
    .option("--trace", "tell each request to a server and how long it took, on stderr")
    .option("-q, --quiet", "say nothing when all went well, and show no progress")
    .option("--profile <name>", "use another profile (or set HOLDFAST_PROFILE)")
    .option("--volume <name>", "use a volume of your own, or `grid` (or set HOLDFAST_VOLUME)")
    .option("--passphrase-file <file>", "passphrase of a locked profile; - is stdin (or set HOLDFAST_PASSPHRASE_FILE)")
    .option("--passphrase-command <command>", "a command that prints it, as of a password manager")
    .option("--limit-upload <rate>", "store at most so many bytes a second, as 500K or 2M")
    .option("--limit-download <rate>", "read at most so many bytes a second")
    .option(
      "--accept-rollback",
      "read a tree although its servers offer an older version or another one than seen before",
    )
    .option("--accept-history", "go on from a version that is not proven to follow the one seen before")
    .helpCommand(true)
    .showHelpAfterError("(holdfast --help, or holdfast COMMAND --help, says more)")
    .addHelpText(
      "after",
      "\nStart here:\n  holdfast up\n  holdfast put ~/Documents home:\n  holdfast ls -l home:Documents\n",
    )
  program.configureOutput({
    writeOut: (text) => void context.stdout.write(shownLines(text)),
    writeErr: (text) => void (context.json || context.stderr.write(shownLines(text))),
    outputError: (text, write) => write(`${shownError(text)}\n`),
  })
  program.configureHelp({ showGlobalOptions: true })
  program.hook("preAction", () => {
    const { verbose = false, quiet = false } = program.opts<Partial<Context["verbosity"]>>()
    Object.assign(context.verbosity, { verbose, quiet })
  })
  return program.exitOverride()
}

/** What commander says of the words that it was given, in which line ends are theirs but for the one before its guess. */
function shownError(text: string): string {
  return text
    .trimEnd()
    .split(/\n(?=\(Did you mean )/)
    .map(shownLine)
    .join("\n")
}

/** Commands in the order of the table, whichever were loaded. */
function sortCommands(program: Command, order: readonly Command[]): void {
  const list = program.commands as Command[]
  list.sort((a, b) => order.indexOf(a) - order.indexOf(b))
}

/** Every command below `command`. */
export function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child as Command, ...allCommands(child as Command)])
}
