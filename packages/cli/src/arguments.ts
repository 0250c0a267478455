/** What the command needs to know of its arguments before they are parsed. */

/** Options of all commands that are followed by a value. */
const withValue = new Set([
  ...["--profile", "--passphrase-file", "--passphrase-command", "--volume"],
  ...["--limit-upload", "--limit-download"],
])

/** The command that was typed. */
export function firstWord(args: readonly string[]): string | undefined {
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!
    if (withValue.has(word)) i++
    else if (!word.startsWith("-")) return word
  }
  return undefined
}

/** The arguments that may be options: those before `--`. */
function options(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--")
  return end < 0 ? args : args.slice(0, end)
}

/** True when an option without a value is given. */
export function hasFlag(args: readonly string[], flag: string): boolean {
  return options(args).includes(flag)
}

/** The value of an option; undefined when it is not given. */
export function optionValue(args: readonly string[], option: string): string | undefined {
  const given = options(args)
  const at = given.indexOf(option)
  if (at >= 0) return given[at + 1]
  return given.find((word) => word.startsWith(`${option}=`))?.slice(option.length + 1)
}
