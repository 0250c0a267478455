/** A local grid of real processes in a temporary folder, and the command as users run it. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { command } from "./command.ts"

/** How a command ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** How a command is run. */
export interface RunOptions {
  readonly input?: string | Uint8Array
  /** Exit code that is right; 0 unless told. `any` takes all. */
  readonly code?: number | "any"
  readonly env?: Readonly<Record<string, string>>
}

/** A running local grid. */
export interface Grid {
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  /** Runs `holdfast` to its end; throws when it ends with another code than the expected. */
  run(args: readonly string[], options?: RunOptions): Promise<Ended>
  /** Runs `holdfast … --json` and gives what it printed. */
  json<T>(args: readonly string[], options?: RunOptions): Promise<T>
  /** Starts `holdfast` without waiting for its end. */
  start(args: readonly string[]): ReturnType<typeof spawn>
  /** Kills a node with SIGKILL; it stays away until `revive`. */
  kill(node: string): Promise<void>
  /** Empties the disk of a killed node. Its identity stays. */
  wipe(node: string): void
  /** Lets killed nodes come back; resolves when each listens. */
  revive(): Promise<void>
  /** Process numbers of its nodes, and of its coordinator and what looks after them all. */
  pids(of: "nodes" | "all"): number[]
  close(): Promise<void>
}

interface State {
  readonly supervisor: { readonly pid: number }
  readonly parts: readonly { readonly name: string; readonly port: number; readonly pid?: number }[]
}

/** Starts a grid, that looks after nothing by itself unless told to. Close it in the end. */
export async function startGrid({ nodes = 5, coding = "3/4/5", isMaintained = false } = {}): Promise<Grid> {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-e2e-"))
  const env = {
    ...process.env,
    XDG_CONFIG_HOME: `${folder}/config`,
    XDG_DATA_HOME: `${folder}/data`,
    XDG_STATE_HOME: `${folder}/state`,
    XDG_CACHE_HOME: `${folder}/cache`,
    ...(!isMaintained && { HOLDFAST_UP_NO_MAINTAIN: "1" }), // what a test breaks stays broken until it mends it
  }
  const gridDir = `${folder}/data/holdfast/grid`
  const state = (): State => JSON.parse(fs.readFileSync(`${gridDir}/supervisor.json`, "utf8"))
  const start = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    spawn(process.execPath, [command, ...args], { env: { ...env, ...more }, stdio: ["pipe", "pipe", "pipe"] })
  const run = async (args: readonly string[], options: RunOptions = {}): Promise<Ended> => {
    const ended = await finish(start(args, options.env), options.input)
    const expected = options.code ?? 0
    if (expected !== "any" && ended.code !== expected)
      throw new Error(`holdfast ${args.join(" ")} ended with ${ended.code}:\n${ended.stdout}\n${ended.stderr}`)
    return ended
  }
  const paused = { isPaused: false }
  const killed = new Set<string>()
  const grid: Grid = {
    folder,
    env,
    run,
    start,
    async json(args, options) {
      return JSON.parse((await run([...args, "--json"], options)).stdout)
    },
    async kill(node) {
      const { supervisor, parts } = state()
      process.kill(supervisor.pid, "SIGSTOP") // else it would start the node again at once
      paused.isPaused = true
      killed.add(node)
      const part = parts.find(({ name }) => name === node)!
      process.kill(part.pid!, "SIGKILL")
      await until(`${node} to end`, async () => !(await isListening(part.port)))
    },
    wipe: (node) => fs.rmSync(`${gridDir}/${node}/data`, { recursive: true, force: true }),
    async revive() {
      const { supervisor, parts } = state()
      process.kill(supervisor.pid, "SIGCONT")
      paused.isPaused = false
      for (const { name, port } of parts)
        if (killed.delete(name)) await until(`${name} to come back`, () => isListening(port))
    },
    pids(of) {
      const { supervisor, parts } = state()
      const wanted = parts.filter(({ name }) => of === "all" || /^n\d/.test(name))
      return [...(of === "all" ? [supervisor.pid] : []), ...wanted.flatMap(({ pid }) => pid ?? [])]
    },
    async close() {
      if (paused.isPaused) process.kill(state().supervisor.pid, "SIGCONT")
      await run(["down"], { code: "any" })
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
  try {
    await run(["up", "--nodes", String(nodes), "--coding", coding])
  } catch (error) {
    await grid.close() // what did start
    throw error
  }
  return grid
}

/** Collects what a process prints until it ends. */
export async function finish(child: ReturnType<typeof spawn>, input: string | Uint8Array = ""): Promise<Ended> {
  const pieces: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] }
  child.stdout!.on("data", (piece: Buffer) => pieces.stdout.push(piece))
  child.stderr!.on("data", (piece: Buffer) => pieces.stderr.push(piece))
  child.stdin!.on("error", () => undefined) // it may end without reading
  child.stdin!.end(input)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  const text = (list: Buffer[]) => Buffer.concat(list).toString("utf8")
  return { code, stdout: text(pieces.stdout), stderr: text(pieces.stderr) }
}

/** Waits for a condition, looking often. Throws after a minute. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited a minute for ${what}`)
    await delay(20)
  }
}

/** True when something listens on a port of this machine. */
export async function isListening(port: number, host = "127.0.0.1"): Promise<boolean> {
  const { connect } = await import("node:net")
  return new Promise((resolve) => {
    const socket = connect(port, host, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })
}
