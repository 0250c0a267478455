/**
 * How much of the disk may still be used: what the file system reports, less what is reserved, less what was promised since. The
 * last tenth is for tenants that have less than an equal part of the disk, so that none fills it for all.
 */
import type { Clock } from "@holdfast/core"
import type { Disk } from "./disk.ts"

const refreshMs = 500
/** Of what may be used: kept for tenants below their share. */
const fairPart = 1 / 10

/** Who wants to store something. */
export interface Storer {
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
  #freeBytes = 0
  #usableBytes = 0
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
    return this.#freeBytes
  }

  /** Takes `bytes` of what was measured; false when that is not there for this tenant. */
  take(bytes: number, { cost, tenants }: Storer): boolean {
    const isOverShare = cost + bytes > this.#usableBytes / tenants
    if (bytes > this.#freeBytes - (isOverShare ? this.#usableBytes * fairPart : 0)) return false
    this.#freeBytes -= bytes
    return true
  }

  async #ask(): Promise<void> {
    const { freeBytes, totalBytes } = await this.#disk.space(this.#dir)
    const reserved = this.#reservedBytes ?? Math.min(2 ** 30, Math.floor(totalBytes * 0.05))
    this.#freeBytes = Math.max(0, freeBytes - reserved)
    this.#usableBytes = Math.max(0, totalBytes - reserved)
  }
}
