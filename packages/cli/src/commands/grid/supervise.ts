/** `holdfast supervise`: the process behind `holdfast up`. Not for people. */
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { loadConfig } from "../../local-grid/config.ts"
import { startStatusPage } from "../../local-grid/status-page.ts"
import { superviseGrid } from "../../local-grid/supervisor.ts"
import { maintainBeside } from "../../maintenance/run.ts"
import { ownCommand } from "../../own-command.ts"

/** The grid's own parts have come up by then, and `up` has made the profile. */
const maintainAfterMs = 5_000

interface SuperviseFlags {
  readonly dir: string
  readonly maintain?: boolean
}

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("supervise", { hidden: true })
    .requiredOption("--dir <folder>")
    .option("--no-maintain")
    .action((flags: SuperviseFlags) => supervise(context, flags))
}

async function supervise(context: Context, { dir, maintain = true }: SuperviseFlags): Promise<void> {
  const config = await loadConfig(dir)
  if (!config) throw new HoldfastError("ERR_NOT_FOUND", `There is no local grid in ${dir}.`)
  const ending = new AbortController()
  const asked = new Promise<void>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve())
  })
  const supervisor = await superviseGrid(dir, config, ownCommand())
  const page = await startStatusPage({ port: config.statusPort, config, parts: supervisor.parts })
  await supervisor.announcePage(page.port)
  const maintenance = maintain ? maintainGrid(endedBy(context, ending.signal), supervisor) : undefined
  await asked
  ending.abort(new HoldfastError("ERR_ABORTED", "The local grid is stopped."))
  await maintenance?.stop()
  await page.close()
  await supervisor.stop()
}

/** The same context, whose sessions end with the grid: its parts have longer to end than a command has. */
function endedBy(context: Context, signal: AbortSignal): Context {
  return { ...context, interruption: { signal, lateSignal: signal, reason: undefined, finish: () => undefined } }
}

function maintainGrid(context: Context, supervisor: Awaited<ReturnType<typeof superviseGrid>>) {
  const { profile } = context
  const tell = (why?: string) => void supervisor.announceMaintenance({ profile, ...(why !== undefined && { why }) })
  tell()
  return maintainBeside(context, { startMs: maintainAfterMs, onTrouble: tell })
}
