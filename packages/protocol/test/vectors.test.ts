import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { nodeCrypto } from "@holdfast/core/node"
import {
  type CapabilityVectors,
  type ChunkVectors,
  checkCapabilityVectors,
  checkChunkVectors,
  checkRegisterVectors,
  type RegisterVectors,
} from "@holdfast/protocol/vectors"

function load<T extends { good: readonly unknown[]; bad: readonly unknown[] }>(name: string): T {
  const path = join(import.meta.dirname, "../../../interop/vectors", name)
  const vectors = JSON.parse(readFileSync(path, "utf8")) as T
  assert.ok(vectors.good.length >= 3 && vectors.bad.length >= 5, `${name} is nearly empty`)
  return vectors
}

test("chunks and shares agree with the frozen vectors", () =>
  checkChunkVectors(nodeCrypto, load<ChunkVectors>("chunk.json")))

test("register values agree with the frozen vectors", () =>
  checkRegisterVectors(nodeCrypto, load<RegisterVectors>("register.json")))

test("capabilities agree with the frozen vectors", () =>
  checkCapabilityVectors(nodeCrypto, load<CapabilityVectors>("capability.json")))

test("a vector that does not fit is noticed", async () => {
  const vectors = load<ChunkVectors>("chunk.json")
  const wrong = { ...vectors.good[0]!, key: "00".repeat(32) }
  await assert.rejects(checkChunkVectors(nodeCrypto, { ...vectors, good: [wrong] }))
})
