/** The built command as one user runs it, with a home of its own and no grid. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { command } from "./command.ts"
import { type Ended, finish, type RunOptions } from "./grid.ts"

/** A user's home and command. */
export interface Client {
  readonly folder: string
  readonly env: NodeJS.ProcessEnv
  /** Starts `holdfast` without waiting for its end. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): ReturnType<typeof spawn>
  /** Runs `holdfast` to its end; throws when it ends with another code than the expected. */
  run(args: readonly string[], options?: RunOptions): Promise<Ended>
  /** Runs `holdfast … --json` and gives what it printed. */
  json<T>(args: readonly string[], options?: RunOptions): Promise<T>
  close(): void
}

/** On which machine a user sits. */
export interface ClientOptions {
  /** What each command line begins with, such as what enters a network namespace. */
  readonly via?: readonly string[]
  /** Environment of all commands, such as one with another time of day. */
  readonly moreEnv?: Readonly<Record<string, string>>
}

/** Makes an empty home. */
export function createClient({ via = [], moreEnv = {} }: ClientOptions = {}): Client {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-client-"))
  const xdg = Object.fromEntries(
    ["CONFIG", "DATA", "STATE", "CACHE"].map((name) => [`XDG_${name}_HOME`, `${folder}/${name.toLowerCase()}`]),
  )
  const env = { ...process.env, HOME: folder, ...xdg, ...moreEnv }
  const [program = process.execPath, ...before] = [...via, process.execPath, command]
  const client: Client = {
    folder,
    env,
    start: (args, more = {}) =>
      spawn(program, [...before, ...args], {
        cwd: folder,
        env: { ...env, ...more },
        stdio: ["pipe", "pipe", "pipe"],
      }),
    async run(args, { input, code = 0, env: more } = {}) {
      const ended = await finish(client.start(args, more), input)
      if (code !== "any" && ended.code !== code)
        throw new Error(`holdfast ${args.join(" ")} ended with ${ended.code}:\n${ended.stdout}\n${ended.stderr}`)
      return ended
    },
    json: async (args, options) => JSON.parse((await client.run([...args, "--json"], options)).stdout),
    close: () => fs.rmSync(folder, { recursive: true, force: true }),
  }
  return client
}
