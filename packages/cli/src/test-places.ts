/** `volume test`: what each place of a volume can do, found out by trying. */
import { mkdtemp, open, rmdir, unlink } from "node:fs/promises"
import { join } from "node:path"
import { bucketAsFound, describePlace, everyPlace } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Backend, VolumeBackend } from "@holdfast/protocol"
import type { Context } from "./context.ts"
import { exitCodes } from "./exit-codes.ts"

interface Finding {
  readonly id: string
  readonly kind: VolumeBackend["kind"]
  readonly ok: boolean
  readonly latencyMs?: number
  readonly conditionalWrites?: boolean
  readonly listing?: "strong" | "delayed" | "broken"
  readonly deleting?: boolean
  /** What it means for the user. */
  readonly notes: readonly string[]
}

/** Tries every place; writes down what a bucket turned out to do. Exit code 4 when a place is of no use. */
export async function testVolume(context: Context, name: string): Promise<void> {
  const profile = await context.openProfile()
  const volume = profile.volumes.get(name)
  if (!volume) throw new HoldfastError("ERR_NOT_FOUND", `There is no volume "${name}" of your own.`)
  const session = await context.openSession(name)
  const opened = new Map(everyPlace(session).map((backend) => [backend.id, backend]))
  const findings = await Promise.all(volume.backends.map((place) => testPlace(place, opened.get(place.id)!)))
  const backends = volume.backends.map((place, i) => {
    const { conditionalWrites, listing } = findings[i]!
    return place.kind === "s3" && conditionalWrites !== undefined
      ? bucketAsFound(place, { conditionalWrites, listing })
      : place
  })
  if (JSON.stringify(backends) !== JSON.stringify(volume.backends)) await profile.setVolume({ ...volume, backends })
  const slowest = findings.filter(({ ok }) => ok).map(({ latencyMs = 0 }) => latencyMs)
  const lines = findings.flatMap(({ ok, latencyMs, notes }, i) => [
    `${ok ? "ok  " : "BAD "} ${describePlace(volume.backends[i]!)}${latencyMs === undefined ? "" : `: ${latencyMs.toFixed(1)} ms a request`}`,
    ...notes.map((note) => `       ${note}`),
  ])
  context.output({ volume: name, places: findings, slowestMs: Math.max(0, ...slowest) }, lines)
  if (findings.some(({ ok }) => !ok)) process.exitCode = exitCodes.unavailable
}

async function testPlace(place: VolumeBackend, backend: Backend): Promise<Finding> {
  const about = { id: place.id, kind: place.kind }
  try {
    if (place.kind === "s3") return { ...about, ...(await testBucket(place)) }
    await backend.usage()
    const latencyMs = place.kind === "directory" ? await diskLatency(place.path) : await callLatency(backend)
    return { ...about, ok: true, latencyMs, conditionalWrites: true, listing: "strong", deleting: true, notes: [] }
  } catch (error) {
    return { ...about, ok: false, notes: [error instanceof Error ? error.message : String(error)] }
  }
}

const listingNotes = {
  strong: [],
  delayed: [
    "Its lists lag behind what was written: `holdfast gc` waits a day more here, and takes two runs for each step.",
  ],
  broken: ["Its lists are not in order: it cannot hold a volume."],
} as const

async function testBucket(place: Extract<VolumeBackend, { kind: "s3" }>): Promise<Omit<Finding, "id" | "kind">> {
  const { probeBucket } = await import("@holdfast/backends/s3")
  const found = await probeBucket(place, { crypto })
  const notes = [
    found.conditionalWrites
      ? "It creates an object only once (If-None-Match): several writers at a time are safe."
      : "It lacks conditional writes (If-None-Match): with one writer nothing acknowledged is lost, but let only one machine write at a time.",
    ...listingNotes[found.listing],
    found.deleting
      ? "These keys may delete: whoever has them can remove what anybody stored here. Give keys without DeleteObject to devices that only store, and keep one with it for `holdfast gc`."
      : "These keys may not delete, as is right for a device that only stores: old versions and garbage pile up until `holdfast gc` runs with keys that may.",
  ]
  return { ok: found.listing !== "broken", ...found, notes }
}

async function callLatency(backend: Backend): Promise<number> {
  const start = performance.now()
  await backend.readRegisters([new Uint8Array(32)])
  return performance.now() - start
}

/** Time of a small durable write. */
async function diskLatency(path: string): Promise<number> {
  const folder = await mkdtemp(join(path, "test-"))
  const file = join(folder, "a")
  const start = performance.now()
  const handle = await open(file, "wx", 0o600)
  await handle.write(Buffer.alloc(64))
  await handle.datasync()
  await handle.close()
  const elapsed = performance.now() - start
  await unlink(file)
  await rmdir(folder)
  return elapsed
}
