import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { fromHex, fromUtf8, HoldfastError, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import fc from "fast-check"
import {
  decodeSealed,
  keyOfPassphrase,
  openSealed,
  type PassphraseKey,
  sealSecrets,
} from "../src/profile/sealed-secrets.ts"

interface Vectors {
  readonly good: readonly { readonly passphrase: string; readonly file: string; readonly plaintext: string }[]
  readonly bad: readonly { readonly name: string; readonly file: string; readonly code: string }[]
}
const vectors = JSON.parse(
  readFileSync(new URL("../../../interop/vectors/profile.json", import.meta.url), "utf8"),
) as Vectors

// The cheapest parameters: what is tested here is the form, not the cost.
const cheap = { memoryKiB: 8, passes: 1, lanes: 1, salt: nodeCrypto.random(16) }
const keyOf = (passphrase: string): Promise<PassphraseKey> => keyOfPassphrase(passphrase, cheap)

test("the frozen vectors open with their passphrase, and the bad ones give their error", async () => {
  for (const { passphrase, file, plaintext } of vectors.good) {
    const sealed = decodeSealed(fromHex(file))
    const key = await keyOfPassphrase(passphrase, sealed.parameters)
    assert.equal(fromUtf8(await openSealed(nodeCrypto, sealed, key)), plaintext)
  }
  for (const { name, file, code } of vectors.bad) assert.throws(() => decodeSealed(fromHex(file)), { code }, name)
  assert.ok(vectors.good.length >= 2 && vectors.bad.length >= 5)
})

test("sealing again with the same key never uses the same bytes", async () => {
  const key = await keyOf("correct horse")
  const [a, b] = [await sealSecrets(nodeCrypto, key, utf8("same")), await sealSecrets(nodeCrypto, key, utf8("same"))]
  assert.notEqual(toHex(a.slice(-40)), toHex(b.slice(-40)))
  assert.notEqual(toHex(decodeSealed(a).sealSalt), toHex(decodeSealed(b).sealSalt))
  assert.equal(fromUtf8(await openSealed(nodeCrypto, decodeSealed(b), key)), "same")
})

test("a wrong passphrase is told from a damaged file", async () => {
  const file = await sealSecrets(nodeCrypto, await keyOf("correct horse"), utf8("secret"))
  await assert.rejects(openSealed(nodeCrypto, decodeSealed(file), await keyOf("wrong horse")), {
    code: "ERR_WRONG_PASSPHRASE",
  })
  fc.assert(
    fc.property(fc.nat({ max: file.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const damaged = file.slice()
      damaged[at]! ^= change
      assert.throws(
        () => decodeSealed(damaged),
        (error) => error instanceof HoldfastError && ["ERR_BAD_FORMAT", "ERR_UNSUPPORTED_VERSION"].includes(error.code),
      )
    }),
  )
})

test("composed and decomposed letters of a passphrase are the same", async () => {
  assert.deepEqual(await keyOf("f\u00fcr"), await keyOf("fu\u0308r"))
})

test("any bytes are refused with a typed error, at once", () => {
  const start = utf8("holdfast-profile")
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }).map((rest) => new Uint8Array([...start, ...rest])),
    fc.uint8Array({ maxLength: 300 }).map((rest) => new Uint8Array([...start, 1, 1, ...rest])),
  )
  fc.assert(
    fc.property(anything, (bytes) => {
      assert.throws(() => decodeSealed(bytes), HoldfastError)
    }),
  )
})
