/**
 * How much of the disk may still be used: what the file system reports, less what is reserved, less what was promised since. The
 * last tenth is for tenants that have less than an equal part of the disk, so that none fills it for all. Of the reserve each
 * tenant has a little for removals, which free more than they store.
 */
import type { Clock } from "@holdfast/core"
import { type Purposes, removalReserve, replacingFactor } from "../rules.ts"
import type { Disk } from "./disk.ts"

const refreshMs = 500
/** Of what may be used: kept for tenants below their share. */
const fairPart = 1 / 10
/** Of what is reserved: most that removals of all tenants together may take. */
const removalPart = 1 / 2

/** Who wants to store something. */
export interface Storer extends Purposes {
  readonly name: string
  /** What it takes of the disk by now. */
  readonly cost: number
  /** How many tenants there are. */
  readonly tenants: number
}

/** Free space of the file system under a directory. */
export class FreeSpace {
  readonly #disk: Disk
  readonly #dir: string
  readonly #reservedBytes: number | undefined
  readonly #clock: Clock
  /** Less than nothing where the reserve is in use. */
  #freeBytes = 0
  #usableBytes = 0
  #keptBytes = 0
  /** What tenants took for removals beyond what they may use, since they last could store anything else. */
  readonly #drawnBytes = new Map<string, number>()
  #measuredMs = Number.NEGATIVE_INFINITY
  #measuring: Promise<void> = Promise.resolve()

  /** Without `reservedBytes`, 1 GiB or 5 % of the disk is kept free, whichever is less. */
  constructor(disk: Disk, dir: string, reservedBytes: number | undefined, clock: Clock) {
    this.#disk = disk
    this.#dir = dir
    this.#reservedBytes = reservedBytes
    this.#clock = clock
  }

  /** Bytes free for shares, measured at most half a second ago. */
  async measure(): Promise<number> {
    const nowMs = this.#clock.nowMs()
    if (Math.abs(nowMs - this.#measuredMs) >= refreshMs) {
      this.#measuredMs = nowMs
      this.#measuring = this.#ask()
    }
    await this.#measuring
    return Math.max(0, this.#freeBytes)
  }

  /** Takes `bytes` of what was measured; false when that is not there for this tenant. */
  take(bytes: number, storer: Storer): boolean {
    const { name, cost, tenants, forRemoval } = storer
    const isOverShare = cost + bytes > this.#usableBytes / tenants
    if (bytes <= this.#freeBytes - (isOverShare ? this.#usableBytes * fairPart : 0)) this.#drawnBytes.delete(name)
    else if (!forRemoval || !this.#draw(bytes, storer)) return false
    this.#freeBytes -= bytes
    return true
  }

  /** True when a tenant may take `bytes` of what is reserved. An equal part for each: none uses up what others need to remove. */
  #draw(bytes: number, { name, tenants, isReplacing }: Storer): boolean {
    const factor = isReplacing ? replacingFactor : 1
    const keptBytes = this.#keptBytes * removalPart * factor
    const removalBytes = Math.min(removalReserve(this.#usableBytes) * factor, keptBytes / tenants)
    const drawnBytes = (this.#drawnBytes.get(name) ?? 0) + bytes
    if (drawnBytes > removalBytes || this.#freeBytes - bytes < -keptBytes) return false
    this.#drawnBytes.set(name, drawnBytes)
    return true
  }

  async #ask(): Promise<void> {
    const { freeBytes, totalBytes } = await this.#disk.space(this.#dir)
    const reserved = this.#reservedBytes ?? Math.min(2 ** 30, Math.floor(totalBytes * 0.05))
    this.#freeBytes = freeBytes - reserved
    this.#keptBytes = reserved
    this.#usableBytes = Math.max(0, totalBytes - reserved)
  }
}
