/** The `holdfast` command. Only the command that is asked for is loaded, so that starting is quick. */
import { commands } from "./command-table.ts"
import { createContext } from "./context.ts"
import { exitCodeOf, reportError } from "./exit-codes.ts"
import { growSmallHeap } from "./small-heap.ts"
import { version } from "./version.ts"

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) {
    process.stdout.write(`${version}\n`)
    return
  }
  const context = createContext(process, args)
  const report = (error: unknown) => {
    reportError(context, error)
    process.exitCode = exitCodeOf(error)
  }
  process.on("uncaughtException", (error) => {
    report(error)
    process.exit()
  })
  try {
    const { runProgram } = await import("./program.ts")
    await runProgram(args, context, commands)
  } catch (error) {
    report(error)
  }
  await context.close().catch(report)
}

growSmallHeap()
// A reader that goes away (holdfast cat … | head) is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
await main(process.argv.slice(2))
