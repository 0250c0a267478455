/** Builds the commander program: the asked-for command in full, the others as a line of help. */
import { Command, CommanderError } from "commander"
import type { CommandModule, CommandSource } from "./command-table.ts"
import type { Context } from "./context.ts"
import { version } from "./version.ts"

const globalOptions = ["--json", "--profile"]

/** Parses `args` and runs the command. Usage errors are reported by commander and leave exit code 2. */
export async function runProgram(
  args: readonly string[],
  context: Context,
  sources: readonly CommandSource[],
): Promise<void> {
  const program = new Command("holdfast")
    .description("End-to-end encrypted files on machines that nobody has to trust")
    .version(version, "-V, --version")
    .option("--json", "print one JSON value instead of text")
    .option("--profile <name>", "use another profile (or set HOLDFAST_PROFILE)")
    .helpCommand(true)
    .showHelpAfterError("(holdfast --help, or holdfast COMMAND --help, says more)")
    .addHelpText(
      "after",
      "\nStart here:\n  holdfast up\n  holdfast put ~/Documents home:/\n  holdfast ls -l home:/Documents\n",
    )
  program.configureOutput({
    writeOut: (text) => void context.stdout.write(text),
    writeErr: (text) => void context.stderr.write(text),
  })
  program.exitOverride()
  const asked = firstWord(args)
  const wanted = sources.filter((source) => source.names.includes(asked === "help" ? (args[1] ?? "") : (asked ?? "")))
  const loaded: CommandModule[] = []
  for (const source of wanted) loaded.push(await source.load())
  for (const module of loaded) module.register(program, context)
  const known = new Set(program.commands.map((command) => command.name()))
  for (const source of sources)
    for (const [i, name] of source.names.entries())
      if (!known.has(name))
        program.command(name, source.hidden ? { hidden: true } : {}).description(source.summaries[i] ?? "")
  for (const command of allCommands(program)) {
    command.exitOverride()
    command.configureOutput(program.configureOutput())
    if (!command.options.some((option) => option.long === "--json")) command.option("--json", "print JSON")
  }
  try {
    if (args.length === 0) program.outputHelp()
    else await program.parseAsync(args as string[], { from: "user" })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode === 0 ? 0 : 2
  }
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child as Command, ...allCommands(child as Command)])
}

function firstWord(args: readonly string[]): string | undefined {
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!
    if (word === "--profile") i++
    else if (!globalOptions.includes(word) && !word.startsWith("-")) return word
  }
  return undefined
}
