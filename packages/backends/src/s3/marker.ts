/**
 * The object that says whose a bucket is and by which rules it is used. Version 1 had the volume's id alone; clients of that version
 * take version 2 for another volume's. Specification: docs/formats/bucket.md.
 */
import { fromUtf8, HoldfastError, utf8 } from "@holdfast/core"
import { leastGraceMs, usualGraceMs } from "../rules.ts"
import type { Bucket, RequestOptions } from "./bucket.ts"

/** Its key. */
export const markerKey = "holdfast-volume"

/** What it says. */
export interface Marker {
  /** 1: shares have no marks; 2. */
  readonly version: number
  /** 32 hexadecimal digits. */
  readonly volumeId: string
  /** The volume's epoch; 1 at first. */
  readonly epoch: number
  /** How old must be what is taken away, for all clients alike: a writer trusts for half of it what he saw. */
  readonly graceMs: number
  /** What was stored under version 1 is not yet marked: nothing may be taken away. */
  readonly isUpgrading: boolean
}

const mostBytes = 1024

/** A new volume's. */
export function newMarker(volumeId: string): Marker {
  return { version: 2, volumeId, epoch: 1, graceMs: usualGraceMs, isUpgrading: false }
}

/** Its bytes, in version 2. */
export function encodeMarker({ volumeId, epoch, graceMs, isUpgrading }: Marker): Uint8Array {
  const lines = ["holdfast-volume 2", `volume ${volumeId}`, `epoch ${epoch}`, `grace ${Math.ceil(graceMs / 1000)}`]
  return utf8(`${[...lines, ...(isUpgrading ? ["upgrading"] : [])].join("\n")}\n`)
}

/** What the bytes say, of any version up to 2. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function parseMarker(bytes: Uint8Array, name: string): Marker {
  const text = textOf(bytes, name)
  const first = /^([0-9a-f]{32})\n?$/.exec(text)
  if (first) return { ...newMarker(first[1]!), version: 1 }
  const pattern =
    /^holdfast-volume 2\nvolume ([0-9a-f]{32})\nepoch ([1-9][0-9]{0,14})\ngrace ([1-9][0-9]{0,8})\n(upgrading\n)?$/
  const match = pattern.exec(text)
  if (match)
    return {
      version: 2,
      volumeId: match[1]!,
      epoch: Number(match[2]),
      graceMs: Math.max(leastGraceMs, Number(match[3]) * 1000),
      isUpgrading: match[4] !== undefined,
    }
  const newer = /^holdfast-volume ([0-9]{1,9})\n/.exec(text)
  if (newer && Number(newer[1]) > 2)
    throw new HoldfastError(
      "ERR_UNSUPPORTED_VERSION",
      `Bucket ${name} is kept by a newer Holdfast (version ${newer[1]} of its format). Update this one.`,
      { server: name },
    )
  throw malformed(name)
}

/** The marker of a bucket; undefined when there is none. Throws like `parseMarker`. */
export async function readMarker(bucket: Bucket, options: RequestOptions = {}): Promise<Marker | undefined> {
  const got = await bucket.get(markerKey, mostBytes, options)
  return got && parseMarker(got.bytes, bucket.name)
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw malformed(name)
  }
}

function malformed(name: string): HoldfastError {
  return new HoldfastError(
    "ERR_BAD_FORMAT",
    `The object ${markerKey} in bucket ${name} is not as Holdfast writes it, so nothing is written there.`,
    { server: name },
  )
}
