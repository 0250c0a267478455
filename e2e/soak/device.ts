/** A person's device in a run: the command on one of the machines, each call of it written down. */
import * as fs from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { type Client, createClient } from "../client.ts"
import { finish } from "../grid.ts"
import type { History, Outcome } from "./history.ts"
import type { Machine } from "./network.ts"

/** How a command is called. */
export interface CallOptions {
  readonly input?: string | Uint8Array
  /** Kills it after so long, if it has not ended. */
  readonly killAfterMs?: number
  /** Error codes that are right here besides those of the faults under way. */
  readonly allowed?: readonly string[]
  /** An exit code that is right here: what a check found while nodes are away is no failure of the run. */
  readonly allowedCode?: number
  /** What it is counted as; its first word unless told. */
  readonly kind?: string
}

/** Error codes of faults that the run makes: a node or link that is away, a lost race. */
const transient = [
  ...["ERR_NOT_ENOUGH_SERVERS", "ERR_NOT_ENOUGH_SHARES", "ERR_NO_QUORUM", "ERR_SERVER_UNREACHABLE"],
  ...["ERR_CONFLICT", "ERR_REMOTE"],
]
/** Of a device that is revoked: it is refused, and has no identity between the old one and the new. */
const shutOut = ["ERR_REFUSED", "ERR_NO_GRID"]
/** No command of a run has reason to take so long. */
const hungAfterMs = 180_000

/** A device. */
export class Device {
  readonly name: string
  readonly person: string
  readonly client: Client
  readonly machine: Machine
  #isRevoked = false
  #revocations = 0
  readonly #history: History
  #fetched = 0

  constructor(name: string, person: string, machine: Machine, history: History, moreEnv = {}) {
    this.name = name
    this.person = person
    this.machine = machine
    this.client = createClient({ via: machine.via, moreEnv })
    this.#history = history
  }

  /** While its certificate is revoked, commands may be refused. */
  get isRevoked(): boolean {
    return this.#isRevoked
  }

  set isRevoked(isRevoked: boolean) {
    if (isRevoked) this.#revocations++
    this.#isRevoked = isRevoked
  }

  /** Runs a command to its end. A failure that no fault explains is one of the run. */
  async call(args: readonly string[], options: CallOptions = {}): Promise<Outcome> {
    const { input, killAfterMs, allowed = [], kind = args[0]! } = options
    const started = performance.now()
    const [wasRevoked, revocations] = [this.isRevoked, this.#revocations]
    const child = this.client.start([...args, "--json"])
    let isHung = false
    const timers = [
      setTimeout(() => {
        isHung = true
        child.kill("SIGKILL")
      }, hungAfterMs),
      ...(killAfterMs === undefined ? [] : [setTimeout(() => child.kill("SIGKILL"), killAfterMs)]),
    ]
    const { code, stdout, stderr } = await finish(child, input)
    timers.forEach(clearTimeout)
    const value = parsed(stdout)
    const { code: error, message } = problemOf(value) ?? {}
    const isShutOut = (wasRevoked || this.#revocations > revocations) && error !== undefined && shutOut.includes(error)
    const outcome: Outcome = {
      ...{ isDone: code === 0, isShutOut, code, value, stderr },
      ...(error !== undefined && message !== undefined && { error, message }),
    }
    this.#history.command(this.name, kind, args, outcome, Math.round(performance.now() - started))
    if (isHung) this.#history.fail(`${this.name}: ${args.join(" ")} did not end within ${hungAfterMs / 1000} s`)
    const isExplained =
      code === 0 ||
      code === options.allowedCode ||
      (code === null && killAfterMs !== undefined) ||
      (error !== undefined && [...transient, ...allowed].includes(error)) ||
      isShutOut
    if (!isExplained && !isHung)
      this.#history.fail(`${this.name}: ${args.join(" ")} ended with ${code}: ${error ?? ""} ${message ?? stderr}`)
    return outcome
  }

  /** Runs a command until it is done; faults under way are waited for. Throws when it fails for another reason, or for long. */
  async must(args: readonly string[], options: CallOptions = {}): Promise<unknown> {
    const end = performance.now() + hungAfterMs
    for (;;) {
      const outcome = await this.call(args, options)
      if (outcome.isDone) return outcome.value
      const isTransient = outcome.error !== undefined && transient.includes(outcome.error)
      if ((!isTransient && !outcome.isShutOut) || performance.now() > end)
        throw new Error(
          `${this.name}: ${args.join(" ")} ended with ${outcome.code} (${outcome.error}): ${outcome.stderr}`,
        )
      await delay(200)
    }
  }

  /** Reads a file of this device's home and removes it: secrets go from hand to hand. */
  takeFile(name: string): string {
    const path = `${this.client.folder}/${name}`
    const text = fs.readFileSync(path, "utf8")
    fs.rmSync(path)
    return text
  }

  /** A new name for a local folder to fetch into. */
  nextFolder(): string {
    return `${this.client.folder}/fetched-${this.#fetched++}`
  }

  close(): void {
    this.client.close()
  }
}

/** Why a command failed, or a part of it: `gc` goes on with the other volumes. */
function problemOf(value: unknown): { readonly code?: string; readonly message?: string } | undefined {
  const { error, failed } = (value ?? {}) as { error?: object; failed?: readonly object[] }
  return error ?? (Array.isArray(failed) ? failed[0] : undefined)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // it was killed while it printed
  }
}
