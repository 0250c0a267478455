/**
 * Where a place keeps what the volume's key says about its epochs: `fence/epoch-N` (the epoch before N is sealed) and
 * `fence/active-N`. Each is written once and never replaced, so a place is sealed for one description only.
 */
import { randomBytes } from "node:crypto"
import type { Dirent } from "node:fs"
import * as fs from "node:fs"
import { Folder } from "@holdfast/core/node"
import { maxMoveBytes, type VolumeBackend } from "@holdfast/protocol"

/** Statements at one place. */
export interface PlaceFence {
  /** All that are there, by name. */
  read(): Promise<ReadonlyMap<string, Uint8Array>>
  /** Keeps a statement under a name; what is there under that name stays. */
  keep(name: string, bytes: Uint8Array): Promise<void>
}

const fenceName = /^(?:epoch|active)-\d{6}$/
/** An epoch has two names; whoever owns the place may have put more there. */
const mostNames = 4096
const folder = "fence"

/** The name of a statement. */
export function fenceNameOf(state: "sealed" | "active", epoch: number): string {
  return `${state === "sealed" ? "epoch" : "active"}-${String(epoch).padStart(6, "0")}`
}

/** The fence of a place; undefined of a node, which keeps none. */
export function fenceOf(place: VolumeBackend): PlaceFence | undefined {
  if (place.kind === "directory") return directoryFence(place.path)
  return place.kind === "s3" ? bucketFence(place) : undefined
}

/** A fence in memory. */
export function memoryFence(): PlaceFence {
  const kept = new Map<string, Uint8Array>()
  return {
    read: async () => new Map(kept),
    keep: async (name, bytes) => void (kept.has(name) || kept.set(name, bytes)),
  }
}

/** A fence in a directory, which somebody else may write: links are not followed, and what is no fence is not read. */
export function directoryFence(path: string): PlaceFence {
  return {
    async read() {
      const read = within(path, { make: false }, (fences) => {
        const isFence = (entry: Dirent) => entry.isFile() && fenceName.test(entry.name)
        const names = fences.entries().filter(isFence).slice(0, mostNames)
        return new Map(names.map(({ name }) => [name, readBounded(fences, name)]))
      })
      return read ?? new Map()
    },
    async keep(name, bytes) {
      within(path, { make: true }, (fences) => {
        const temporary = `${randomBytes(8).toString("hex")}.tmp`
        try {
          fences.writeNew(temporary, bytes)
          linkUnlessThere(fences.at(temporary), fences.at(name))
        } finally {
          fs.rmSync(fences.at(temporary), { force: true })
        }
        fences.sync()
      })
    },
  }
}

/** Works in the folder of fences; undefined when it is not there and not to be made. */
function within<T>(path: string, { make }: { readonly make: boolean }, work: (fences: Folder) => T): T | undefined {
  if (!make && !fs.existsSync(path)) return undefined
  const place = Folder.open(path)
  try {
    if (make) place.makeFolder(folder)
    else if (!place.stat(folder)) return undefined
    const fences = place.folder(folder)
    try {
      return work(fences)
    } finally {
      fences.close()
    }
  } finally {
    place.close()
  }
}

/** A link, unlike a rename, never takes the place of what is there. */
function linkUnlessThere(from: string, to: string): void {
  try {
    fs.linkSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
  }
}

/** What is too long for a statement counts as none. */
function readBounded(folder: Folder, name: string): Uint8Array {
  try {
    return folder.readFile(name, maxMoveBytes) ?? new Uint8Array()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EFBIG") return new Uint8Array()
    throw error
  }
}

function bucketFence(place: Extract<VolumeBackend, { kind: "s3" }>): PlaceFence {
  const withBucket = async <T>(work: (bucket: import("@holdfast/backends/s3").Bucket) => Promise<T>) => {
    const { openBucket } = await import("@holdfast/backends/s3")
    const bucket = openBucket(place)
    try {
      return await work(bucket)
    } finally {
      bucket.close()
    }
  }
  return {
    read: () =>
      withBucket(async (bucket) => {
        const { infos: listed } = await bucket.list(`${folder}/`, { limit: mostNames })
        const names = listed.map(({ key }) => key.slice(folder.length + 1)).filter((name) => fenceName.test(name))
        const read = names.map(
          async (name) =>
            [name, (await bucket.get(`${folder}/${name}`, maxMoveBytes))?.bytes ?? new Uint8Array()] as const,
        )
        return new Map(await Promise.all(read))
      }),
    keep: (name, bytes) =>
      withBucket(async (bucket) => {
        await bucket.put(`${folder}/${name}`, bytes, { ifAbsent: place.conditionalWrites })
      }),
  }
}
