/** `holdfast completion`: shell completion of commands, their subcommands and options; file names for the rest. */
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import type { CommandSource } from "../../command.ts"
import type { Context } from "../../context.ts"
import { buildProgram } from "../../program.ts"

/** Adds the command. */
export function register(program: Command, context: Context, sources: readonly CommandSource[]): void {
  program
    .command("completion")
    .description("print completion for a shell")
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText(
      "after",
      '\nExamples:\n  eval "$(holdfast completion bash)"\n  holdfast completion zsh > ~/.zfunc/_holdfast\n  holdfast completion fish > ~/.config/fish/completions/holdfast.fish\n',
    )
    .action(async (shell: string) => {
      const visible = sources.filter(({ hidden }) => !hidden)
      const whole = await buildProgram(context, visible, () => true)
      const script = scriptFor(shell, wordsOf(whole))
      context.outputExact({ shell, script }, script)
    })
}

/** What can follow `holdfast NAME`. */
interface Words {
  readonly name: string
  readonly summary: string
  readonly subcommands: readonly string[]
  readonly options: readonly string[]
}

function wordsOf(program: Command): Words[] {
  const longOf = (command: Command) => command.options.flatMap(({ long }) => (long ? [long] : []))
  const everywhere = [...longOf(program).filter((option) => option !== "--version"), "--help"]
  return program.commands.map((command) => {
    const below = command.commands as readonly Command[]
    return {
      name: command.name(),
      summary: command.description(),
      subcommands: below.map((child) => child.name()),
      options: [...new Set([...longOf(command), ...below.flatMap(longOf), ...everywhere])],
    }
  })
}

function scriptFor(shell: string, words: readonly Words[]): string {
  switch (shell) {
    case "bash":
      return bashScript(words)
    case "zsh":
      // zsh runs bash's completion functions once it was asked to.
      return `#compdef holdfast\nautoload -Uz bashcompinit && bashcompinit\n${bashScript(words)}`
    case "fish":
      return fishScript(words)
    default:
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        `"${shell}" is not a shell that completion knows: bash, zsh or fish.`,
      )
  }
}

function bashScript(words: readonly Words[]): string {
  const names = words.map(({ name }) => name).join(" ")
  const cases = words.map(
    ({ name, subcommands, options }) => `    ${name}) subs="${subcommands.join(" ")}"; opts="${options.join(" ")}" ;;`,
  )
  return `_holdfast() {
  local word="\${COMP_WORDS[COMP_CWORD]}" subs="" opts=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names}" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$opts" -- "$word")) ;;
    *)
      if [ -n "$subs" ] && [ "$COMP_CWORD" -eq 2 ]; then
        COMPREPLY=($(compgen -W "$subs" -- "$word"))
      else
        local IFS=$'\\n'
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$word"))
      fi ;;
  esac
}
complete -F _holdfast holdfast`
}

function fishScript(words: readonly Words[]): string {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`
  const lines = words.flatMap(({ name, summary, subcommands, options }) => [
    `complete -c holdfast -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
    ...subcommands.map((sub) => `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -a ${sub}`),
    ...options.map((option) => `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`),
  ])
  return lines.join("\n")
}
