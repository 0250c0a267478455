/** The version that a command read last, for its commit to go on from. */
import type { Clock } from "@holdfast/core"
import type { Current } from "./races.ts"

/** A version that was read longer ago, by this client's clock, is asked for anew before a commit: by then others may have gone on. */
const goesOnForMs = 30_000

/** Keeps one version, for one commit. */
export class LastRead {
  readonly #clock: Clock
  #version: { readonly current: Current; readonly readMs: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Notes what was read now. */
  keep(current: Current): void {
    this.#version = { current, readMs: this.#clock.nowMs() }
  }

  /** What a commit goes on from; undefined when nothing was read lately, or since the last commit. */
  take(): Current | undefined {
    const version = this.#version
    this.#version = undefined
    if (!version || Math.abs(this.#clock.nowMs() - version.readMs) > goesOnForMs) return undefined
    return version.current
  }
}
