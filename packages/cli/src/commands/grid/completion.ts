/**
 * `holdfast completion`: shell completion of commands, their subcommands and options, paths in trees, and file names. Places are asked of
 * `holdfast complete-places`, which is given the line on standard input. Its answers are names that somebody else may have chosen: they go
 * into the shell as data, quoted for bash, which leaves some letters as they are; zsh and fish quote what they type for the user.
 */
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
      return zshScript(words)
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
  local word="\${COMP_WORDS[COMP_CWORD]}" line="\${COMP_LINE:0:COMP_POINT}" subs="" opts="" found
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names}" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$opts" -- "$word")); return ;;
  esac
  if [ -n "$subs" ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "$subs" -- "$word"))
    return
  fi
  found=$(printf '%s' "$line" | holdfast complete-places --breaks "$COMP_WORDBREAKS" 2>/dev/null; printf '%s' "$?")
  if [ "\${found##*$'\\n'}" != "$found" ]; then
    while IFS= read -r word; do COMPREPLY+=("$word"); done <<< "\${found%$'\\n'*}"
  fi
  if [ "\${found##*$'\\n'}" != 0 ]; then
    while IFS= read -r word; do
      compopt -o filenames 2>/dev/null
      COMPREPLY+=("$word")
    done < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
  fi
  case "\${#COMPREPLY[@]} \${COMPREPLY[0]}" in
    "1 "*[:/]) compopt -o nospace 2>/dev/null ;;
  esac
}
complete -F _holdfast holdfast`
}

function zshScript(words: readonly Words[]): string {
  const names = words.map(({ name }) => name).join(" ")
  const cases = words.map(
    ({ name, subcommands, options }) => `    ${name}) subs=(${subcommands.join(" ")}); opts=(${options.join(" ")}) ;;`,
  )
  return `#compdef holdfast
_holdfast() {
  local found code word
  local -a subs opts lines
  if (( CURRENT == 2 )); then
    compadd -- ${names}
    return
  fi
  case "\${words[2]}" in
${cases.join("\n")}
  esac
  if [[ "$PREFIX" == -* ]]; then
    compadd -- $opts
    return
  fi
  if (( CURRENT == 3 && $#subs )); then
    compadd -- $subs
    return
  fi
  found=$(print -rn -- "\${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX" | holdfast complete-places 2>/dev/null; print -n $?)
  lines=("\${(@f)found}")
  code="\${lines[-1]}"
  for word in "\${(@)lines[1,-2]}"; do
    case "$word" in
      *[:/]) compadd -S '' -- "$word" ;;
      *) compadd -- "$word" ;;
    esac
  done
  [[ "$code" == 0 ]] || _files
}
if [[ "\${funcstack[1]}" == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi`
}

function fishScript(words: readonly Words[]): string {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`
  const lines = words.flatMap(({ name, summary, subcommands, options }) => [
    `complete -c holdfast -n __fish_use_subcommand -f -a ${name} -d ${quoted(summary)}`,
    ...subcommands.map((sub) => `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -a ${sub}`),
    ...options.map((option) => `complete -c holdfast -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`),
  ])
  const places = "(commandline -cp | holdfast complete-places 2>/dev/null)"
  return [...lines, `complete -c holdfast -n 'not __fish_use_subcommand' -a '${places}'`].join("\n")
}
