import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { it } from "node:test"
import { nodeCrypto } from "@holdfast/core/node"
import { checkVolumeVectors, type VolumeVectors } from "@holdfast/protocol/vectors"

for (const name of ["volume", "volume-2", "volume-3", "volume-hosts"])
  it(`descriptions of ${name}, their digests and statements about moves agree with the frozen vectors`, async () => {
    const path = new URL(`../../../interop/vectors/${name}.json`, import.meta.url)
    const vectors = JSON.parse(readFileSync(path, "utf8")) as VolumeVectors
    assert.ok(vectors.good.length > 0 && vectors.bad.length > 0)
    if (name === "volume-2")
      assert.ok(vectors.digests && vectors.moves!.good.length > 0 && vectors.moves!.ignored.length > 0)
    await checkVolumeVectors(nodeCrypto, vectors)
  })
