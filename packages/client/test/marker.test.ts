import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import type { VolumeBackend } from "@holdfast/protocol"
import { claimPlaces, markerFile } from "../src/volumes/marker.ts"

const first = "a1".repeat(16)
const second = "b2".repeat(16)

test("places are marked all or none, and a mark without data says how it is freed", async (t) => {
  const root = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-marker-"))
  t.after(() => fs.rmSync(root, { recursive: true, force: true }))
  const places = ["one", "two", "three"].map(
    (name): VolumeBackend => ({ kind: "directory", id: name, path: `${root}/${name}` }),
  )
  const marked = () => places.filter((place) => "path" in place && fs.existsSync(`${place.path}/${markerFile}`)).length
  fs.writeFileSync(`${root}/three`, "a file")
  await assert.rejects(claimPlaces(places, first))
  assert.equal(marked(), 0)
  fs.rmSync(`${root}/three`)
  await claimPlaces(places.slice(0, 1), first)
  await assert.rejects(
    claimPlaces(places.toReversed(), second),
    /holds nothing else.*free it: rm .*one\/holdfast-volume/,
  )
  assert.equal(marked(), 1, "those of the first stay")
  await claimPlaces(places, first)
  assert.equal(marked(), 3)
  fs.writeFileSync(`${root}/one/share`, "x")
  await assert.rejects(claimPlaces(places, second), /would lose what it holds/)
  fs.rmSync(`${root}/two`, { recursive: true })
  fs.writeFileSync(`${root}/two`, "a file")
  await assert.rejects(claimPlaces(places, first))
  assert.equal(marked(), 2, "what was marked before is not freed by a later failure")
})
