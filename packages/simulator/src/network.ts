/**
 * A simulated network: requests and answers are delayed, lost, doubled and overtaken by others. Whoever hears nothing gives
 * up after a while, though the request may still arrive later.
 */
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { DeadProcess } from "./disk.ts"
import type { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"

/** Who calls. */
export interface Caller {
  readonly id: string
  /** Nobody waits for answers any more when this is false, and nothing more is sent. */
  readonly isAlive: boolean
  /** Counts every call. */
  calls: number
  /** More calls than this are too many. */
  most: number
  /** Bytes of requests that wait for their answers, the most of them with one answer, and the largest answer to each kind of call. */
  readonly memory: { bytes: number; most: number; readonly answers: Map<string, number> }
}

/** What a process that has just begun holds. */
export function newMemory(): Caller["memory"] {
  return { bytes: 0, most: 0, answers: new Map() }
}

/** One request. */
export interface Call<T> {
  readonly caller: Caller
  readonly server: string
  /** For the trace. */
  readonly name: string
  /** What the server does each time the request arrives; undefined when nobody listens. May never resolve. */
  readonly serve: () => Promise<T> | undefined
  /** The answer, for the trace. */
  readonly tell?: (result: T) => string
  /** Bytes of the request, and of an answer. */
  readonly bytes?: number
  readonly bytesOf?: (result: T) => number
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

/** What a network is made of. */
export interface NetworkParts {
  readonly time: SimulatedTime
  readonly random: Random
  /** Hears of what should never happen. */
  readonly onBug: (error: unknown) => void
  /** Hears of who calls too often. */
  readonly onExcess: (caller: Caller) => void
}

/** Without an answer for so long, a call fails. */
const timeoutMs = 10_000

/** All links between clients and servers. */
export class SimulatedNetwork {
  readonly #time: SimulatedTime
  readonly #random: Random
  readonly #onBug: (error: unknown) => void
  readonly #onExcess: (caller: Caller) => void
  readonly #cut = new Set<string>()
  /** By server: what resets each request under way. */
  readonly #underWay = new Map<string, Set<() => void>>()
  weather: Weather = { delayMs: 2, loss: 0, duplication: 0 }

  constructor({ time, random, onBug, onExcess }: NetworkParts) {
    this.#time = time
    this.#random = random
    this.#onBug = onBug
    this.#onExcess = onExcess
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

  /** Connections to a server that died are reset; some who wait there hear of it. */
  reset(server: string): void {
    for (const reset of [...(this.#underWay.get(server) ?? [])]) if (this.#random.chance(0.7)) reset()
  }

  /** Sends a request. Fails as serving it does, or with ERR_SERVER_UNREACHABLE. */
  call<T>({ caller, server, name, serve, tell = () => "ok", bytes = 0, bytesOf = () => 0 }: Call<T>): Promise<T> {
    if (!caller.isAlive) return new Promise(() => undefined)
    if (++caller.calls > caller.most) this.#onExcess(caller)
    const underWay = this.#underWay.get(server) ?? new Set()
    this.#underWay.set(server, underWay)
    const { memory } = caller
    memory.bytes += bytes
    memory.most = Math.max(memory.most, memory.bytes)
    let isOver = false
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        underWay.delete(reset)
        if (!isOver) memory.bytes -= bytes
        isOver = true
        if (caller.isAlive) settle()
      }
      const answer = (outcome: string, settle: () => void) => {
        if (this.#isLost(caller.id, server)) return
        this.#time.after(this.#random.delayMs(this.weather.delayMs), () => {
          this.#time.trace(`${server} > ${caller.id} ${name} ${outcome}`)
          finish(settle)
        })
      }
      const fail = (why: string, code: string) => () =>
        reject(new HoldfastError("ERR_SERVER_UNREACHABLE", `${server} ${why}.`, { code }))
      const reset = () => answer("reset", fail("closed the connection", "ECONNRESET"))
      underWay.add(reset)
      const arrive = async () => {
        const work = serve()
        if (!work) return this.#random.chance(0.5) && answer("refused", fail("refuses connections", "ECONNREFUSED"))
        try {
          const result = await work
          answer(tell(result), () => {
            memory.answers.set(name, Math.max(memory.answers.get(name) ?? 0, bytesOf(result)))
            memory.most = Math.max(memory.most, memory.bytes + bytesOf(result))
            resolve(result)
          })
        } catch (error) {
          if (isHoldfastError(error)) answer(error.code, () => reject(error))
          else if (!(error instanceof DeadProcess)) this.#onBug(error)
        }
      }
      this.#time.after(timeoutMs, () => finish(fail("does not answer", "ETIMEDOUT")))
      this.#send(caller.id, server, () => void arrive())
    })
  }

  #send(client: string, server: string, arrive: () => void): void {
    const copies = this.#random.chance(this.weather.duplication) ? 2 : 1
    for (let copy = 0; copy < copies; copy++)
      if (!this.#isLost(client, server))
        this.#time.after(this.#random.delayMs(this.weather.delayMs * (1 + 9 * copy)), arrive)
  }

  #isLost(client: string, server: string): boolean {
    return this.#cut.has(`${client} ${server}`) || this.#random.chance(this.weather.loss)
  }
}
