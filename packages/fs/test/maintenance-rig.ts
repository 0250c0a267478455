/** What tests of maintenance stand on: a volume by its verify capability, a clock that the test moves, a folder on disk. */
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Clock } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Backend, decodeCap } from "@holdfast/protocol"
import {
  checkHealth,
  footingOfCap,
  isBad,
  type MaintainedVolume,
  type MaintenanceDeps,
  type MaintenanceFolder,
  onlyVerifies,
  type Schedule,
  usualSchedule,
} from "../src/care/index.ts"
import { openMaintenanceFolder } from "../src/node/index.ts"
import { type World, write } from "./world.ts"

export const [hourMs, dayMs] = [3_600_000, 86_400_000]

/** A clock that sleeps by letting its time pass. */
export function movedClock(startMs = 1_790_000_000_000): Clock & { pass(ms: number): void } {
  let now = startMs
  return {
    nowMs: () => now,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      now += ms
    },
    pass(ms) {
      now += ms
    },
  }
}

export async function folderFor(t: { after(done: () => unknown): void }) {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-maintenance-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return { dir, folder: openMaintenanceFolder(dir) }
}

/** The volume of a world with its home, by nothing but a verify capability. */
export async function volumeOf(
  { store, home }: World,
  more: Partial<MaintainedVolume> = {},
): Promise<MaintainedVolume> {
  const cap = decodeCap(await home.capOf([], "verify"))
  assert.ok(onlyVerifies(cap))
  const footing = async () => footingOfCap(store, cap)
  return {
    key: "volume/v",
    name: "v",
    account: "a".repeat(64),
    happy: 4,
    store,
    trees: [{ key: "volume/v/home", label: "home:", footing }],
    ...more,
  }
}

interface Rig {
  readonly clock: ReturnType<typeof movedClock>
  readonly folder: MaintenanceFolder
  readonly schedule?: Partial<Schedule>
  readonly more?: Partial<MaintenanceDeps>
}

export function depsOf({ clock, folder, schedule = {}, more = {} }: Rig): MaintenanceDeps {
  const minuteOfDay = (ms: number) => new Date(ms).getUTCHours() * 60 + new Date(ms).getUTCMinutes()
  return { env: { crypto, clock }, folder, schedule: { ...usualSchedule, ...schedule }, minuteOfDay, ...more }
}

export async function chunkCount({ store, home }: World): Promise<number> {
  const cap = decodeCap(await home.capOf([], "verify"))
  assert.ok(onlyVerifies(cap))
  return (await checkHealth({ crypto, store }, footingOfCap(store, cap))).report.chunks
}

export async function isWhole({ store, home }: World): Promise<boolean> {
  const cap = decodeCap(await home.capOf([], "verify"))
  assert.ok(onlyVerifies(cap))
  return !isBad(await checkHealth({ crypto, store }, footingOfCap(store, cap), { verify: true }))
}

export async function fill(world: World, files = 12): Promise<void> {
  for (let i = 0; i < files; i++) await write(world.home, [`f${i}`], crypto.random(60_000))
}

/** Puts something between a place and its clients; those of before are not concerned. */
export function changePlace(world: World, position: number, change: (backend: Backend) => Partial<Backend>): void {
  const place = world.places[position]!
  const { backendOf } = place
  const changed: typeof backendOf = (access) => {
    const backend = backendOf(access)
    return { ...backend, ...change(backend) }
  }
  Object.assign(place, { backendOf: changed })
}
