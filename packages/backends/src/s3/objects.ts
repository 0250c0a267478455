/** A backend over the objects of a bucket, however these are reached. Specification of what lies in it: docs/formats/bucket.md. */
import type { CryptoProvider } from "@holdfast/core"
import { type AccountAccess, type Backend, type CallOptions, readerAccess, type SweepOutcome } from "@holdfast/protocol"
import { leastGraceMs, usualGraceMs } from "../rules.ts"
import { Batches } from "./batches.ts"
import type { Bucket } from "./bucket.ts"
import { Collector } from "./collect.ts"
import { Fence } from "./fence.ts"
import { Inventory } from "./inventory.ts"
import { MarkObjects } from "./marks.ts"
import { Place } from "./place.ts"
import { proposeCalls } from "./propose.ts"
import { Registers } from "./registers.ts"
import { shareCalls } from "./shares.ts"
import { Sweeper } from "./sweep.ts"
import { Voucher } from "./vouch.ts"
import { Watching } from "./watching.ts"

export type { Bucket, Listing, ObjectInfo } from "./bucket.ts"
export { chunkPrefix, parseShareKey, registerPrefix } from "./keys.ts"
export { encodeMarker, markerKey, newMarker } from "./marker.ts"

/** What lies in a bucket and how it is kept. */
export interface ObjectOptions {
  /** Stable name of the backend: placement depends on it. */
  readonly id: string
  readonly crypto: CryptoProvider
  /** Who calls; without, the backend reads only. The bucket itself enforces nothing of it. */
  readonly access?: AccountAccess
  /** The service refuses to replace an object when asked to (`probeBucket` finds out). Without, one writer is safe, not two. */
  readonly conditionalWrites: boolean
  /** How old must be what is taken away. Default 24 h, never under 1 h; the bucket's marker may ask for more. */
  readonly graceMs?: number
  /** Lists may miss for a while what was just written (`probeBucket` finds out): what is taken away must be a day old. */
  readonly listing?: "strong" | "delayed"
  /** The volume's epoch that the caller knows; 1 at first. */
  readonly epoch?: number
}

/** A bucket as a backend, and what only a bucket needs. */
export interface BucketBackend extends Backend {
  /** Deletes what no account marks, in two runs a grace apart: the first condemns, the second deletes. For who may delete objects. */
  sweep(options?: CallOptions): Promise<SweepOutcome>
}

const dayMs = 24 * 3_600_000

/** `bucket` as a backend, which closes it. */
export function createObjectBackend(bucket: Bucket, options: ObjectOptions): BucketBackend {
  const place = new Place({
    bucket,
    id: options.id,
    crypto: options.crypto,
    conditional: options.conditionalWrites,
    access: options.access ?? readerAccess,
    graceMs: Math.max(leastGraceMs, options.graceMs ?? usualGraceMs),
    listDelayMs: options.listing === "delayed" ? dayMs : 0,
    epoch: options.epoch ?? 1,
  })
  const batches = new Batches()
  const fence = new Fence(place)
  const marks = new MarkObjects(place)
  const voucher = new Voucher(place, fence, marks)
  const registers = new Registers(place)
  const watching = new Watching(place, registers)
  const collector = new Collector(place, marks, registers)
  const inventory = new Inventory(place, marks)
  const sweeper = new Sweeper(place, fence, marks)
  /** What lists an account's marks has those first that are not written down yet. */
  const written = async ({ signal }: CallOptions) => {
    for (const batch of batches.all()) await voucher.write(batch, signal)
  }
  return {
    id: options.id,
    ...shareCalls(place, { batches, fence, voucher }),
    ...proposeCalls(place, { batches, registers, voucher }),
    readRegisters: (ids, rest) => registers.read(ids, rest),
    watchRegisters: (watched, rest = {}) => watching.hashes(watched, rest.signal),
    keptValues: (id, rest) => registers.kept(id, rest),
    async listMarks(rest) {
      await written(rest)
      return inventory.listMarks(rest)
    },
    async listRegisters(rest) {
      await written(rest)
      return inventory.listRegisters(rest)
    },
    async collectToken(rest = {}) {
      await written(rest)
      return collector.collectToken(rest)
    },
    async unmark(order, rest = {}) {
      await written(rest)
      return collector.unmark(order, rest)
    },
    async usage(rest = {}) {
      await written(rest)
      return inventory.usage(rest)
    },
    async sweep(rest = {}) {
      await collector.end(rest)
      return sweeper.run(rest)
    },
    close: async () => bucket.close(),
  }
}
