/**
 * Counts round trips one after another: over places each of whose answers takes the same simulated time, what some work takes is a
 * number of them. Time stands still while anything can happen without it, so the count does not depend on the machine.
 */
import type { CryptoProvider, Env } from "@holdfast/core"
import { type Backend, wrapBackend } from "@holdfast/protocol"
import { VirtualClock } from "./virtual-clock.ts"

/** What some work asked of places. */
export interface Counted<T> {
  readonly value: T
  /** Round trips that had to follow each other: the longest chain. */
  readonly trips: number
  /** What went out at each of these moments, such as `putShares to 5`; what nobody waited for is among them too. */
  readonly chain: readonly string[]
  /** Ids of the places that were asked anything. */
  readonly servers: ReadonlySet<string>
}

interface Sent {
  readonly name: string
  readonly server: string
  readonly startMs: number
}

/** Of one answer; less than after what a slow place is gone around. */
const tripMs = 100

/** A clock, and places that are so far away. */
export class TripCounter {
  readonly env: Env
  readonly #clock = new VirtualClock()
  #sent: Sent[] = []

  constructor(crypto: CryptoProvider) {
    this.env = { clock: this.#clock, crypto }
  }

  /** The same place, a round trip away. */
  away(backend: Backend): Backend {
    return wrapBackend(backend, async ({ name, send }) => {
      this.#sent.push({ name, server: backend.id, startMs: this.#clock.nowMs() })
      await this.#clock.sleep(tripMs / 2)
      const answer = await send().then(
        (value) => () => value,
        (error: unknown) => () => {
          throw error
        },
      )
      await this.#clock.sleep(tripMs / 2)
      return answer()
    })
  }

  /** Does the work, which must not wait for anything else than places, the clock and cryptography. */
  async count<T>(work: () => Promise<T>): Promise<Counted<T>> {
    this.#sent = []
    const startMs = this.#clock.nowMs()
    let endMs = startMs
    const value = await this.#clock.until(
      work().finally(() => {
        endMs = this.#clock.nowMs()
      }),
    )
    const sent = this.#sent.filter((one) => one.startMs < endMs)
    const moments = Map.groupBy(sent, (one) => one.startMs)
    const chain = [...moments.values()].map((together) =>
      [...Map.groupBy(together, ({ name }) => name)]
        .map(([name, calls]) => `${name} to ${new Set(calls.map(({ server }) => server)).size}`)
        .sort()
        .join(", "),
    )
    const servers = new Set(sent.map(({ server }) => server))
    return { value, trips: (endMs - startMs) / tripMs, chain, servers }
  }

  /** Lets so much time pass, and gives how many requests went out meanwhile. */
  async idle(ms: number): Promise<number> {
    this.#sent = []
    await this.#clock.pass(ms)
    return this.#sent.length
  }
}
