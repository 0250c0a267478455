import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { planned } from "../../../scripts/signature-vectors.ts"
import { fromHex, isStrictSignature } from "../src/index.ts"
import { nodeCrypto } from "../src/node/index.ts"
import { checkSignatureVectors, type SignatureVectors } from "../src/testing/vectors.ts"
import { webCrypto } from "../src/web/index.ts"

const path = join(import.meta.dirname, "../../../interop/vectors/signature.json")
const vectors = JSON.parse(readFileSync(path, "utf8")) as SignatureVectors
const order = 2n ** 252n + 27742317777372353535851937790883648493n

for (const [name, crypto] of Object.entries({ Node: nodeCrypto, pages: webCrypto })) {
  test(`the provider for ${name} takes and refuses the signatures that it should`, () =>
    checkSignatureVectors(crypto, vectors))

  test(`the check of the provider for ${name} would see one that is taken for good or refused wrongly`, async () => {
    const signatures = vectors.signatures.map((vector) => ({ ...vector, accepted: !vector.accepted }))
    for (const one of signatures) await assert.rejects(checkSignatureVectors(crypto, { signatures: [one] }))
  })
}

test("what is not canonical is refused before any library sees it", () => {
  const [honest] = vectors.signatures.filter(({ name }) => name === "an honest signature")
  const [key, signature] = [fromHex(honest!.publicKey), fromHex(honest!.signature)]
  assert.ok(isStrictSignature(key, signature))
  for (let above = 0xed; above <= 0xff; above++)
    for (const sign of ["7f", "ff"]) {
      const point = fromHex(`${above.toString(16)}${"ff".repeat(30)}${sign}`)
      assert.ok(!isStrictSignature(point, signature))
      assert.ok(!isStrictSignature(key, Buffer.concat([point, signature.subarray(32)])))
    }
})

test("Node and pages agree on any signature, with points of any order, and take it exactly when the equation holds", async () => {
  const scalar = fc.bigInt({ min: 1n, max: order - 1n })
  const torsion = fc.oneof(
    { weight: 2, arbitrary: fc.constant(0) },
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 7 }) },
  )
  const extra = fc.oneof(
    { weight: 5, arbitrary: fc.constant(0n) },
    { weight: 1, arbitrary: fc.constantFrom(order, 1n, 8n) },
  )
  const flip = fc.option(fc.tuple(fc.nat(95), fc.integer({ min: 1, max: 255 })), { freq: 4 })
  let accepted = 0
  let refused = 0
  await fc.assert(
    fc.asyncProperty(
      scalar,
      scalar,
      torsion,
      torsion,
      extra,
      fc.string(),
      flip,
      async (a, r, torsionA, torsionR, more, message, flipped) => {
        const made = planned({ a, r, message, torsionA, torsionR, extra: more })
        const bytes = fromHex(`${made.publicKey}${made.signature}`)
        if (flipped) bytes[flipped[0]]! ^= flipped[1]
        const [key, signature] = [bytes.subarray(0, 32), bytes.subarray(32)]
        const [byNode, byPage] = await Promise.all(
          [nodeCrypto, webCrypto].map((crypto) => crypto.verify(key, fromHex(made.message), signature)),
        )
        assert.equal(byNode, byPage)
        // The points of small order are in the order of their multiples: the torsion of R + kA has to be none.
        const holds = (BigInt(torsionR) + made.k * BigInt(torsionA)) % 8n === 0n
        if (!flipped) assert.equal(byNode, more === 0n && holds)
        byNode ? accepted++ : refused++
      },
    ),
    { numRuns: 300 },
  )
  assert.ok(accepted >= 5 && refused >= 30, `${accepted} were accepted and ${refused} refused`)
})

test("what is looked at stays as it is, be it a Buffer or not", () => {
  const bytes = { key: Buffer.alloc(32, 0xff), signature: Buffer.alloc(64, 0xff) }
  isStrictSignature(bytes.key, bytes.signature)
  assert.deepEqual(bytes, { key: Buffer.alloc(32, 0xff), signature: Buffer.alloc(64, 0xff) })
})

test("keys and signatures of another length are refused, whatever their first bytes are", () => {
  const honest = vectors.signatures.find(({ name }) => name === "an honest signature")!
  const [key, signature] = [fromHex(honest.publicKey), fromHex(honest.signature)]
  for (const length of [0, 31, 33, 64]) assert.ok(!isStrictSignature(resized(key, length), signature), `${length}`)
  for (const length of [0, 32, 63, 65, 96]) assert.ok(!isStrictSignature(key, resized(signature, length)), `${length}`)
})

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const result = new Uint8Array(length)
  result.set(bytes.subarray(0, length))
  return result
}
