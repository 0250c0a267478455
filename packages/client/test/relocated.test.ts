/** Where the places of a restored volume are now: by the ids that the user gave, or by the part that exactly one place holds. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { FoundPart, OpenedKit } from "@holdfast/client/kits"
import type { RecoveryPart, VolumeBackend, VolumeDescription } from "@holdfast/protocol"
import { relocated } from "../src/recovery/restore.ts"

const directory = (id: string, path = `/old/${id}`): VolumeBackend => ({ kind: "directory", id, path })
const bucket = (id: string, name: string, conditionalWrites = true): VolumeBackend => ({
  ...{ kind: "s3", id, bucket: name, prefix: "", region: "r", pathStyle: true, conditionalWrites },
})
const old = [directory("a"), directory("b"), directory("c"), bucket("d", "old"), directory("e")]
const volume: VolumeDescription = {
  ...{ version: 1, id: "0".repeat(32), name: "disks", registerMode: "byzantine", backends: old },
  coding: { k: 2, happy: 4, n: 5 },
}
const kitId: Uint8Array = new Uint8Array(32).fill(1)

function kitOf(more: Partial<OpenedKit["secrets"]> = {}): OpenedKit {
  const secrets = {
    ...{ createdMs: 1, volume: "disks", places: old.map(({ id }) => id), convergenceSecret: new Uint8Array(32) },
    ...{
      aliases: new Map(),
      aliasVolumes: new Map(),
      localAliases: [],
      volumes: [volume],
      seen: "",
      bucketKeys: new Map(),
    },
    ...{ kits: new Map(), others: new Map(), ...more },
  }
  const body = {
    ...{ version: 2 as const, threshold: 3, shareHashes: [], keyCheck: new Uint8Array(32), isProtected: true },
    sealed: new Uint8Array(),
  }
  return { id: Buffer.from(kitId).toString("hex"), body, parts: new Map(), secrets }
}

const kit = kitOf()
const part = (index: number, id: Uint8Array = kitId): RecoveryPart => ({
  ...{ kitId: id, body: kit.body, index, share: new Uint8Array(33) },
})
const found = (place: string, index: number, id?: Uint8Array): FoundPart => ({ place, part: part(index, id) })
const relocate = (named: readonly VolumeBackend[], parts: readonly FoundPart[], onlyNamed = false) =>
  relocated(kit, { named, found: parts, onlyNamed })

test("a place is known by its id, and one that lies elsewhere by the part that it holds", () => {
  const named = [directory("a", "/new/a"), directory("x", "/new/b"), bucket("y", "new", false)]
  const { volume: now, unnamed } = relocate(named, [found("a", 0), found("x", 1), found("y", 3)])
  assert.deepEqual(now?.backends, [
    directory("a", "/new/a"),
    directory("b", "/new/b"),
    old[2],
    bucket("d", "new"), // how it answers is the description's word
    old[4],
  ])
  assert.deepEqual(unnamed, ["c", "e"])
})

test("of two places that show one part neither is believed, be one of them the right one or not", () => {
  const named = [directory("x", "/new/x"), directory("y", "/new/y")]
  const { volume: now, unnamed } = relocate(named, [found("x", 1), found("y", 1)])
  assert.deepEqual(now?.backends, old)
  assert.deepEqual(unnamed, ["a", "b", "c", "d", "e"])
})

test("a part of another kit, and one that a place shows that is known by its id, move nothing", () => {
  const other = new Uint8Array(32).fill(2)
  assert.deepEqual(relocate([directory("x", "/new/x")], [found("x", 1, other)]).volume?.backends, old)
  const lying = relocate([directory("a", "/new/a")], [found("a", 1)]).volume?.backends
  assert.deepEqual(lying, [directory("a", "/new/a"), ...old.slice(1)])
  const both = [directory("b", "/new/b"), directory("x", "/new/x")]
  assert.deepEqual(relocate(both, [found("x", 1)]).volume?.backends[1], directory("b", "/new/b"))
})

test("a place of one kind is never taken for one of another", () => {
  assert.deepEqual(relocate([bucket("x", "new")], [found("x", 1)]).volume?.backends, old)
  assert.deepEqual(relocate([directory("x")], [found("x", 3)]).volume?.backends, old)
})

test("the volume on the named places alone keeps its coding as far as these can hold it, and needs k of them", () => {
  const named = ["a", "b", "c"].map((id) => directory(id))
  const { volume: now, unnamed } = relocate(named, [], true)
  assert.deepEqual([now?.backends, now?.coding, now?.registerMode], [named, { k: 2, happy: 3, n: 3 }, "crash"])
  assert.deepEqual(unnamed, ["d", "e"])
  const four = ["a", "b", "c", "e"].map((id) => directory(id))
  assert.equal(relocate(four, [], true).volume?.registerMode, "byzantine")
  assert.equal(relocate(named.slice(1), [], true).volume?.backends.length, 2)
  assert.throws(() => relocate(named.slice(2), [], true), { code: "ERR_INVALID_ARGUMENT" })
})

test("a kit that lies on the grid has no places to move", () => {
  const onGrid = kitOf({ volume: "grid" })
  assert.deepEqual(relocated(onGrid, { named: [], found: [], onlyNamed: false }), {
    ...{ secrets: onGrid.secrets, unnamed: [] },
  })
  assert.throws(() => relocated(onGrid, { named: [], found: [], onlyNamed: true }), { code: "ERR_INVALID_ARGUMENT" })
})
