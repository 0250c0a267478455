/** A grid whose coordinator and nodes are processes of the test, so that it can kill and start each at will. */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { command } from "./command.ts"
import { type Ended, finish, isListening, until } from "./grid.ts"
import { freePorts } from "./processes.ts"

/** How a command is run. */
export interface MemberRunOptions {
  readonly code?: number | "any"
  readonly input?: string | Uint8Array
}

/** A running grid, of five nodes with coding 3/4/5 unless told, and one client with the alias `home:`. */
export interface Members {
  readonly folder: string
  /** Names of the nodes. */
  readonly nodes: readonly string[]
  /** Runs `holdfast` as the client. */
  start(args: readonly string[]): ChildProcess
  /** The same, to its end; throws when it does not end with `code`, 0 unless told. */
  run(args: readonly string[], options?: MemberRunOptions): Promise<Ended>
  /** Kills a member with SIGKILL. */
  kill(member: string): Promise<void>
  /** Asks a member to end (SIGTERM) and gives its exit code; null when a signal ended it. */
  end(member: string): Promise<number | null>
  /** Stops a member without ending it (SIGSTOP), or lets it go on (SIGCONT). */
  signal(member: string, signal: "SIGSTOP" | "SIGCONT"): void
  /** Starts a killed member again, with `more` options this time; resolves when it listens, on `port` if they name another. */
  revive(member: string, more?: readonly string[], port?: number): Promise<void>
  /** Prints an invitation into a file and gives its name. */
  invite(name: string, ...options: readonly string[]): Promise<string>
  /** Where a node keeps its shares. */
  dataOf(node: string): string
  /** Ends all processes; `keep` leaves the folder. */
  close(options?: { readonly keep?: boolean }): Promise<void>
}

interface Process {
  readonly args: readonly string[]
  readonly port: number
  readonly env?: Readonly<Record<string, string>>
  child?: ChildProcess
}

/** How members are started. */
export interface MembersOptions {
  /** Address at which they listen. */
  readonly host?: string
  readonly coding?: string
  /** Names of the nodes. */
  readonly nodes?: readonly string[]
  /** Options of a node's invitation. */
  readonly invitation?: (node: string) => readonly string[]
  /** Environment of a node's daemon, such as one with another time of day. */
  readonly nodeEnv?: (node: string) => Readonly<Record<string, string>>
  /** Whether there is a client with the alias `home:`, of the tenant alice. */
  readonly hasClient?: boolean
}

/** Starts the members. Close them in the end. */
export async function startMembers(options: MembersOptions = {}): Promise<Members> {
  const { host = "127.0.0.1", coding = "3/4/5", nodeEnv = () => ({}), hasClient = true } = options
  const { nodes = ["n1", "n2", "n3", "n4", "n5"], invitation = () => [] } = options
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-members-"))
  const env = {
    ...process.env,
    XDG_CONFIG_HOME: `${folder}/config`,
    XDG_DATA_HOME: `${folder}/data`,
    XDG_STATE_HOME: `${folder}/state`,
    XDG_CACHE_HOME: `${folder}/cache`,
  }
  const start = (args: readonly string[]) =>
    spawn(process.execPath, [command, ...args], { env, stdio: ["pipe", "pipe", "pipe"] })
  const run = async (args: readonly string[], { code = 0, input = "" }: MemberRunOptions = {}) => {
    const ended = await finish(start(args), input)
    if (code !== "any" && ended.code !== code)
      throw new Error(`holdfast ${args.join(" ")} ended with ${ended.code}: ${ended.stderr}`)
    return ended
  }
  const processes = new Map<string, Process>()
  const revive = async (member: string, more: readonly string[] = [], port?: number) => {
    const known = processes.get(member)!
    const log = fs.openSync(`${folder}/log`, "a")
    const child = spawn(process.execPath, [command, ...known.args, ...more], {
      env: { ...env, ...known.env },
      stdio: ["ignore", log, log],
    })
    fs.closeSync(log)
    known.child = child
    await until(`${member} to listen`, () => {
      if (child.exitCode !== null) throw new Error(`${member} ended: ${fs.readFileSync(`${folder}/log`, "utf8")}`)
      return isListening(port ?? known.port, host)
    })
  }
  const invite = async (name: string, ...more: readonly string[]) => {
    const file = `${folder}/${name}.invite`
    fs.writeFileSync(file, (await run(["invite", "--dir", `${folder}/coordinator`, ...more])).stdout, { mode: 0o600 })
    return file
  }

  const ports = await freePorts(nodes.length + 1)
  const listen = (port: number) => ["--listen", `${host}:${port}`]
  const coordinatorArgs = ["coordinator", "run", "--dir", `${folder}/coordinator`, ...listen(ports[0]!)]
  processes.set("coordinator", { args: [...coordinatorArgs, "--coding", coding], port: ports[0]! })
  await revive("coordinator")
  for (const [i, name] of nodes.entries()) {
    const identity = `${folder}/${name}/identity`
    const file = await invite(name, "--role", "node", "--name", name, ...invitation(name))
    await run(["join", "--invite-file", file, "--identity", identity, "--name", name, "--server-name", host])
    const port = ports[i + 1]!
    const args = ["node", "run", "--identity", identity, "--dir", `${folder}/${name}/data`, ...listen(port)]
    processes.set(name, { args, port, env: nodeEnv(name) })
    await revive(name)
  }
  if (hasClient) {
    const file = await invite("client", "--role", "client", "--tenant", "alice")
    await run(["join", "--invite-file", file, "--name", "laptop"])
    await run(["alias", "create", "home"])
  }
  return {
    folder,
    nodes,
    start,
    run,
    revive,
    invite,
    signal: (member, signal) => void processes.get(member)!.child!.kill(signal),
    async kill(member) {
      const { child } = processes.get(member)!
      const ended = new Promise((resolve) => child!.once("exit", resolve))
      child!.kill("SIGKILL")
      await ended
    },
    end(member) {
      const { child } = processes.get(member)!
      const ended = new Promise<number | null>((resolve) => child!.once("exit", resolve))
      child!.kill("SIGTERM")
      return ended
    },
    dataOf: (node) => `${folder}/${node}/data`,
    async close({ keep = false } = {}) {
      await Promise.all(
        [...processes.values()].map(async ({ child }) => {
          if (!child || child.exitCode !== null || child.signalCode !== null) return
          const ended = new Promise((resolve) => child.once("exit", resolve))
          child.kill("SIGTERM")
          await ended
        }),
      )
      if (!keep) fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
