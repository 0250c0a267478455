/** `holdfast supervise`: the process behind `holdfast up`. Not for people. */
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { loadConfig } from "../../local-grid/config.ts"
import { startStatusPage } from "../../local-grid/status-page.ts"
import { superviseGrid } from "../../local-grid/supervisor.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("supervise", { hidden: true })
    .requiredOption("--dir <folder>")
    .action((flags: { dir: string }) => supervise(context, flags.dir))
}

async function supervise(context: Context, dir: string): Promise<void> {
  const config = await loadConfig(dir)
  if (!config) throw new HoldfastError("ERR_NOT_FOUND", `There is no local grid in ${dir}.`)
  const asked = new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve)
    process.once("SIGINT", resolve)
  })
  const supervisor = await superviseGrid(dir, config, [process.execPath, ...process.execArgv, process.argv[1]!])
  const page = await startStatusPage({ port: config.statusPort, config, parts: supervisor.parts }).catch((error) => {
    context.stderr.write(`status page: ${error instanceof Error ? error.message : String(error)}\n`)
    return undefined
  })
  await asked
  await page?.close()
  await supervisor.stop()
}
