/** Shares and chunks pass for what they are alone: no other chunk's share, no other key than the one that the chunk names. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { BufferPool, type CryptoProvider, domainPrefix } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { keyCheckOf, verifyShare } from "@holdfast/protocol"
import { makeChunk } from "@holdfast/protocol/testing"
import { openChunk } from "@holdfast/store"
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
