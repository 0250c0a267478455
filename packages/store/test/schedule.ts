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
  deliver(): Promise<void>
  lose(): void
}

/** Delivers one message after the other; time moves on only when nothing else can happen. */
export class Schedule {
  readonly random: () => number
  readonly clock: Clock
  /** The part of messages, and of answers, that are lost. */
  lossRate = 0
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
    const call = <T>(run: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        const lose = () => reject(new Error(`${backend.id}: no answer`))
        this.#messages.push({
          owner,
          lose,
          deliver: async () => {
            const result = await run()
            // The answer is a message of its own, so that others come between.
            this.#messages.push({ owner, lose, deliver: async () => resolve(result) })
          },
        })
      })
    return {
      ...backend,
      putShares: (shares) => call(() => backend.putShares(shares)),
      getShares: (queries) => call(() => backend.getShares(queries)),
      getBlocks: (queries) => call(() => backend.getBlocks(queries)),
      hasShares: (ids, options) => call(() => backend.hasShares(ids, options)),
      readRegisters: (ids) => call(() => backend.readRegisters(ids)),
      proposeRegisters: (values) => call(() => backend.proposeRegisters(values)),
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
      const [message] = this.#messages.splice(Math.floor(this.random() * count), 1)
      this.delivered++
      const isLost = this.random() < this.lossRate
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

  /** True when client `owner` has crashed. */
  isDead(owner: string): boolean {
    return this.#dead.has(owner)
  }
}
