/** What a command is to the program that runs it. */
import type { Command } from "commander"
import type { Context } from "./context.ts"

/** A command's code. */
export interface CommandModule {
  /** `sources` is the whole table, for what speaks of all commands. */
  register(program: Command, context: Context, sources: readonly CommandSource[]): void
}

/** One or more commands of one module. */
export interface CommandSource {
  readonly names: readonly string[]
  readonly summaries: readonly string[]
  readonly hidden?: boolean
  load(): Promise<CommandModule>
}
