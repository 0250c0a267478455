/** `holdfast supervise`: the process behind `holdfast up`. Not for people. */
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import { loadConfig } from "../../local-grid/config.ts"
import { startStatusPage } from "../../local-grid/status-page.ts"
import { superviseGrid } from "../../local-grid/supervisor.ts"
import { ownCommand } from "../../own-command.ts"

/** Adds the command. */
export function register(program: Command): void {
  program
    .command("supervise", { hidden: true })
    .requiredOption("--dir <folder>")
    .action((flags: { dir: string }) => supervise(flags.dir))
}

async function supervise(dir: string): Promise<void> {
  const config = await loadConfig(dir)
  if (!config) throw new HoldfastError("ERR_NOT_FOUND", `There is no local grid in ${dir}.`)
  const asked = new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve)
    process.once("SIGINT", resolve)
  })
  const supervisor = await superviseGrid(dir, config, ownCommand())
  const page = await startStatusPage({ port: config.statusPort, config, parts: supervisor.parts })
  await supervisor.announcePage(page.port)
  await asked
  await page.close()
  await supervisor.stop()
}
