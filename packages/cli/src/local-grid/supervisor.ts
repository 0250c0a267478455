/**
 * Keeps a local grid running: the coordinator and each node as a process of its own, started again after a crash with
 * growing pauses; makes the nodes' identities at the first start.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { open } from "node:fs/promises"
import { isListening, markOf } from "@holdfast/client/profile"
import { createInvite } from "@holdfast/coordinator"
import { writeSecretFile } from "@holdfast/core/node"
import { join as joinGrid } from "@holdfast/network"
import { withoutDefaults } from "../defaults.ts"
import { coordinatorAddress, everyNode, gridFiles, type LocalGridConfig, type LocalGridFiles } from "./config.ts"
import { type GridMaintenance, stopLeftovers } from "./state.ts"

/** What a part of the grid is doing. */
export interface PartState {
  readonly name: string
  readonly port: number
  pid: number | undefined
  /** The start tick of the process, so that a reused pid is not taken for it. */
  started?: string
  /** Times it was started again after it ended by itself. */
  restarts: number
}

/** A running supervisor. */
export interface Supervisor {
  readonly parts: readonly PartState[]
  /** Tells other processes where the status page is. */
  announcePage(port: number): Promise<void>
  /** Tells them what is looked after beside the grid. */
  announceMaintenance(maintenance: GridMaintenance): Promise<void>
  /** Ends all parts gracefully. */
  stop(): Promise<void>
}

const firstPauseMs = 200
const longestPauseMs = 30_000
const stopGraceMs = 15_000

/** Starts every part; resolves when all were started once. */
export async function superviseGrid(
  dir: string,
  config: LocalGridConfig,
  command: readonly string[],
): Promise<Supervisor> {
  const files = gridFiles(dir)
  await stopLeftovers(dir) // of a supervisor that was killed: they hold the ports
  const lanes: Lane[] = []
  const start = (name: string, port: number, args: readonly string[]) => {
    const lane = new Lane({ name, port, pid: undefined, restarts: 0 }, [...command, ...args], files)
    lanes.push(lane)
    return lane.start()
  }
  const stop = async () => void (await Promise.all(lanes.map((lane) => lane.stop())))
  try {
    await startParts(config, files, start)
  } catch (error) {
    await stop() // else the parts that did start would keep this process, and its caller waiting
    throw error
  }
  let statusPort: number | undefined
  let maintenance: GridMaintenance | undefined
  const record = async () => {
    const parts = lanes.map((lane) => lane.part)
    const supervisor = await markOf(process.pid)
    await writeSecretFile(files.supervisor, `${JSON.stringify({ supervisor, statusPort, maintenance, parts })}\n`)
  }
  // One after another, so that the last state is the one that stays.
  let recorded = record()
  const recordNext = () => {
    recorded = recorded.then(record).catch(() => undefined)
  }
  for (const lane of lanes) lane.onChange = recordNext
  await recorded
  return {
    parts: lanes.map((lane) => lane.part),
    async announcePage(port) {
      statusPort = port
      recordNext()
      await recorded
    },
    async announceMaintenance(now) {
      maintenance = now
      recordNext()
      await recorded
    },
    async stop() {
      await stop()
      recordNext()
      await recorded
    },
  }
}

/** The coordinator first, then each node, which joins before its first start. */
async function startParts(
  config: LocalGridConfig,
  files: LocalGridFiles,
  start: (name: string, port: number, args: readonly string[]) => Promise<void>,
): Promise<void> {
  const { k, happy, n } = config.coding
  const address = coordinatorAddress(config)
  await start("coordinator", config.coordinatorPort, [
    ...["coordinator", "run", "--dir", files.coordinatorDir, "--listen", address],
    ...["--coding", `${k}/${happy}/${n}`, "--register-mode", "crash", "--name", "local"],
  ])
  await waitForPort(config.coordinatorPort)
  for (const { name, port } of everyNode(config)) {
    if (!existsSync(files.nodeIdentity(name))) {
      // The address is given: the coordinator notes its own only a moment after it listens.
      const witness = name === config.witness?.name
      const options = { address, name, witness, ttlSeconds: 600 }
      const invite = await createInvite({ dir: files.coordinatorDir, role: "node", ...options })
      await joinGrid(invite, { dir: files.nodeIdentity(name), name, serverNames: ["127.0.0.1", "localhost"] })
    }
    await start(name, port, [
      ...["node", "run", "--identity", files.nodeIdentity(name), "--dir", files.nodeData(name)],
      ...["--listen", `127.0.0.1:${port}`],
    ])
  }
}

class Lane {
  readonly part: PartState
  onChange: () => void = () => undefined
  readonly #command: readonly string[]
  readonly #files: LocalGridFiles
  #child: ChildProcess | undefined
  #stopping = false
  #pauseMs = firstPauseMs
  #restart: NodeJS.Timeout | undefined

  constructor(part: PartState, command: readonly string[], files: LocalGridFiles) {
    this.part = part
    this.#command = command
    this.#files = files
  }

  async start(): Promise<void> {
    if (this.#stopping) return
    const log = await open(this.#files.log(this.part.name), "a", 0o600)
    if (this.#stopping) return log.close()
    const [program, ...args] = this.#command
    const child = spawn(program!, args, {
      stdio: ["ignore", log.fd, log.fd],
      env: withoutDefaults(process.env),
    })
    this.#child = child
    this.part.pid = child.pid
    child.once("spawn", () => void log.close())
    child.once("exit", () => this.#ended(Date.now()))
    child.once("error", () => void log.close())
    if (child.pid !== undefined) this.part.started = (await markOf(child.pid))?.started ?? ""
    this.onChange()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#restart)
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGTERM")
    const hard = setTimeout(() => child.kill("SIGKILL"), stopGraceMs)
    await ended
    clearTimeout(hard)
  }

  #ended(atMs: number): void {
    this.part.pid = undefined
    if (this.#stopping) return
    this.part.restarts++
    this.onChange()
    this.#restart = setTimeout(() => void this.start(), this.#pauseMs)
    this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 2)
    // A part that then runs for a minute has earned a quick start next time.
    setTimeout(() => {
      if (this.part.pid !== undefined && Date.now() - atMs > 60_000) this.#pauseMs = firstPauseMs
    }, 61_000).unref()
  }
}

/** Resolves when something listens on the port; the coordinator's first start makes keys. */
async function waitForPort(port: number): Promise<void> {
  for (let attempt = 0; attempt < 300 && !(await isListening(port)); attempt++)
    await new Promise((resolve) => setTimeout(resolve, 100))
}
