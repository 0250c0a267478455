/** Services of others, started by hand in a folder of their own: ports, waiting, ending. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { once } from "node:events"
import { open } from "node:fs/promises"
import { createServer, type Server } from "node:net"
import { join } from "node:path"

/** Ports of this machine that are free now, and that no outgoing connection is given while who listened there is away. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  while (servers.length < count) {
    const server = createServer().listen(randomInt(20_000, 32_768), "127.0.0.1")
    const isListening = await once(server, "listening").catch(() => undefined)
    if (isListening) servers.push(server)
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Those of `programs` that are not installed here. */
export function missingPrograms(programs: readonly string[]): string[] {
  return programs.filter((program) => spawnSync("which", [program]).status !== 0)
}

/** Daemons that write their logs to `dir`. */
export class Daemons {
  readonly #dir: string
  readonly #env: NodeJS.ProcessEnv
  readonly #running: ChildProcess[] = []

  constructor(dir: string, env: NodeJS.ProcessEnv) {
    this.#dir = dir
    this.#env = env
  }

  async start(
    name: string,
    program: string,
    args: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const log = await open(join(this.#dir, `${name}.log`), "a")
    this.#running.push(spawn(program, args, { env: { ...this.#env, ...more }, stdio: ["ignore", log.fd, log.fd] }))
    await log.close()
  }

  /** Kills them, the last first: what they hold is thrown away with their folder. */
  async stop(): Promise<void> {
    for (const daemon of this.#running.reverse()) {
      if (daemon.exitCode !== null || daemon.signalCode !== null) continue
      const ended = new Promise((resolve) => daemon.once("exit", resolve))
      daemon.kill("SIGKILL")
      await ended
    }
  }
}

/** Tries until it works. */
export async function until(what: string, attempt: () => Promise<unknown>): Promise<void> {
  const end = Date.now() + 90_000
  for (;;)
    try {
      await attempt()
      return
    } catch (cause) {
      if (Date.now() > end) throw new Error(`${what} did not start`, { cause })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
}
