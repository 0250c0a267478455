/** The `holdfast` command. Only the command that is asked for is loaded, so that starting is quick. */
import { pathsOf } from "@holdfast/client/paths"
import { commands } from "./command-table.ts"
import { createContext } from "./context.ts"
import { readDefaults } from "./defaults.ts"
import { exitCodeOf, exitCodes, reportError } from "./exit-codes.ts"
import { createScreen } from "./screen.ts"
import { growSmallHeap } from "./small-heap.ts"
import { version } from "./version.ts"

/** Under an older Node the command is the child of a launcher: nobody would know of it once that was killed. */
function endWithLauncher(): void {
  if (process.env["HOLDFAST_LAUNCHED"] !== "1" || !process.channel) return
  delete process.env["HOLDFAST_LAUNCHED"]
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"))
  process.channel.unref()
}

/** Gives why the file of defaults could not be read. */
function readDefaultsOf(env: NodeJS.ProcessEnv): unknown {
  try {
    readDefaults(pathsOf(env).config, env)
    return undefined
  } catch (error) {
    return error
  }
}

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) {
    process.stdout.write(`${version}\n`)
    return
  }
  const unread = readDefaultsOf(process.env)
  const context = createContext(process, args)
  const report = (error: unknown) => {
    reportError(context, error)
    process.exitCode = exitCodeOf(error)
  }
  process.on("uncaughtException", (error) => {
    report(error)
    if (context.env["HOLDFAST_DEBUG"] !== "1") context.tell((error.stack ?? "").split("\n")) // for a daemon's log
    process.exit()
  })
  let failure: unknown
  try {
    if (unread) throw unread
    const { runProgram } = await import("./program.ts")
    await runProgram(args, context, commands)
  } catch (error) {
    failure = context.interruption.reason ?? error
    report(failure)
  }
  await context.close(failure).catch(report)
  context.interruption.finish()
}

endWithLauncher()
growSmallHeap()
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // A reader that goes away (holdfast cat … | head) is not an error, and makes none undone.
  if (error.code === "EPIPE") process.exit()
  createScreen({ stdout: process.stdout, stderr: process.stderr, json: true }).warn(
    `Standard output could not be written: ${error.code ?? error.message}.`,
  )
  process.exit(exitCodes.failed)
})
process.stderr.on("error", () => undefined) // nobody is left to be told
await main(process.argv.slice(2))
