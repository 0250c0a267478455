/**
 * A simulated network: each call of a backend becomes a request and an answer, which are delayed, lost, doubled and
 * overtaken by others. Whoever hears nothing gives up after a while, though the request may still arrive later.
 */
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"
import { DeadProcess } from "./disk.ts"
import type { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"

/** What a server does with a request; undefined while it is down. */
export interface NetworkServer {
  readonly id: string
  readonly backend: Backend | undefined
}

/** Who calls. */
export interface Caller {
  readonly id: string
  /** Nobody waits for answers any more when this is false, and nothing more is sent. */
  readonly isAlive: boolean
  /** Counts every call. */
  calls: number
}

/** How bad the network is. */
export interface Weather {
  /** Typical time of a message. */
  delayMs: number
  /** Chance that a message is lost. */
  loss: number
  /** Chance that a request arrives twice. */
  duplication: number
}

/** Without an answer for so long, a call fails. */
const timeoutMs = 10_000

const calls = [
  "putShares",
  "getShares",
  "hasShares",
  "listShares",
  "removeShares",
  "readRegisters",
  "proposeRegisters",
  "usage",
] as const

/** All links between clients and servers. */
export class SimulatedNetwork {
  readonly #time: SimulatedTime
  readonly #random: Random
  readonly #onBug: (error: unknown) => void
  readonly #cut = new Set<string>()
  weather: Weather = { delayMs: 2, loss: 0, duplication: 0 }

  constructor(time: SimulatedTime, random: Random, onBug: (error: unknown) => void) {
    this.#time = time
    this.#random = random
    this.#onBug = onBug
  }

  /** Cuts the link between two, or mends it. */
  setCut(client: string, server: string, isCut: boolean): void {
    if (isCut) this.#cut.add(`${client} ${server}`)
    else this.#cut.delete(`${client} ${server}`)
  }

  /** Mends all links. */
  mend(): void {
    this.#cut.clear()
  }

  /** The backend by which `caller` reaches `server`. */
  connect(caller: Caller, server: NetworkServer): Backend {
    const methods = Object.fromEntries(
      calls.map((name) => [name, (...args: unknown[]) => this.#call(caller, server, name, args)]),
    )
    return { ...methods, id: server.id, close: async () => undefined } as unknown as Backend
  }

  #call(caller: Caller, server: NetworkServer, name: (typeof calls)[number], args: readonly unknown[]) {
    if (!caller.isAlive) return new Promise(() => undefined)
    caller.calls++
    const request = structuredClone(args)
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        if (caller.isAlive) settle()
      }
      const unreachable = (why: string) =>
        finish(() => reject(new HoldfastError("ERR_SERVER_UNREACHABLE", `${server.id} ${why}.`)))
      this.#time.after(timeoutMs, () => unreachable("does not answer"))
      const answer = (outcome: string, settle: () => void) => {
        if (this.#isLost(caller.id, server.id)) return
        this.#time.after(this.#random.delayMs(this.weather.delayMs), () => {
          this.#time.trace(`${server.id} > ${caller.id} ${name} ${outcome}`)
          finish(settle)
        })
      }
      const arrive = async () => {
        const { backend } = server
        if (!backend) {
          if (this.#random.chance(0.5)) answer("refused", () => unreachable("refused the connection"))
          return
        }
        try {
          const method = backend[name] as (...args: unknown[]) => Promise<unknown>
          const result = structuredClone(await method(...structuredClone(request)))
          if (server.backend === backend) answer("ok", () => resolve(result))
        } catch (error) {
          if (server.backend === backend) this.#failed(error, (failure) => answer(failure.code, () => reject(failure)))
        }
      }
      const copies = this.#random.chance(this.weather.duplication) ? 2 : 1
      for (let copy = 0; copy < copies; copy++)
        if (!this.#isLost(caller.id, server.id))
          this.#time.after(this.#random.delayMs(this.weather.delayMs * (1 + 9 * copy)), () => void arrive())
    })
  }

  /** As the service of a node: what it cannot name is an error of the other side. */
  #failed(error: unknown, tell: (failure: HoldfastError) => void): void {
    if (error instanceof DeadProcess) return
    if (isHoldfastError(error)) {
      tell(error)
      return
    }
    const { code, errcode } = error as { code?: unknown; errcode?: unknown }
    if (typeof code !== "string" && errcode === undefined) this.#onBug(error)
    tell(
      new HoldfastError("ERR_REMOTE", `The server failed: ${error instanceof Error ? error.message : String(error)}`),
    )
  }

  #isLost(client: string, server: string): boolean {
    return this.#cut.has(`${client} ${server}`) || this.#random.chance(this.weather.loss)
  }
}
