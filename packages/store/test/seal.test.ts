/** Shares and chunks pass for what they are alone: no other chunk's share, no other key than the one that the chunk names. */
import assert from "node:assert/strict"
import { createCipheriv, createHmac } from "node:crypto"
import { test } from "node:test"
import { BufferPool, type CryptoProvider, domainPrefix, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { webCrypto } from "@holdfast/core/web"
import { keyCheckOf, verifyShare } from "@holdfast/protocol"
import { makeChunk } from "@holdfast/protocol/testing"
import { openChunk, sealChunk } from "@holdfast/store"
import { checkPayload, checkShare } from "../src/seal.ts"

const deps = { crypto, erasure: await createErasure(), buffers: new BufferPool({ maxIdleBytes: 0 }) }
const [key, otherKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
const plaintext = new Uint8Array(600).fill(3)

/** A chunk whose ciphertext opens with `key`, and that says that `named` is its key. */
async function chunkOf(named: Uint8Array, text = plaintext) {
  const ciphertext = await crypto.seal(key, new Uint8Array(12), text, domainPrefix("holdfast/chunk/2"))
  return makeChunk(crypto, ciphertext, { k: 1, n: 2, keyCheck: keyCheckOf(named) })
}

test("a chunk opens with the key that it names, though another would open its ciphertext", async () => {
  const open = async (named: Uint8Array, by: Uint8Array) => {
    const shares = [await verifyShare(crypto, (await chunkOf(named)).shares[0]!)]
    return openChunk(deps, shares, by)
  }
  assert.ok(Buffer.from(await open(key, key)).equals(plaintext))
  await assert.rejects(open(otherKey, key), { code: "ERR_CORRUPT" })
  await assert.rejects(open(otherKey, otherKey), { code: "ERR_CORRUPT" })
  await assert.rejects(open(key, otherKey), { code: "ERR_CORRUPT" })
})

for (const [name, check] of Object.entries({ checkShare, checkPayload }))
  test(`${name} takes a share of the chunk that it is asked for, and no good one of another, nor a damaged one`, async () => {
    const [mine, other] = [await chunkOf(key), await chunkOf(key, new Uint8Array(600).fill(4))]
    const share = mine.shares[1]!
    assert.equal((await check(crypto, mine.id, share))?.index, 1)
    assert.equal(await check(crypto, mine.id, other.shares[1]!), undefined)
    for (const at of [0, 20, share.length - 1]) {
      const damaged = share.with(at, share[at]! ^ 1)
      assert.equal(await check(crypto, mine.id, damaged), undefined)
    }
    assert.equal(await check(crypto, mine.id, share.subarray(0, -1)), undefined)
    assert.equal(await check(crypto, mine.id, new Uint8Array()), undefined)
  })

test("what fails otherwise than by a damaged share is not taken for one", async () => {
  const { id, shares } = await chunkOf(key)
  const fails = () => Promise.reject(new Error("out of memory"))
  const broken = Object.fromEntries(Object.keys(crypto).map((name) => [name, fails])) as unknown as CryptoProvider
  await assert.rejects(checkShare(broken, id, shares[0]!), /out of memory/)
})

test("a piece of an upload has the key that its content, its place and the upload's secret give it, in Node and in browsers", async () => {
  const coding = { k: 1, n: 2 }
  const [secret, place] = [new Uint8Array(32).fill(5), "0 /films/one"]
  const keyOf = async (text: Uint8Array, of: { secret: Uint8Array; place: string }, by: CryptoProvider = crypto) =>
    toHex((await sealChunk({ ...deps, crypto: by }, text, coding, of)).key)
  // The definition again, from its parts.
  const mac = (key: Uint8Array, ...parts: (string | Uint8Array)[]) =>
    parts.reduce((hmac, part) => hmac.update(part), createHmac("sha256", key)).digest()
  const gmac = createCipheriv("aes-256-gcm", mac(secret, "holdfast/upload-hash/2\0"), new Uint8Array(12))
  gmac.setAAD(plaintext).final()
  const expected = mac(secret, "holdfast/upload-key/2\0", gmac.getAuthTag(), place).toString("hex")
  for (const by of [crypto, webCrypto]) assert.equal(await keyOf(plaintext, { secret, place }, by), expected)
  const others = await Promise.all([
    keyOf(plaintext.with(599, 4), { secret, place }),
    keyOf(plaintext.subarray(1), { secret, place }),
    keyOf(plaintext, { secret: secret.with(0, 6), place }),
    keyOf(plaintext, { secret, place: "1 /films/one" }),
  ])
  assert.equal(new Set([expected, ...others]).size, 5)
})
