import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { it } from "node:test"
import { fromHex, HoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { parseVolume, type VolumeDescription } from "../src/volume.ts"
import { openVolumeMove, volumeDigest } from "../src/volume-move.ts"

interface Vectors {
  readonly good: readonly VolumeDescription[]
  readonly bad: readonly { readonly name: string; readonly value: unknown; readonly error: string }[]
}
interface MoveVectors extends Vectors {
  readonly digests: readonly string[]
  readonly moves: {
    readonly good: readonly { readonly bytes: string; readonly state: string; readonly epoch: number }[]
    readonly ignored: readonly { readonly name: string; readonly bytes: string }[]
  }
}

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../interop/vectors/${name}.json`, import.meta.url), "utf8"))

for (const name of ["volume", "volume-2"])
  it(`takes every good description of ${name} unchanged and refuses every bad one`, () => {
    const vectors = read(name) as Vectors
    assert.ok(vectors.good.length > 0 && vectors.bad.length > 0)
    for (const value of vectors.good) assert.deepEqual(parseVolume(value), value)
    for (const { name, value, error } of vectors.bad)
      assert.throws(
        () => parseVolume(value),
        (thrown) => thrown instanceof HoldfastError && thrown.code === error,
        name,
      )
  })

it("digests and statements about moves are as they were frozen, and what the volume's key did not sign is ignored", async () => {
  const { good, digests, moves } = read("volume-2") as MoveVectors
  assert.deepEqual(good.map(volumeDigest), digests)
  for (const { bytes, state, epoch } of moves.good) {
    const move = await openVolumeMove(nodeCrypto, fromHex(bytes), good[0]!)
    assert.deepEqual([move?.state, move?.next.epoch, move?.next], [state, epoch, good[1]])
  }
  for (const { name, bytes } of moves.ignored)
    assert.equal(await openVolumeMove(nodeCrypto, fromHex(bytes), good[0]!), undefined, name)
})
