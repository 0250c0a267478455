/**
 * Where a place keeps what the volume's key says about its epochs: `fence/epoch-N` (the epoch before N is sealed) and
 * `fence/active-N`. Each is written once and never replaced, so a place is sealed for one description only.
 */
import { randomBytes } from "node:crypto"
import { link, mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises"
import { join } from "node:path"
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

/** A fence in a directory. Links are not followed, and what is no fence is not read. */
export function directoryFence(path: string): PlaceFence {
  const dir = join(path, folder)
  return {
    async read() {
      const entries = await readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return []
        throw error
      })
      const names = entries.filter((entry) => entry.isFile() && fenceName.test(entry.name)).slice(0, mostNames)
      const read = names.map(async ({ name }) => [name, await readBounded(join(dir, name))] as const)
      return new Map(await Promise.all(read))
    },
    async keep(name, bytes) {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      const temporary = join(dir, `${randomBytes(8).toString("hex")}.tmp`)
      const file = await open(temporary, "wx", 0o600)
      try {
        await file.writeFile(bytes)
        await file.sync()
        await file.close()
        // A link, unlike a rename, never takes the place of what is there.
        await link(temporary, join(dir, name)).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "EEXIST") throw error
        })
      } finally {
        await rm(temporary, { force: true })
      }
      const handle = await open(dir, "r")
      await handle.sync().finally(() => handle.close())
    },
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  const { size } = await stat(path)
  return size > maxMoveBytes ? new Uint8Array() : new Uint8Array(await readFile(path))
}

function bucketFence(place: Extract<VolumeBackend, { kind: "s3" }>): PlaceFence {
  const within = async <T>(work: (bucket: import("@holdfast/backends/s3").Bucket) => Promise<T>) => {
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
      within(async (bucket) => {
        const { infos: listed } = await bucket.list(`${folder}/`, { limit: mostNames })
        const names = listed.map(({ key }) => key.slice(folder.length + 1)).filter((name) => fenceName.test(name))
        const read = names.map(
          async (name) =>
            [name, (await bucket.get(`${folder}/${name}`, maxMoveBytes))?.bytes ?? new Uint8Array()] as const,
        )
        return new Map(await Promise.all(read))
      }),
    keep: (name, bytes) =>
      within(async (bucket) => {
        await bucket.put(`${folder}/${name}`, bytes, { ifAbsent: place.conditionalWrites })
      }),
  }
}
