/** Messages between clients and servers delivered in an order that a seed chooses, with losses and simulated time. */
import type { Clock } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"

/** A small generator of numbers from 0 to 1, the same for each seed. */
export function randomOf(seed: number): () => number {
  let state = (seed * 2654435761 + 1) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    const mixed = Math.imul(state ^ (state >>> 15), 2246822519) >>> 0
    return ((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 32
  }
}

interface Message {
  readonly owner: string
  /** Not before so many messages were delivered, while there are others. */
  readonly due: number
  readonly lossRate: number
  deliver(): Promise<void>
  lose(): void
}

/** Delivers one message after the other; time moves on only when nothing else can happen. */
export class Schedule {
  readonly random: () => number
  readonly clock: Clock
  /** The part of messages, and of answers, that are lost. */
  lossRate = 0
  /** The part of calls of a method that take as long as many others together. */
  slowRates: Partial<Record<keyof Backend, number>> = {}
  /** The part of calls of a method that are lost, where that is not `lossRate`. */
  lossRates: Partial<Record<keyof Backend, number>> = {}
  delivered = 0
  #nowMs = 0
  #messages: Message[] = []
  #sleepers: { readonly untilMs: number; wake(): void }[] = []
  readonly #dead = new Set<string>()

  constructor(seed: number) {
    this.random = randomOf(seed)
    this.clock = {
      nowMs: () => this.#nowMs,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const sleeper = { untilMs: this.#nowMs + ms, wake: resolve }
          this.#sleepers.push(sleeper)
          signal?.addEventListener("abort", () => {
            this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
            reject(signal.reason)
          })
        }),
    }
  }

  /** `backend` as client `owner` reaches it: each call waits to be chosen; of a lost one nobody knows if it came through. */
  reach(backend: Backend, owner: string): Backend {
    const call = <T>(method: keyof Backend, run: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        const lose = () => reject(new Error(`${backend.id}: no answer`))
        this.#messages.push({
          ...{ owner, lose, due: this.#due(method), lossRate: this.lossRates[method] ?? this.lossRate },
          deliver: async () => {
            // The answer is a message of its own, so that others come between.
            const answer = await run().then(
              (result) => () => resolve(result),
              (error) => () => reject(error),
            )
            this.#messages.push({ owner, lose, due: 0, lossRate: this.lossRate, deliver: async () => answer() })
          },
        })
      })
    return {
      ...backend,
      putShares: (shares, options) => call("putShares", () => backend.putShares(shares, options)),
      markShares: (ids, options) => call("markShares", () => backend.markShares(ids, options)),
      getShares: (queries) => call("getShares", () => backend.getShares(queries)),
      getBlocks: (queries) => call("getBlocks", () => backend.getBlocks(queries)),
      hasShares: (ids, options) => call("hasShares", () => backend.hasShares(ids, options)),
      listMarks: (options) => call("listMarks", () => backend.listMarks(options)),
      listRegisters: (options) => call("listRegisters", () => backend.listRegisters(options)),
      collectToken: () => call("collectToken", () => backend.collectToken()),
      unmark: (order) => call("unmark", () => backend.unmark(order)),
      keptValues: (id, options) => call("keptValues", () => backend.keptValues(id, options)),
      readRegisters: (ids) => call("readRegisters", () => backend.readRegisters(ids)),
      proposeRegisters: (values, options) => call("proposeRegisters", () => backend.proposeRegisters(values, options)),
    }
  }

  /** `owner` stops for ever: what it sent may still come through, but it never hears of it. */
  crash(owner: string): void {
    this.#dead.add(owner)
  }

  /** Runs until `work` is done. Throws when it waits for nothing, so that a test cannot hang. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const watched = work.finally(() => {
      isDone = true
    })
    watched.catch(() => undefined)
    for (;;) {
      for (let turn = 0; turn < 3 && !isDone; turn++) await new Promise(setImmediate)
      if (isDone) return watched
      await this.#step()
    }
  }

  async #step(): Promise<void> {
    const count = this.#messages.length
    if (count > 0) {
      const due = [...this.#messages.keys()].filter((i) => this.#messages[i]!.due <= this.delivered)
      const chosen = this.random()
      const position = due.length > 0 ? due[Math.floor(chosen * due.length)]! : Math.floor(chosen * count)
      const [message] = this.#messages.splice(position, 1)
      this.delivered++
      const isLost = this.random() < message!.lossRate
      if (isLost) message!.lose()
      else await message!.deliver()
      return
    }
    const next = this.#sleepers.toSorted((a, b) => a.untilMs - b.untilMs)[0]
    if (!next) throw new Error("the schedule has nothing left to do, and somebody still waits")
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next)
    this.#nowMs = Math.max(this.#nowMs, next.untilMs)
    next.wake()
  }

  #due(method: keyof Backend): number {
    const rate = this.slowRates[method]
    return rate && this.random() < rate ? this.delivered + Math.floor(this.random() * 600) : 0
  }

  /** True when client `owner` has crashed. */
  isDead(owner: string): boolean {
    return this.#dead.has(owner)
  }
}
