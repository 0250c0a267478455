/** The version of a tree that was read or written last: most often it still is the newest. */
import { type Clock, equal } from "@holdfast/core"
import type { Current } from "./races.ts"
import { encodeRoot, type RootContent } from "./root.ts"

/** What was read longer ago is not tried, by this client's clock: its nodes may be there no more. */
const triedForMs = 600_000

/** Keeps one version. */
export class LastKnown {
  readonly #clock: Clock
  #version: { readonly content: RootContent; readonly sinceMs: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Notes what is the newest now. */
  keep(content: RootContent): void {
    this.#version = { content, sinceMs: this.#clock.nowMs() }
  }

  /** Where writers raced no version is worth a try. */
  forget(): void {
    this.#version = undefined
  }

  /** What is worth a try. */
  get(): RootContent | undefined {
    if (!this.#version || Math.abs(this.#clock.nowMs() - this.#version.sinceMs) > triedForMs) return undefined
    return this.#version.content
  }
}

/** True when `current` is that version, and no other beside it. */
export function isVersion(content: RootContent, current: Current): boolean {
  return current.siblings.length === 0 && equal(encodeRoot(content), encodeRoot(current.content))
}
