/** Running a command line. Only the command that is asked for is loaded, so that starting is quick. */
import { pathsOf } from "@holdfast/client/paths"
import { commands } from "./command-table.ts"
import { createContext } from "./context.ts"
import { readDefaults } from "./defaults.ts"
import { exitCodeOf, exitCodes, reportError } from "./exit-codes.ts"
import { createScreen } from "./screen.ts"
import { growSmallHeap } from "./small-heap.ts"

/** Gives why the file of defaults could not be read. */
function readDefaultsOf(env: NodeJS.ProcessEnv): unknown {
  try {
    readDefaults(pathsOf(env).config, env)
    return undefined
  } catch (error) {
    return error
  }
}

/** Runs the command that `args` say, and sets the exit code. */
export async function run(args: readonly string[]): Promise<void> {
  growSmallHeap()
  process.stdout.on("error", cannotWrite)
  process.stderr.on("error", () => undefined) // nobody is left to be told
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

function cannotWrite(error: NodeJS.ErrnoException): never {
  // A reader that goes away (holdfast cat … | head) is not an error, and makes none undone.
  if (error.code === "EPIPE") process.exit()
  createScreen({ stdout: process.stdout, stderr: process.stderr, json: true }).warn(
    `Standard output could not be written: ${error.code ?? error.message}.`,
  )
  process.exit(exitCodes.failed)
}
