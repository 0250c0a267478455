import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { createErasure, createScalarErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import {
  type CryptoVectors,
  checkCryptoVectors,
  checkErasureVectors,
  type ErasureVectors,
} from "@holdfast/core/vectors"
import { webCrypto } from "@holdfast/core/web"

const load = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../interop/vectors/${name}`, import.meta.url), "utf8"))
const crypto = load("crypto.json") as CryptoVectors
const erasure = load("erasure.json") as ErasureVectors

test("hashes, keys, ciphers, signatures and codecs agree with the frozen vectors", () =>
  checkCryptoVectors(nodeCrypto, crypto))

test("so does the provider for pages", () => checkCryptoVectors(webCrypto, crypto))

test("the erasure code agrees with the frozen vectors, with SIMD and without", async () => {
  checkErasureVectors(await createErasure(), erasure)
  checkErasureVectors(createScalarErasure(), erasure)
})

test("a vector that does not fit is noticed", async () => {
  const [first] = crypto.sha256
  await assert.rejects(checkCryptoVectors(nodeCrypto, { ...crypto, sha256: [{ ...first!, hash: "00" }] }))
  const bad = [...crypto.cbor.bad, "00"]
  await assert.rejects(checkCryptoVectors(nodeCrypto, { ...crypto, cbor: { good: [], bad } }))
  const [vector] = erasure.good
  assert.throws(() => checkErasureVectors(createScalarErasure(), { good: [{ ...vector!, data: "00" }] }))
})
