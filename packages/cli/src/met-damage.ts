/** Shares that reads of a command found damaged or missing, and went around: told with --verbose, and left for `maintain` to mend first. */
import { isHoldfastError, toHex } from "@holdfast/core"
import type { ShareDamage } from "@holdfast/store"
import { plural } from "./words.ts"

/** More of one command are counted, and left to be found by the next check. */
const mostChunks = 10_000

/** Where damage is left for maintenance. */
export interface SuspectStore {
  addSuspects(volume: string, ids: Iterable<string>): Promise<void>
}

/** What one session met. */
export class MetDamage {
  readonly #chunks = new Set<string>()
  readonly #servers = new Map<string, { damaged: number; missing: number }>()

  add({ chunk, server, state }: ShareDamage): void {
    if (this.#chunks.size < mostChunks) this.#chunks.add(toHex(chunk))
    const counts = this.#servers.get(server) ?? { damaged: 0, missing: 0 }
    counts[state]++
    this.#servers.set(server, counts)
  }

  /** A line on each server; none when nothing was met. */
  lines(nameOf: (id: string) => string): string[] {
    if (this.#servers.size === 0) return []
    const servers = [...this.#servers].map(([server, { damaged, missing }]) => {
      const told = [
        ...(damaged > 0 ? [`${plural(damaged, "share")} damaged`] : []),
        ...(missing > 0 ? [`${plural(missing, "share")} missing`] : []),
      ]
      return `${nameOf(server)}: ${told.join(" and ")}, read from others.`
    })
    return [
      ...servers,
      "The next `holdfast maintain` looks at these first; `holdfast check --deep --repair` mends all that is damaged.",
    ]
  }

  /** Begins anew: what was met is told and left. */
  clear(): void {
    this.#chunks.clear()
    this.#servers.clear()
  }

  /** Leaves it for maintenance. What cannot be noted is found by the next check. */
  async leave(folder: SuspectStore, volume: string): Promise<void> {
    if (this.#chunks.size === 0) return
    await folder.addSuspects(volume, this.#chunks).catch((error: unknown) => {
      if (!isHoldfastError(error)) throw error
    })
  }
}
