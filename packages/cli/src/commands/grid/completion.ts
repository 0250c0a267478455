/** `holdfast completion`: shell completion of commands. */
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import type { Context } from "../../context.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("completion")
    .description("print completion for a shell")
    .argument("<shell>", "bash, zsh or fish")
    .addHelpText(
      "after",
      '\nExamples:\n  eval "$(holdfast completion bash)"\n  holdfast completion fish > ~/.config/fish/completions/holdfast.fish\n',
    )
    .action((shell: string) => {
      const script = scriptFor(
        shell,
        program.commands
          .map((command) => ({ name: command.name(), summary: command.description() }))
          .filter(({ name }) => name !== "supervise"),
      )
      context.output({ shell, script }, script)
    })
}

interface CommandName {
  readonly name: string
  readonly summary: string
}

function scriptFor(shell: string, commands: readonly CommandName[]): string {
  const names = commands.map(({ name }) => name)
  switch (shell) {
    case "bash":
      return `_holdfast() { if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "${names.join(" ")}" -- "\${COMP_WORDS[1]}")); else COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); fi; }\ncomplete -o filenames -F _holdfast holdfast`
    case "zsh":
      return `#compdef holdfast\n_holdfast() { if (( CURRENT == 2 )); then compadd ${names.join(" ")}; else _files; fi }\ncompdef _holdfast holdfast`
    case "fish":
      return commands
        .map(({ name, summary }) => `complete -c holdfast -n __fish_use_subcommand -a ${name} -d '${summary}'`)
        .join("\n")
    default:
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        `"${shell}" is not a shell that completion knows: bash, zsh or fish.`,
      )
  }
}
