import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { fromHex, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { webCrypto } from "@holdfast/core/web"
import { decodeRecoveryPart, decodeShare } from "@holdfast/protocol"
import {
  type BoundVectors,
  type CapabilityVectors,
  type Chunk2Vectors,
  type ChunkVectors,
  checkBoundVectors,
  checkCapabilityVectors,
  checkChunkVectors,
  checkRangeVectors,
  checkRecoveryVectors,
  checkRegisterVectors,
  type RecoveryVectors,
  type RegisterVectors,
} from "@holdfast/protocol/vectors"

function load<T extends { good: readonly unknown[] }>(name: string): T {
  const path = join(import.meta.dirname, "../../../interop/vectors", name)
  const vectors = JSON.parse(readFileSync(path, "utf8")) as T
  for (const [list, cases] of Object.entries(vectors))
    if (list === "good") assert.ok((cases as unknown[]).length >= 3, `${name} is nearly empty`)
    else if (list.startsWith("bad")) assert.ok((cases as unknown[]).length >= 5, `${name} is nearly empty`)
  return vectors
}

test("chunks and shares agree with the frozen vectors", () =>
  checkChunkVectors(nodeCrypto, load<ChunkVectors>("chunk.json")))

test("chunks of version 2, their shares and ranges agree with the frozen vectors", async () => {
  const vectors = load<Chunk2Vectors>("chunk-2.json")
  await checkChunkVectors(nodeCrypto, vectors, 2)
  await checkRangeVectors({ crypto: nodeCrypto, erasure: await createErasure() }, vectors)
})

test("the platform of browsers hashes blocks and opens ranges as Node does", async () => {
  const vectors = load<Chunk2Vectors>("chunk-2.json")
  await checkChunkVectors(webCrypto, vectors, 2)
  await checkRangeVectors({ crypto: webCrypto, erasure: await createErasure() }, vectors)
})

test("the erasure code makes the shares of the frozen vectors", async () => {
  const erasure = await createErasure()
  for (const { ciphertext, k, n, shares } of load<ChunkVectors>("chunk.json").good) {
    const payloads = shares.map((share) => toHex(decodeShare(fromHex(share)).payload))
    assert.deepEqual(erasure.split(fromHex(ciphertext), { k, n }).map(toHex), payloads)
  }
})

test("register values of version 4, and proofs of their ancestry, agree with the frozen vectors", () =>
  checkBoundVectors(nodeCrypto, load<BoundVectors>("register-4.json")))

test("register values agree with the frozen vectors", () =>
  checkRegisterVectors(nodeCrypto, load<RegisterVectors>("register.json")))

test("register values with a lineage agree with the frozen vectors", () =>
  checkRegisterVectors(nodeCrypto, load<RegisterVectors>("register-lineage.json")))

test("capabilities agree with the frozen vectors", () =>
  checkCapabilityVectors(nodeCrypto, load<CapabilityVectors>("capability.json")))

test("recovery kits agree with the frozen vectors", async () => {
  for (const file of ["recovery-kit.json", "recovery-kit-2.json"])
    await checkRecoveryVectors(nodeCrypto, load<RecoveryVectors>(file))
  assert.throws(() => decodeRecoveryPart(new Uint8Array(65_537)), { code: "ERR_LIMIT" })
})

test("a vector that does not fit is noticed", async () => {
  const vectors = load<ChunkVectors>("chunk.json")
  const wrong = { ...vectors.good[0]!, key: "00".repeat(32) }
  await assert.rejects(checkChunkVectors(nodeCrypto, { ...vectors, good: [wrong] }))
})
