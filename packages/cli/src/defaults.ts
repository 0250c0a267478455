/**
 * What stands for flags that were not typed: a variable of the environment for each, and a file with the same names. `--json` of all
 * commands is HOLDFAST_JSON, `put --one-file-system` HOLDFAST_PUT_ONE_FILE_SYSTEM; 0, no, false and nothing at all mean that a flag
 * without a value is not given. What sets a warning aside has none: it is to be meant each time.
 */
import * as fs from "node:fs"
import { join } from "node:path"
import { HoldfastError } from "@holdfast/core"
import { localError, othersMayChange } from "@holdfast/core/node"
import { Command, type Option } from "commander"

/** The file's name, in the folder of the configuration. */
export const defaultsFile = "defaults"
const mostBytes = 64 * 1024

/** The variable that stands for an option of the command with these words, as `volume create`; of all commands without any. */
export function variableOf({ long, short }: Pick<Option, "long" | "short">, words: readonly string[] = []): string {
  const flag = (long ?? short ?? "").replace(/^-+/, "")
  return ["holdfast", ...words, flag].join("_").replaceAll("-", "_").toUpperCase()
}

/** True when a variable turns a flag on. */
export function isOn(value: string | undefined): boolean {
  return value !== undefined && !["", "0", "no", "false", "off"].includes(value.trim().toLowerCase())
}

/**
 * Takes what the file in the folder `config` says into `env`, where that says nothing. Throws ERR_IO, ERR_EXPOSED
 * when others may change it, ERR_INVALID_ARGUMENT for a name that is no variable of ours.
 */
export function readDefaults(config: string, env: NodeJS.ProcessEnv): void {
  if (env[defaultsSwitch] === "none") return
  const path = join(config, defaultsFile)
  let text: string
  try {
    const stat = fs.statSync(path, { throwIfNoEntry: false })
    if (!stat) return
    if (!stat.isFile() || stat.size > mostBytes)
      throw new HoldfastError("ERR_INVALID_ARGUMENT", `"${path}" is not a file of at most ${mostBytes / 1024} KiB.`)
    if (othersMayChange(stat))
      throw new HoldfastError(
        "ERR_EXPOSED",
        `Other users of this machine may change "${path}", which says what commands do and may name one that is run. Close that with: chmod go-w, or make a file of your own there.`,
        { path },
      )
    text = fs.readFileSync(path, "utf8")
  } catch (error) {
    throw localError(error, path)
  }
  const { parseEnv } = process.getBuiltinModule("node:util") // an import of it loads a dozen modules more, for who has no such file too
  for (const [name, value] of Object.entries(parseEnv(text))) {
    if (!/^HOLDFAST_[A-Z0-9_]+$/.test(name))
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        `"${path}" sets ${name}, and there are only names as HOLDFAST_PUT_ONE_FILE_SYSTEM, one for each flag.`,
      )
    env[name] ??= value
  }
}

/** Set to `none` where neither the file nor a variable stands for a flag. */
const defaultsSwitch = "HOLDFAST_DEFAULTS"

/**
 * The environment for parts of a local grid, which are told all that they need: what the user wants of commands (`HOLDFAST_NODE_ADVERTISE`,
 * `HOLDFAST_NODE_MONITOR` of a node of its own) would be taken for theirs, by all of them.
 */
export function withoutDefaults(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !name.startsWith("HOLDFAST_") || name === "HOLDFAST_DEBUG")
  return { ...Object.fromEntries(kept), [defaultsSwitch]: "none" }
}

/** A command whose options, and those of commands below it, take what was not typed from the process's environment. */
export class CommandWithVariables extends Command {
  override createCommand(name?: string): CommandWithVariables {
    return new CommandWithVariables(name)
  }

  override createOption(flags: string, description?: string): Option {
    const option = super.createOption(flags, description)
    const name = variableOf(option, wordsOf(this))
    const given = process.env[defaultsSwitch] === "none" ? undefined : process.env[name]
    const isGiven = option.required || option.optional ? (given ?? "") !== "" : isOn(given)
    return isGiven && !isMeantEachTime(option) ? option.env(name) : option
  }

  override error(message: string, options?: Parameters<Command["error"]>[1]): never {
    return super.error(withoutValues(message), options)
  }
}

/**
 * What commander says, without values that no command took: nobody knows what was meant by them, and in `lock hunter2` or
 * `-phunter2` it is a passphrase.
 */
function withoutValues(message: string): string {
  return message
    .replace(/^(error: too many arguments[\s\S]*? but got \d+): [\s\S]*$/, "$1.")
    .replace(/^(error: unknown option '--[^=']*=)[\s\S]*'/, "$1…'")
    .replace(/^(error: unknown option '-[^-])[\s\S]+'/, "$1…'")
}

function isMeantEachTime({ long }: Option): boolean {
  return long === "--version" || (long?.startsWith("--accept-") ?? false)
}

/** The words of a command below the program. */
function wordsOf(command: Command): string[] {
  return command.parent ? [...wordsOf(command.parent), command.name()] : []
}
