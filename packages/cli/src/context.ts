/** What a command is given: where to write, how the user wants it, and a session with the grid when it asks for one. */
import { createProgress, type Progress } from "./progress.ts"
import type { Session } from "./session.ts"

/** The surroundings of one run of the command. */
export interface Context {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
  /** --json was given. */
  readonly json: boolean
  /** Standard error is a terminal: progress and colours make sense. */
  readonly isTerminal: boolean
  /** Prints a result: `value` with --json, else `text`. */
  output(value: unknown, text: string): void
  /** A progress bar, on a terminal and without --json. */
  progress(label: string, total?: number): Progress
  /** The name of the profile in use. */
  readonly profile: string
  /** Opens the grid that the profile knows; closed at the end of the run. */
  openSession(): Promise<Session>
  close(): Promise<void>
}

/** The context of a real process. */
export function createContext(process: NodeJS.Process, args: readonly string[]): Context {
  const json = args.includes("--json")
  const isTerminal = process.stderr.isTTY === true
  const named = args.indexOf("--profile")
  const profile = (named >= 0 ? args[named + 1] : undefined) ?? process.env["HOLDFAST_PROFILE"] ?? "default"
  let session: Promise<Session> | undefined
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    json,
    isTerminal,
    profile,
    output(value, text) {
      if (json) process.stdout.write(`${JSON.stringify(value, jsonValue)}\n`)
      else if (text !== "") process.stdout.write(text.endsWith("\n") ? text : `${text}\n`)
    },
    progress: (label, total) =>
      createProgress(isTerminal && !json ? process.stderr : undefined, label, total, Date.now),
    async openSession() {
      session ??= import("./session.ts").then((module) => module.openSession(profile, process.env))
      return session
    },
    async close() {
      if (session) await session.then((opened) => opened.close()).catch(() => undefined)
    },
  }
}

/** JSON has no bigint and no bytes: both become text. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString()
  return value
}
