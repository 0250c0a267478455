/**
 * From version 1 of a bucket to version 2: what lies there is marked for the account `legacy`, which nobody can unmark. The marker
 * comes first, so that clients of version 1 stop; an hour later, when their commands are over, everything is listed once. Each run
 * goes on where the last one ended.
 */
import { type CryptoProvider, HoldfastError, toHex } from "@holdfast/core"
import { legacyAccount, readerAccess } from "@holdfast/protocol"
import { leastGraceMs, usualGraceMs } from "../rules.ts"
import type { Bucket, RequestOptions } from "./bucket.ts"
import { walk } from "./cursor.ts"
import { idBytes, pack, recordAt } from "./ids.ts"
import { chunkPrefix, parseRegisterKey, parseShareKey, registerPrefix, registersPrefix, sharesPrefix } from "./keys.ts"
import { mostListed } from "./lists.ts"
import { encodeMarker, markerKey, readMarker } from "./marker.ts"
import { MarkObjects } from "./marks.ts"
import { Place } from "./place.ts"

/** How far an upgrade is. */
export interface UpgradeProgress {
  readonly state: "done" | "waiting"
  /** So long commands of the earlier version may still run; 0 when there is nothing to wait for. */
  readonly waitMs: number
  /** Chunks and registers that this run marked. */
  readonly chunks: number
  readonly registers: number
}

/** How to upgrade. */
export interface UpgradeOptions extends RequestOptions {
  readonly crypto: CryptoProvider
  /** The volume whose bucket it must be. */
  readonly volumeId: string
  /** Says what would be done, and writes nothing. */
  readonly dryRun?: boolean
}

type Kind = "chunks" | "registers"

const kinds = {
  chunks: { prefix: sharesPrefix, parse: parseShareKey, partOf: chunkPrefix },
  registers: { prefix: registersPrefix, parse: parseRegisterKey, partOf: registerPrefix },
} as const

/** Upgrades a bucket as far as it can be now. Throws ERR_NOT_FOUND, ERR_ALREADY_EXISTS when it is not this volume's. */
export async function upgradeBucket(bucket: Bucket, options: UpgradeOptions): Promise<UpgradeProgress> {
  const { volumeId, crypto, dryRun = false, signal } = options
  const marker = await readMarker(bucket, { signal })
  if (!marker)
    throw new HoldfastError("ERR_NOT_FOUND", `Bucket ${bucket.name} holds no volume (there is no ${markerKey}).`)
  if (marker.volumeId !== volumeId)
    throw new HoldfastError("ERR_ALREADY_EXISTS", `Bucket ${bucket.name} belongs to another volume.`)
  if (marker.version === 2 && !marker.isUpgrading) return { state: "done", waitMs: 0, chunks: 0, registers: 0 }
  const upgrading = { ...marker, version: 2, isUpgrading: true }
  if (marker.version === 1 && !dryRun) await bucket.put(markerKey, encodeMarker(upgrading), { signal })
  const { infos, atMs } = await bucket.list(markerKey, { limit: 1, signal })
  const sinceMs = marker.version === 1 && dryRun ? atMs : (infos[0]?.modifiedMs ?? atMs)
  const waitMs = Math.max(0, sinceMs + leastGraceMs - atMs)
  if (waitMs > 0 && !dryRun) return { state: "waiting", waitMs, chunks: 0, registers: 0 }
  const place = new Place({
    ...{ bucket, id: bucket.name, crypto, conditional: false, access: readerAccess },
    ...{ graceMs: usualGraceMs, listDelayMs: 0, epoch: marker.epoch },
  })
  const marks = new MarkObjects(place)
  const chunks = await markAll(place, marks, "chunks", { dryRun, signal })
  const registers = await markAll(place, marks, "registers", { dryRun, signal })
  if (!dryRun) await bucket.put(markerKey, encodeMarker({ ...upgrading, isUpgrading: false }), { signal })
  return { state: dryRun ? "waiting" : "done", waitMs, chunks, registers }
}

async function markAll(
  { bucket }: Place,
  marks: MarkObjects,
  kind: Kind,
  { dryRun, signal }: { dryRun: boolean; signal: AbortSignal | undefined },
): Promise<number> {
  const { prefix, parse, partOf } = kinds[kind]
  let ids: Uint8Array[] = []
  let count = 0
  let last = ""
  const put = async () => {
    count += ids.length
    const named = { chunks: new Uint8Array(), registers: new Uint8Array(), sinceMs: 0, [kind]: pack(ids) }
    if (ids.length > 0 && !dryRun) await marks.put(legacyAccount, named, signal)
    ids = []
  }
  const done = await lastMarked(marks, kind, signal)
  const after = done && `${partOf(done)}~`
  for await (const { parsed } of walk<{ readonly id: Uint8Array }>(bucket, { prefix, parse, after, signal })) {
    const id = toHex(parsed.id)
    if (id === last) continue
    last = id
    if (ids.push(parsed.id) === mostListed) await put()
  }
  await put()
  return count
}

/** The highest id that an earlier run marked. */
async function lastMarked(marks: MarkObjects, kind: Kind, signal: AbortSignal | undefined) {
  const { objects } = await marks.list(legacyAccount, signal)
  let last: Uint8Array | undefined
  for await (const window of marks.windows(
    objects.map(({ key }) => key),
    kind,
    { signal },
  ))
    last = recordAt(window, window.length / idBytes - 1)
  return last
}
