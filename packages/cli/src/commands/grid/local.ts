/** `holdfast up`, `down` and `status`: a whole grid on this machine, and a client for it. */
import { spawn } from "node:child_process"
import { mkdir, open, readFile } from "node:fs/promises"
import { join } from "node:path"
import { createInvite } from "@holdfast/coordinator"
import { HoldfastError } from "@holdfast/core"
import { fetchGrid, join as joinGrid, loadGrid } from "@holdfast/network"
import type { Command } from "commander"
import { z } from "zod"
import type { Context } from "../../context.ts"
import { gridFiles, type LocalGridConfig, loadConfig, makeConfig, parseCoding } from "../../local-grid/config.ts"
import { isRunning, type ProcessMark, stopProcess } from "../../local-grid/process.ts"
import { createAliasTree } from "../../new-tree.ts"
import { pathsOf } from "../../profile/paths.ts"
import { createProfile } from "../../profile/profile.ts"
import { sizeText } from "../../progress.ts"
import { openSession } from "../../session.ts"

const stateSchema = z.object({
  supervisor: z.object({ pid: z.number().int(), started: z.string() }),
  parts: z.array(
    z.object({
      name: z.string(),
      port: z.number().int(),
      pid: z.number().int().optional(),
      restarts: z.number().int(),
    }),
  ),
})
type GridState = z.infer<typeof stateSchema>

const readyTimeoutMs = 60_000
const stopTimeoutMs = 30_000

interface UpFlags {
  readonly nodes: string
  readonly coding?: string
  readonly dir?: string
}

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  program
    .command("up")
    .description("start a local grid of separate node processes and make a client for it (alias home:)")
    .option("--nodes <count>", "storage nodes", "5")
    .option(
      "--coding <k/happy/n>",
      "any K of N shares restore; HAPPY distinct nodes must take a put (default 3/4/5, less with fewer nodes)",
    )
    .option("--dir <folder>", "where the grid keeps its data")
    .addHelpText("after", "\nExamples:\n  holdfast up\n  holdfast up --nodes 7 --coding 4/6/7\n")
    .action((flags: UpFlags) => up(context, flags))
  program
    .command("down")
    .description("stop the local grid; its data stays")
    .option("--dir <folder>", "where the grid keeps its data")
    .addHelpText("after", "\nExample:\n  holdfast down\n")
    .action((flags: { dir?: string }) => down(context, flags))
  program
    .command("status")
    .description("show the grid: processes, servers, space")
    .option("--dir <folder>", "where the local grid keeps its data")
    .addHelpText("after", "\nExample:\n  holdfast status --json\n")
    .action((flags: { dir?: string }) => status(context, flags))
}

async function up(context: Context, flags: UpFlags): Promise<void> {
  const dir = gridDir(context, flags)
  const config = (await loadConfig(dir)) ?? (await newConfig(dir, flags))
  if (!(await isRunning((await loadState(dir))?.supervisor))) await startSupervisor(context, dir)
  await joinAsClient(context, dir)
  await waitForServers(context, config)
  const made = await ensureHome(context)
  const page = `http://127.0.0.1:${config.statusPort}/`
  const { k, n } = config.coding
  context.output(
    {
      dir,
      nodes: config.nodes.length,
      coding: config.coding,
      statusPage: page,
      profile: context.profile,
      newTree: made,
    },
    [
      `The grid runs: ${config.nodes.length} nodes, any ${k} of ${n} shares restore a file. Status page: ${page}`,
      "",
      "Now type, for example:",
      "  holdfast put README.md home:/       store a file, encrypted and spread over the nodes",
      "  holdfast ls -l home:/               list",
      "  holdfast cat home:/README.md        read it back",
      "  holdfast status                     see the nodes;  holdfast down stops them",
      "(in a checkout: npx holdfast ...)",
    ].join("\n"),
  )
}

function gridDir(context: Context, flags: { dir?: string }): string {
  return flags.dir ?? join(pathsOf(context.env).data, "grid")
}

async function newConfig(dir: string, flags: UpFlags): Promise<LocalGridConfig> {
  const count = Number(flags.nodes)
  if (!Number.isInteger(count) || count < 1 || count > 64)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `--nodes takes a number from 1 to 64, not "${flags.nodes}".`)
  const coding = flags.coding ?? (count >= 5 ? "3/4/5" : defaultCoding(count))
  return makeConfig(dir, count, parseCoding(coding, count))
}

/** Survives one lost node where that is possible. */
function defaultCoding(count: number): string {
  return count === 1 ? "1/1/1" : `${count - 1}/${count}/${count}`
}

async function loadState(dir: string): Promise<GridState | undefined> {
  try {
    return stateSchema.parse(JSON.parse(await readFile(gridFiles(dir).supervisor, "utf8")))
  } catch {
    return undefined // no grid was started here yet
  }
}

async function startSupervisor(context: Context, dir: string): Promise<void> {
  await mkdir(join(dir, "log"), { recursive: true, mode: 0o700 })
  const log = await open(gridFiles(dir).log("supervisor"), "a", 0o600)
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, "supervise", "--dir", dir], {
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
    env: context.env,
  })
  child.unref()
  await log.close()
  let ended = false
  child.once("exit", () => {
    ended = true
  })
  await until("the local grid to start", async () => {
    if (ended) throw startFailed(dir)
    return (await loadState(dir))?.supervisor.pid === child.pid
  })
}

async function joinAsClient(context: Context, dir: string): Promise<void> {
  const paths = pathsOf(context.env)
  const identityDir = join(paths.config, "profiles", context.profile, "identity")
  const known = await loadGrid(identityDir).catch(() => undefined)
  if (!known) {
    const invite = await createInvite({
      dir: gridFiles(dir).coordinatorDir,
      role: "client",
      tenant: "home",
      name: "home",
      ttlSeconds: 600,
    })
    await joinGrid(invite, { dir: identityDir, name: "home" })
  }
  await createProfile(paths, context.profile)
}

async function waitForServers(context: Context, config: LocalGridConfig): Promise<void> {
  const identityDir = join(pathsOf(context.env).config, "profiles", context.profile, "identity")
  await until("all nodes to announce themselves", async () => {
    const { grid } = await fetchGrid(identityDir)
    return grid.servers.length >= config.nodes.length
  })
}

/** Makes the tree `home:` unless it exists. True when it was made now. */
async function ensureHome(context: Context): Promise<boolean> {
  const session = await openSession(context.profile, context.env)
  try {
    if (session.profile.aliases.has("home")) return false
    await createAliasTree(session, "home")
    return true
  } finally {
    await session.close()
  }
}

async function down(context: Context, flags: { dir?: string }): Promise<void> {
  const dir = gridDir(context, flags)
  const mark = (await loadState(dir))?.supervisor
  const wasRunning = await isRunning(mark)
  if (wasRunning) await stopProcess(mark as ProcessMark, stopTimeoutMs)
  context.output(
    { stopped: wasRunning, dir },
    wasRunning
      ? "The local grid is stopped. Its data stays; `holdfast up` starts it again."
      : "No local grid is running.",
  )
}

async function status(context: Context, flags: { dir?: string }): Promise<void> {
  const state = await loadState(gridDir(context, flags))
  const running = await isRunning(state?.supervisor)
  const session = await context.openSession()
  const servers = await Promise.all(
    session.grid.servers.map(async (server, i) => {
      const usage = await session.backends[i]!.usage().catch((error: Error) => error)
      const part = state?.parts.find((candidate) => candidate.name === server.name)
      const up = !(usage instanceof Error)
      return {
        id: server.id,
        name: server.name,
        address: server.address,
        up,
        ...(part?.pid ? { pid: part.pid } : {}),
        ...(up ? { usage } : { error: usage.message }),
      }
    }),
  )
  const text = servers.map((server) => {
    const space =
      "usage" in server && server.usage
        ? `${sizeText(server.usage.usedBytes)} in ${server.usage.shareCount} shares`
        : "not reachable"
    return `  ${server.name.padEnd(8)} ${(server.up ? "up" : "DOWN").padEnd(5)} ${server.address.padEnd(22)} ${space}`
  })
  const { coding, registerMode, name } = session.grid
  const localLine = state
    ? `Local grid: ${running ? "running" : "stopped (holdfast up starts it)"}`
    : "No local grid on this machine"
  context.output(
    { local: state ? { running, parts: state.parts } : null, grid: { name, coding, registerMode }, servers },
    [
      localLine,
      `Grid ${name}: coding ${coding.k}/${coding.happy}/${coding.n}, ${servers.filter((server) => server.up).length} of ${servers.length} servers up`,
      ...text,
    ].join("\n"),
  )
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs
  let last: unknown
  for (;;) {
    try {
      if (await check()) return
    } catch (error) {
      last = error
      if (error instanceof HoldfastError && error.code === "ERR_IO") throw error
    }
    if (Date.now() > deadline)
      throw new HoldfastError(
        "ERR_SERVER_UNREACHABLE",
        `Waited ${readyTimeoutMs / 1000} s for ${what}. Look at the logs beside the grid's data, or run \`holdfast doctor\`.`,
        {},
        { cause: last },
      )
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function startFailed(dir: string): HoldfastError {
  return new HoldfastError(
    "ERR_IO",
    `The local grid did not start. Its log says why: ${gridFiles(dir).log("supervisor")}`,
    { dir },
  )
}
