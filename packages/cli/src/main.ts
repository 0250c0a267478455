/** The `holdfast` command. Only the command that is asked for is loaded, so that starting is quick. */
import { setFlagsFromString } from "node:v8"
import { commands } from "./command-table.ts"
import { createContext } from "./context.ts"
import { exitCodeOf, reportError } from "./exit-codes.ts"
import { version } from "./version.ts"

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) {
    process.stdout.write(`${version}\n`)
    return
  }
  const context = createContext(process, args)
  try {
    const { runProgram } = await import("./program.ts")
    await runProgram(args, context, commands)
  } catch (error) {
    reportError(context, error)
    process.exitCode = exitCodeOf(error)
  } finally {
    await context.close()
  }
}

// Bytes pass through in small arrays outside the heap. To V8 they fill a heap as small as ours every few megabytes, and it
// would mark the whole of it each time: a third of the processor.
setFlagsFromString("--heap-growing-percent=400")
// A reader that goes away (holdfast cat … | head) is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
await main(process.argv.slice(2))
