/** `holdfast up`, `down` and `status`: a whole grid on this machine, and a client for it. */
import { spawn } from "node:child_process"
import { open } from "node:fs/promises"
import { join, resolve } from "node:path"
import { createAliasTree } from "@holdfast/client/account"
import {
  createProfile,
  isListening,
  isLocked,
  isRunning,
  pathsOf,
  profileDir,
  stopProcess,
} from "@holdfast/client/profile"
import { survivalOf } from "@holdfast/client/volumes"
import { createInvite, readDescription } from "@holdfast/coordinator"
import { HoldfastError } from "@holdfast/core"
import { makePrivateFolder } from "@holdfast/core/node"
import { confirmServers, fetchGrid, join as joinGrid, loadGrid } from "@holdfast/network"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { withoutDefaults } from "../../defaults.ts"
import {
  coordinatorAddress,
  everyNode,
  gridFiles,
  type LocalGridConfig,
  loadConfig,
  makeConfig,
  parseCoding,
} from "../../local-grid/config.ts"
import { ownerOfPort } from "../../local-grid/port-owner.ts"
import { loadState, stopLeftovers } from "../../local-grid/state.ts"
import { ownCommand } from "../../own-command.ts"
import { showStatus } from "./status.ts"
import { lackReason } from "./volume-witness.ts"

const readyTimeoutMs = 60_000
const stopTimeoutMs = 30_000

interface UpFlags {
  readonly nodes?: string
  readonly coding?: string
  readonly witness?: boolean
  readonly dir?: string
  readonly maintain?: boolean
}

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  program
    .command("up")
    .description("start a local grid of separate node processes and make a client for it (alias home:)")
    .option("--nodes <count>", "storage nodes (default: 5)")
    .option(
      "--coding <k/happy/n>",
      "any K of N shares restore; HAPPY distinct nodes must take a put (default 3/4/5, less with fewer nodes)",
    )
    .option("--witness", "one more node, which keeps roots of trees and no data: with it, two nodes survive one lost")
    .option("--dir <folder>", "where the grid keeps its data")
    .option("--no-maintain", "do not look after the profile's trees while the grid runs")
    .addHelpText(
      "after",
      "\nExamples:\n  holdfast up\n  holdfast up --nodes 7 --coding 4/6/7\n  holdfast up --nodes 2 --witness\n",
    )
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
    .addHelpText("after", "\nExamples:\n  holdfast status\n  holdfast status --json\n")
    .action((flags: { dir?: string }) => showStatus(context, gridDir(context, flags)))
}

async function up(context: Context, flags: UpFlags): Promise<void> {
  const dir = gridDir(context, flags)
  const config = await configOf(dir, flags)
  await refuseOtherGrid(context, dir, config)
  const state = await loadState(dir)
  if (await isRunning(state?.supervisor)) {
    if (flags.maintain === false && state?.maintenance)
      context.warn("The grid runs already, and looks after the trees: `down` first, then `up --no-maintain`.")
  } else {
    await stopLeftovers(dir) // of a supervisor that was killed: they hold the ports
    await refuseTakenPorts(dir, config)
    await startSupervisor(context, dir, flags.maintain === false)
  }
  const locked = isLocked(profileDir(pathsOf(context.env), context.profile))
  const made = locked ? false : await prepareClient(context, dir, config)
  if (locked) await waitForPorts(config)
  const page = `http://127.0.0.1:${(await loadState(dir))?.statusPort ?? config.statusPort}/`
  const { k, n } = config.coding
  context.output(
    {
      dir,
      nodes: config.nodes.length,
      ...(config.witness && { witness: config.witness.name }),
      coding: config.coding,
      statusPage: page,
      profile: context.profile,
      locked,
      newTree: made,
    },
    [
      `The grid runs: ${config.nodes.length} nodes${config.witness ? ` and the witness ${config.witness.name}` : ""}, any ${k} of ${n} shares restore a file. Status page: ${page}`,
      ...twoNodesNotes(config),
      ...(locked ? [`The profile "${context.profile}" is locked: commands ask for its passphrase.`] : []),
      "",
      "Now type, for example:",
      ...nextSteps(commandName(context.env)),
    ],
  )
}

function gridDir(context: Context, flags: { dir?: string }): string {
  return flags.dir === undefined ? join(pathsOf(context.env).data, "grid") : resolve(flags.dir)
}

/** How the command is called here: npm and npx leave their mark, and there `holdfast` alone is not found. */
function commandName(env: NodeJS.ProcessEnv): string {
  return env["npm_command"] === undefined ? "holdfast" : "npx holdfast"
}

function nextSteps(command: string): string[] {
  const steps = [
    ["put README.md home:", "store a file, encrypted and spread over the nodes"],
    ["ls -l home:", "list"],
    ["cat home:README.md", "read it back"],
    ["status", "see the nodes"],
    ["down", "stop them; the data stays"],
  ] as const
  return steps.map(([words, what]) => `  ${`${command} ${words}`.padEnd(34)} ${what}`)
}

/** The settings of the grid in `dir`, made now if it is new. They cannot be changed later. */
async function configOf(dir: string, flags: UpFlags): Promise<LocalGridConfig> {
  const config = await loadConfig(dir)
  if (!config) return newConfig(dir, flags)
  const { k, happy, n } = config.coding
  const isOther =
    (flags.nodes !== undefined && Number(flags.nodes) !== config.nodes.length) ||
    (flags.witness === true && config.witness === undefined) ||
    (flags.coding !== undefined && flags.coding !== `${k}/${happy}/${n}`)
  if (isOther)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `The grid in ${dir} has ${config.nodes.length} nodes${config.witness ? ", a witness" : ""} and coding ${k}/${happy}/${n}, which stay. ` +
        "Start it without --nodes, --coding and --witness, or make another one with --dir and --profile.",
    )
  return config
}

/** A profile belongs to one grid. */
async function refuseOtherGrid(context: Context, dir: string, config: LocalGridConfig): Promise<void> {
  const identityDir = join(profileDir(pathsOf(context.env), context.profile), "identity")
  const known = await loadGrid(identityDir).catch(() => undefined)
  if (!known || known.coordinator === coordinatorAddress(config)) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `The profile "${context.profile}" belongs to the grid at ${known.coordinator}, not to the one in ${dir}. ` +
      "Name another profile: --profile NAME.",
  )
}

/** Joins the grid as a client, waits for its nodes, makes `home:`. True when that was made now. */
async function prepareClient(context: Context, dir: string, config: LocalGridConfig): Promise<boolean> {
  await waitForNodes(dir, config)
  const isNew = await joinAsClient(context, dir)
  await waitForServers(context, config)
  // They were started here a moment ago, so the user knows them all.
  if (isNew) await confirmServers(join(profileDir(pathsOf(context.env), context.profile), "identity"))
  return ensureHome(context)
}

async function newConfig(dir: string, flags: UpFlags): Promise<LocalGridConfig> {
  const count = Number(flags.nodes ?? 5)
  if (!Number.isInteger(count) || count < 1 || count > 64)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `--nodes takes a number from 1 to 64, not "${flags.nodes}".`)
  const { witness = false } = flags
  const coding = parseCoding(flags.coding ?? (count >= 5 ? "3/4/5" : defaultCoding(count, witness)), count)
  const shape = { coding, registerMode: "crash" } as const
  if (witness && survivalOf(shape, count + 1).lost === survivalOf(shape, count).lost)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "A witness would help nothing: as many of these nodes may be lost without it. It helps two nodes, with a coding such as 1/1/2.",
    )
  return makeConfig(dir, { nodes: count, coding, witness })
}

/** Says why two nodes alone survive nothing. */
function twoNodesNotes({ nodes, witness }: LocalGridConfig): string[] {
  if (nodes.length !== 2 || witness) return []
  return [
    "It does NOT survive the loss of either node, nor works while one is away.",
    ...lackReason("nodes"),
    "For a grid with one: holdfast up --nodes 2 --witness, with --dir FOLDER --profile NAME beside this one.",
  ]
}

/** Survives one lost node where that is possible; two with a witness go on while one is away. */
function defaultCoding(count: number, witness: boolean): string {
  if (count === 2 && witness) return "1/1/2"
  return count === 1 ? "1/1/1" : `${count - 1}/${count}/${count}`
}

/** Says at once what a part that cannot listen would only write into its log, again and again. */
async function refuseTakenPorts(dir: string, config: LocalGridConfig): Promise<void> {
  const parts = [{ name: "coordinator", port: config.coordinatorPort }, ...everyNode(config)]
  const taken: string[] = []
  for (const { name, port } of parts) {
    if (!(await isListening(port))) continue
    const owner = await ownerOfPort(port)
    const who = owner ? `process ${owner.pid} (${owner.name})` : "another user's process"
    taken.push(`port ${port} of ${name} is taken by ${who}`)
  }
  if (taken.length === 0) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `The local grid cannot start: ${taken.join("; ")}. Stop that, or make another grid with other ports: --dir FOLDER --profile NAME. The settings are in ${dir}.`,
    { taken },
  )
}

async function startSupervisor(context: Context, dir: string, isUnmaintained: boolean): Promise<void> {
  makePrivateFolder(join(dir, "log"))
  const log = await open(gridFiles(dir).log("supervisor"), "a", 0o600)
  const words = ["supervise", "--dir", dir, "--profile", context.profile, ...(isUnmaintained ? ["--no-maintain"] : [])]
  const [program, ...before] = ownCommand()
  const child = spawn(program, [...before, ...words], {
    detached: true,
    stdio: ["ignore", log.fd, log.fd],
    env: withoutDefaults(context.env),
  })
  child.unref()
  await log.close()
  let ended = false
  child.once("exit", () => {
    ended = true
  })
  await until("the local grid to start", async () => {
    if (ended) throw startFailed(dir)
    const state = await loadState(dir)
    return state?.supervisor.pid === child.pid && state?.statusPort !== undefined
  })
}

/** True when it joined now. */
async function joinAsClient(context: Context, dir: string): Promise<boolean> {
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
  return known === undefined
}

/**
 * A client that joined while nodes still come would be asked about more servers of registers, where one node is a quorum at first: with
 * HAPPY 1. So all of them come first.
 */
async function waitForNodes(dir: string, config: LocalGridConfig): Promise<void> {
  await until("all nodes to announce themselves", async () => {
    const grid = readDescription({ dir: gridFiles(dir).coordinatorDir })
    return (grid?.servers.length ?? 0) >= everyNode(config).length
  })
}

async function waitForServers(context: Context, config: LocalGridConfig): Promise<void> {
  const identityDir = join(pathsOf(context.env).config, "profiles", context.profile, "identity")
  await until("the description with all nodes", async () => {
    const { grid } = await fetchGrid(identityDir)
    return grid.servers.length >= everyNode(config).length
  })
  await waitForPorts(config)
}

async function waitForPorts(config: LocalGridConfig): Promise<void> {
  const ports = [config.coordinatorPort, ...everyNode(config).map(({ port }) => port)]
  await until("all parts of the grid to listen", async () =>
    (await Promise.all(ports.map((port) => isListening(port)))).every(Boolean),
  )
}

/** Makes the tree `home:` unless it exists. True when it was made now. */
async function ensureHome(context: Context): Promise<boolean> {
  const session = await context.openSession()
  if (session.profile.aliases.has("home")) return false
  await createAliasTree(session, "home")
  return true
}

async function down(context: Context, flags: { dir?: string }): Promise<void> {
  const dir = gridDir(context, flags)
  const state = await loadState(dir)
  const wasRunning = await isRunning(state?.supervisor)
  if (state && wasRunning) await stopProcess(state.supervisor, stopTimeoutMs)
  const left = await stopLeftovers(dir)
  const stopped = wasRunning || left > 0
  context.output(
    { stopped, dir },
    stopped
      ? `The local grid is stopped. Its data stays; \`${commandName(context.env)} up\` starts it again.`
      : "No local grid is running.",
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
