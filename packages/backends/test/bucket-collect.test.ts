/** What a collection takes away of an account's marks in a bucket, and what a sweep takes of an account that is dropped. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { makeAccount, makeOrder, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { accountPrefix, dropKey } from "../src/s3/keys.ts"
import { hourMs, newBucket, newRegister } from "./bucket-fixture.ts"
import type { MemoryBucket, Request } from "./memory-bucket.ts"

const dayMs = 24 * hourMs

/** Something that happens to the bucket once, right before a request of the client called `here`. */
interface Event {
  readonly at: (request: Request) => boolean
  readonly what: (bucket: MemoryBucket) => void
}

/** An account that marks two chunks, old enough to be collected. */
async function twoChunks({ event, listDelayMs = 0 }: { event?: Event; listDelayMs?: number } = {}) {
  let left = event
  const { bucket, open, lay } = newBucket({
    listDelayMs,
    before: async (client, request) => {
      if (client !== "here" || !left?.at(request)) return
      left.what(bucket)
      left = undefined
    },
  })
  const access = await makeAccount(crypto)
  const backend = await open({ access, client: "here" })
  const chunks = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)] as const
  const register = await newRegister()
  for (const [i, { shares }] of chunks.entries()) {
    const batch = newBatch(crypto)
    await backend.putShares([shares[0]!], batch)
    await backend.proposeRegisters([await register.value(i + 1)], batch)
  }
  bucket.nowMs += 25 * hourMs + 2 * listDelayMs
  const marks = () => bucket.keys(accountPrefix(access.account)).filter((key) => !key.includes("!"))
  const words = () => bucket.keys(accountPrefix(access.account)).filter((key) => key.includes("!retire"))
  const order = (token?: Uint8Array) =>
    makeOrder(crypto, backend, { seed: access.seed, chunks: [chunks[0].id], ...(token && { token }) })
  const listed = async () => (await (await open({ access })).listMarks({ limit: 9 })).length
  const happened = () => left === undefined
  return { bucket, open, lay, access, backend, chunks, register, marks, words, order, listed, happened }
}

it("an order is refused once its word was taken away, or is older than 45 days", async () => {
  const { bucket, access, backend, register, words, order, listed } = await twoChunks()
  const token = await backend.collectToken()
  const trims = [{ register: register.id, below: 2 }]
  const trimming = await makeOrder(crypto, backend, { seed: access.seed, token, trims })
  const empty = await makeOrder(crypto, backend, { seed: (await makeAccount(crypto)).seed, token })
  await assert.rejects(backend.unmark(empty), { name: "HoldfastError" })
  const good = await order(token)
  const nothing = { ...good, chunks: [] }
  await assert.rejects(backend.unmark(nothing), { name: "HoldfastError" }, "its signature is of all of it")
  bucket.nowMs += 46 * dayMs
  await assert.rejects(backend.unmark(good), { code: "ERR_REFUSED" })
  bucket.nowMs -= 46 * dayMs
  for (const key of words()) bucket.objects.delete(key)
  await assert.rejects(backend.unmark(good), { code: "ERR_REFUSED" }, "also to whoever read the word before")
  await assert.rejects(backend.unmark(trimming), { code: "ERR_REFUSED" })
  assert.equal((await backend.keptValues(register.id)).length, 2)
  assert.equal(await listed(), 2)
  assert.equal((await backend.unmark(await order())).marks, 1)
  assert.equal(await listed(), 1)
})

it("of an account that lets all go nothing is left", async () => {
  const { access, backend, chunks, register, marks } = await twoChunks()
  const all = { chunks: chunks.map(({ id }) => id), registers: [register.id] }
  assert.equal((await backend.unmark(await makeOrder(crypto, backend, { seed: access.seed, ...all }))).marks, 3)
  assert.deepEqual(marks(), [])
})

it("a collection whose word goes while it writes what stays deletes nothing", async () => {
  let isWriting = false
  const event: Event = {
    at: ({ kind, key }) => isWriting && kind === "put" && key.startsWith("marks/") && !key.includes("!"),
    what: (bucket) => {
      for (const key of bucket.keys("marks/")) if (key.includes("!retire")) bucket.objects.delete(key)
    },
  }
  const { backend, marks, order, listed, happened } = await twoChunks({ event })
  const late = await order()
  const before = marks()
  const left = () => before.filter((key) => marks().includes(key))
  isWriting = true
  await assert.rejects(backend.unmark(late), { code: "ERR_REFUSED" })
  assert.ok(happened())
  assert.deepEqual(left(), before)
  assert.equal(await listed(), 2)
  await backend.unmark(await order())
  assert.notDeepEqual(left(), before, "else what it replaces goes")
})

it("mark objects that rotted, that went meanwhile, or that are none of ours keep nobody from collecting", async () => {
  for (const spoil of [
    (bytes: Uint8Array) => bytes.map((byte, i) => (i === 30 ? byte ^ 1 : byte)),
    (bytes: Uint8Array) => bytes.subarray(0, 10),
  ]) {
    const { bucket, open, lay, access, marks } = await twoChunks()
    const [first] = marks()
    const rotten = bucket.objects.get(first!)!
    bucket.objects.set(first!, { ...rotten, bytes: spoil(rotten.bytes) })
    lay(`${accountPrefix(access.account)}readme`, new Uint8Array(3))
    const backend = await open({ access })
    const rest = await backend.listMarks({ limit: 9 })
    assert.equal(rest.length, 1)
    const order = await makeOrder(crypto, backend, { seed: access.seed, chunks: [rest[0]!.id] })
    assert.equal((await backend.unmark(order)).marks, 1)
    assert.ok(bucket.objects.has(first!), "what it says is not known")
    assert.ok(bucket.objects.has(`${accountPrefix(access.account)}readme`))
  }
  let isReading = false
  const event: Event = {
    at: ({ kind, key }) => isReading && kind === "get" && key.startsWith("marks/") && !key.includes("!"),
    what: (bucket) => {
      for (const key of bucket.keys("marks/")) if (!key.includes("!")) bucket.objects.delete(key)
    },
  }
  const { backend, order, happened } = await twoChunks({ event })
  const late = await order()
  isReading = true
  assert.equal((await backend.unmark(late)).marks, 0)
  assert.ok(happened())
})

it("where lists lag an earlier word is taken up only while it is young enough to be carried out", async () => {
  const { bucket, backend } = await twoChunks({ listDelayMs: hourMs })
  const token = async () => toHex(await backend.collectToken())
  const first = await token()
  bucket.nowMs += 2 * dayMs
  assert.equal(await token(), first)
  bucket.nowMs += 30 * dayMs
  assert.notEqual(await token(), first)
})

for (const [what, change] of [
  ["was undone", (bucket, key) => void bucket.objects.delete(key)],
  [
    "was said anew",
    (bucket, key) => void bucket.objects.set(key, { bytes: new Uint8Array(), modifiedMs: bucket.nowMs }),
  ],
] as [string, (bucket: MemoryBucket, key: string) => void][])
  it(`an account whose drop ${what} since a sweep listed it keeps its marks`, async () => {
    let isSweeping = false
    let key = ""
    const event: Event = {
      at: (request) => isSweeping && request.kind === "list" && request.key === key.slice(0, -"!dropped".length),
      what: (bucket) => change(bucket, key),
    }
    const { bucket, open, lay, access, marks, happened } = await twoChunks({ event })
    key = dropKey(access.account)
    lay(key, new Uint8Array())
    bucket.nowMs += 31 * dayMs
    const before = marks()
    const sweeper = await open({ client: "here" })
    isSweeping = true
    await sweeper.sweep()
    assert.ok(happened())
    assert.deepEqual(marks(), before)
  })

it("of an account whose drop is over a sweep takes the marks, and neither its word nor what is not ours", async () => {
  const { bucket, open, lay, access, words, backend } = await twoChunks()
  const foreign = `${accountPrefix(access.account)}readme`
  await backend.collectToken()
  assert.equal(words().length, 1)
  lay(foreign, new Uint8Array(3))
  lay(dropKey(access.account), new Uint8Array())
  bucket.nowMs += 31 * dayMs
  await (await open()).sweep()
  assert.deepEqual(bucket.keys(accountPrefix(access.account)), [dropKey(access.account), foreign].sort())
})
