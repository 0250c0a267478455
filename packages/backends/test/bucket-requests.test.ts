/** What a bucket is asked, and what becomes of it where it does less than a perfect one. */
import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { it } from "node:test"
import { toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { blockBytes, decodeShareHead, legacyAccount, registerIdOf } from "@holdfast/protocol"
import { makeAccount, makeChunk, makeOrder, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { openBucketAccounts } from "../src/s3/accounts.ts"
import { S3Failure, s3Error } from "../src/s3/failure.ts"
import { dropKey, shareKey } from "../src/s3/keys.ts"
import { encodeMarker, markerKey, newMarker, parseMarker } from "../src/s3/marker.ts"
import { createObjectBackend, type ObjectOptions } from "../src/s3/objects.ts"
import { probeOpenBucket } from "../src/s3/probe.ts"
import { upgradeBucket } from "../src/s3/upgrade.ts"
import { MemoryBucket, type MemoryBucketOptions } from "./memory-bucket.ts"

const [hourMs, dayMs] = [3_600_000, 86_400_000]

async function opened({ listing, ...bucketOptions }: MemoryBucketOptions & Pick<ObjectOptions, "listing"> = {}) {
  const bucket = new MemoryBucket(bucketOptions)
  const account = await makeAccount(crypto)
  const options = { id: "bucket", crypto, access: account, conditionalWrites: true, ...(listing && { listing }) }
  const open = () => createObjectBackend(bucket.connect(), options)
  const asked = () => bucket.requests.splice(0).map(({ kind, key }) => `${kind} ${key.split("/")[0]}`)
  return { bucket, account, backend: open(), open, asked }
}

const count = (lines: readonly string[], line: string) => lines.filter((one) => one === line).length

it("a writer spends one request on a chunk, and on a commit one put and two lists more than the register's", async () => {
  const { backend, asked } = await opened()
  const batch = newBatch(crypto)
  const chunks = await Promise.all(Array.from({ length: 40 }, () => randomChunk(crypto, 300)))
  await backend.putShares(
    chunks.map((chunk) => chunk.shares[0]!),
    batch,
  )
  assert.equal(count(asked(), "put shares"), 40)
  const seed = crypto.random(32)
  await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 1, "root")], batch)
  asked() // with the marker, which is read once
  const next = newBatch(crypto)
  await backend.putShares([chunks[0]!.shares[1]!], next)
  assert.deepEqual(asked(), ["put shares"])
  const [outcome] = await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 2, "root")], next)
  assert.deepEqual(outcome, { accepted: true, vouches: true })
  assert.deepEqual(asked().sort(), ["list fence", "list marks", "list registers", "put marks", "put registers"])
})

it("marks that are written down before the value cost nothing more", async () => {
  const { backend, asked } = await opened()
  const seed = crypto.random(32)
  const [first, second] = await Promise.all([1, 2].map((n) => makeRegisterValue(crypto, seed, n, "root")))
  const batch = newBatch(crypto)
  const { id, shares } = await randomChunk(crypto, 300)
  await backend.putShares([shares[0]!], batch)
  await backend.proposeRegisters([first!], batch)
  const next = newBatch(crypto)
  await backend.putShares([shares[1]!], next)
  asked()
  const written = backend.confirmMarks([registerIdOf(await crypto.publicKeyOf(seed))], next)
  const [outcome] = await backend.proposeRegisters([second!], next) // at the same time
  assert.equal(await written, "held")
  assert.deepEqual(outcome, { accepted: true, vouches: true })
  assert.deepEqual(asked().sort(), ["list fence", "list marks", "list registers", "put marks", "put registers"])
  assert.equal(await backend.confirmMarks([], newBatch(crypto)), "unknown")
  assert.deepEqual(asked(), [], "nothing was marked in that batch")
  assert.deepEqual((await backend.hasShares([id]))[0], [0, 1])
})

it("what others put is looked for among the condemned before the value, and the epoch after it, each once", async () => {
  const { bucket, backend, open, asked } = await opened()
  const { shares } = await randomChunk(crypto, 300)
  await backend.putShares([shares[0]!], newBatch(crypto))
  bucket.nowMs += hourMs
  const copier = open()
  const seed = crypto.random(32)
  const batch = newBatch(crypto)
  await copier.putShares([shares[0]!], batch)
  asked()
  assert.equal(await copier.confirmMarks([registerIdOf(await crypto.publicKeyOf(seed))], batch), "held")
  assert.equal(count(asked(), "list fence"), 1, "before anybody is shown a value that refers to it")
  const [outcome] = await copier.proposeRegisters([await makeRegisterValue(crypto, seed, 1, "root")], batch)
  assert.deepEqual(outcome, { accepted: true, vouches: true })
  assert.equal(count(asked(), "list fence"), 1, "the volume may have moved on until the value was there")
})

it("a commit for further accounts costs a put and a list for each", async () => {
  const { backend, asked } = await opened()
  const others = await Promise.all([makeAccount(crypto), makeAccount(crypto)])
  const batch = newBatch(
    crypto,
    others.map(({ account }) => account),
  )
  await backend.putShares([(await randomChunk(crypto, 300)).shares[0]!], batch)
  asked()
  await backend.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "root")], batch)
  const lines = asked()
  assert.deepEqual([count(lines, "put marks"), count(lines, "list marks"), count(lines, "list fence")], [3, 3, 1])
})

it("copying N chunks costs a list for each, and no more than four for the commit", async () => {
  const { backend, open, asked } = await opened()
  const chunks = await Promise.all(Array.from({ length: 20 }, () => randomChunk(crypto, 300)))
  await backend.putShares(
    chunks.map((chunk) => chunk.shares[0]!),
    newBatch(crypto),
  )
  asked()
  const [copier, batch] = [open(), newBatch(crypto)]
  await copier.markShares(
    chunks.map(({ id }) => id),
    batch,
  )
  assert.deepEqual(asked(), ["list fence", ...Array.from({ length: 20 }, () => "list shares")])
  const [outcome] = await copier.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "r")], batch)
  assert.deepEqual(outcome, { accepted: true, vouches: true })
  assert.equal(asked().filter((line) => line.startsWith("list")).length, 4)
})

it("blocks cost one request once the chunk is known, and are found where a condemned share was stored again", async () => {
  const { bucket, backend, asked } = await opened()
  const ciphertext = crypto.random(200_000)
  const { id, shares } = await makeChunk(crypto, ciphertext, { k: 1, n: 2, keyCheck: new Uint8Array(32) })
  await backend.putShares(shares, newBatch(crypto))
  const { payloadStart } = decodeShareHead(shares[0]!)
  const bare = { first: 1, count: 2, haveDescriptor: true, leavesOf: [], likelyStart: payloadStart }
  asked()
  const read = async (index: number) => toHex((await backend.getBlocks([{ id, index, ...bare }]))[0]!.blocks)
  const wanted = toHex(ciphertext.subarray(blockBytes, 3 * blockBytes))
  assert.equal(await read(0), wanted)
  assert.deepEqual(asked(), ["get shares"])
  const moved = bucket.objects.get(shareKey(id, 0))!
  bucket.objects.delete(shareKey(id, 0))
  bucket.objects.set(shareKey(id, 0, 3), moved)
  assert.equal(await read(0), wanted)
  assert.deepEqual(asked(), ["get shares", "list shares", "get shares"])
  bucket.objects.delete(shareKey(id, 0, 3))
  assert.deepEqual(await backend.getBlocks([{ id, index: 0, ...bare }]), [undefined])
})

it("marks of thirty thousand chunks are one object, and listed in bounded memory", async () => {
  const { bucket, backend } = await opened()
  const batch = newBatch(crypto)
  const { id, shares } = await randomChunk(crypto, 300)
  await backend.putShares([shares[0]!, shares[1]!], batch)
  await backend.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "root")], batch)
  const [key] = bucket.keys("marks/")
  const { encodeMarks } = await import("../src/s3/lists.ts")
  const { pack } = await import("../src/s3/ids.ts")
  const ids = Array.from({ length: 30_000 }, () => crypto.random(32))
  const marks = { chunks: pack([...ids, id]), registers: new Uint8Array(), sinceMs: 0 }
  bucket.objects.set(key!, { bytes: await encodeMarks(crypto, marks), modifiedMs: bucket.nowMs })
  assert.equal((await backend.usage()).shareCount, 2)
})

it("keys that may not delete write as before, and collecting says why it cannot", async () => {
  const { backend, account, bucket } = await opened({ refusesDelete: true })
  const chunk = await randomChunk(crypto, 300)
  await backend.putShares([chunk.shares[0]!], newBatch(crypto))
  await backend.listMarks({ limit: 1 }) // writes them down
  const seed = crypto.random(32)
  for (let sequence = 1; sequence <= 12; sequence++) {
    const batch = newBatch(crypto)
    await backend.putShares([(await randomChunk(crypto, 300)).shares[0]!], batch)
    const value = await makeRegisterValue(crypto, seed, sequence, "root")
    assert.deepEqual(await backend.proposeRegisters([value], batch), [{ accepted: true, vouches: true }])
  }
  const [older] = await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 3, "other")])
  assert.equal(older!.accepted, false)
  bucket.nowMs += 25 * hourMs
  const order = await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id] })
  await assert.rejects(backend.unmark(order), { code: "ERR_REFUSED" })
  assert.deepEqual(await backend.hasShares([chunk.id]), [[0]])
})

it("trying a bucket tells whether keys may delete and whether lists lag", async () => {
  const found = async (options: MemoryBucketOptions) => {
    const { latencyMs: _, ...rest } = await probeOpenBucket(new MemoryBucket(options).connect(), crypto)
    return rest
  }
  assert.deepEqual(await found({}), { conditionalWrites: true, listing: "strong", deleting: true })
  assert.equal((await found({ refusesDelete: true })).deleting, false)
  assert.equal((await found({ listDelayMs: 1000 })).listing, "delayed")
})

it("a bucket that is full and one whose quota is used up are told apart, whatever status they say that with", () => {
  for (const [name, status, code] of [
    ["QuotaExceeded", 403, "ERR_QUOTA_EXCEEDED"],
    ["QuotaExceeded", 409, "ERR_QUOTA_EXCEEDED"],
    ["InsufficientCapacity", 507, "ERR_SERVER_FULL"],
  ] as const)
    assert.equal(s3Error("b", new S3Failure(status, name)).code, code, name)
  assert.equal(s3Error("b", new S3Failure(403, "AccessDenied")).code, "ERR_REFUSED")
})

it("where lists lag a commit is acknowledged at once, and a collection takes a day and two runs", async () => {
  const { backend, account, bucket } = await opened({ listDelayMs: hourMs, listing: "delayed" })
  const batch = newBatch(crypto)
  const chunk = await randomChunk(crypto, 300)
  await backend.putShares([chunk.shares[0]!], batch)
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "root")
  assert.deepEqual(await backend.proposeRegisters([value], batch), [{ accepted: true, vouches: true }])
  bucket.nowMs += 2 * dayMs
  const collect = async () =>
    backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id] }))
  assert.deepEqual(await collect(), { marks: 0, shares: 0, bytes: 0, young: 1 }, "its own word is not listed yet")
  bucket.nowMs += 2 * hourMs
  assert.deepEqual(await collect(), { marks: 0, shares: 0, bytes: 0, young: 1 })
  bucket.nowMs += dayMs
  assert.equal((await collect()).marks, 1)
})

it("where lists lag a collection that sweeps in the end goes on with its word the day after, then takes it away", async () => {
  const { backend: first, account, bucket, open } = await opened({ listDelayMs: hourMs, listing: "delayed" })
  const batch = newBatch(crypto)
  const chunk = await randomChunk(crypto, 300)
  await first.putShares([chunk.shares[0]!], batch)
  await first.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "root")], batch)
  const words = () => bucket.keys("marks/").filter((key) => key.includes("!retire"))
  const taken: number[] = []
  for (let day = 0; day < 3; day++) {
    bucket.nowMs += dayMs + 2 * hourMs
    const backend = open()
    const order = await makeOrder(crypto, backend, { seed: account.seed, chunks: [chunk.id] })
    taken.push((await backend.unmark(order)).marks)
    await backend.sweep!()
    if (taken.at(-1) === 1) break
  }
  assert.deepEqual(taken, [0, 1])
  assert.deepEqual(words(), [])
})

it("collections that find nothing to take away leave nothing behind", async () => {
  const { account, bucket, open } = await opened()
  const seed = crypto.random(32)
  let sequence = 0
  const list = registerIdOf(await crypto.publicKeyOf(seed))
  const counts: number[] = []
  for (let day = 0; day < 40; day++) {
    bucket.nowMs += dayMs + hourMs
    const backend = open()
    await backend.proposeRegisters([await makeRegisterValue(crypto, seed, ++sequence, "list")], newBatch(crypto))
    const trims = [{ register: list, below: sequence }]
    await backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, trims }))
    await backend.collectToken() // one that then finds out that it may not take anything away
    await backend.sweep!()
    counts.push(bucket.keys().length)
  }
  assert.ok(Math.max(...counts) < 25, `${counts.at(-1)} objects after 40 days`)
})

it("refuses the acknowledgement when the volume has moved on", async () => {
  const { backend, bucket } = await opened()
  bucket.objects.set("fence/epoch-2", { bytes: new Uint8Array(), modifiedMs: bucket.nowMs })
  const batch = newBatch(crypto)
  await backend.putShares([(await randomChunk(crypto, 300)).shares[0]!], batch)
  const [outcome] = await backend.proposeRegisters([await makeRegisterValue(crypto, crypto.random(32), 1, "r")], batch)
  assert.ok(!outcome!.accepted && !outcome!.marksGone && /epoch 2/.test(outcome!.message))
})

it("no sweep deletes anything while some marks cannot be read", async () => {
  const { backend, bucket } = await opened()
  const [kept, garbage] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
  await backend.putShares([kept.shares[0]!], newBatch(crypto))
  await backend.listMarks({ limit: 1 })
  await createObjectBackend(bucket.connect(), {
    ...{ id: "bucket", crypto, access: await makeAccount(crypto), conditionalWrites: true },
  }).putShares([garbage.shares[0]!], newBatch(crypto)) // a command that dies
  const [key] = bucket.keys("marks/")
  const marks = bucket.objects.get(key!)!
  const rotten = { ...marks, bytes: marks.bytes.slice() }
  rotten.bytes[30]! ^= 1
  bucket.objects.set(key!, rotten)
  bucket.nowMs += 25 * hourMs
  const { open } = await reopened(bucket)
  await assert.rejects(open().sweep(), { code: "ERR_CORRUPT" })
  bucket.objects.set(key!, marks)
  for (const [condemned, shares] of [
    [1, 0],
    [0, 1],
  ] as const) {
    const outcome = await open().sweep()
    assert.deepEqual([outcome.condemned, outcome.shares], [condemned, shares])
    bucket.nowMs += 25 * hourMs
  }
  await open().sweep()
  assert.deepEqual(bucket.keys("fence/"), [])
  assert.deepEqual(await backend.hasShares([kept.id, garbage.id]), [[0], []])
})

async function reopened(bucket: MemoryBucket) {
  const access = await makeAccount(crypto)
  return {
    open: () => createObjectBackend(bucket.connect(), { id: "bucket", crypto, access, conditionalWrites: true }),
  }
}

it("a bucket of version 1 is upgraded in steps that may be repeated, and nothing of it is ever swept", async () => {
  const { backend, bucket } = await opened()
  const volumeId = toHex(crypto.random(16))
  const chunks = await Promise.all(Array.from({ length: 5 }, () => randomChunk(crypto, 300)))
  for (const { id, shares } of chunks)
    bucket.objects.set(`shares/${toHex(id)}.000`, { bytes: shares[0]!, modifiedMs: bucket.nowMs })
  const seed = crypto.random(32)
  await backend.proposeRegisters([await makeRegisterValue(crypto, seed, 1, "old")])
  for (const key of bucket.keys("marks/")) bucket.objects.delete(key)
  bucket.objects.set(markerKey, { bytes: utf8(`${volumeId}\n`), modifiedMs: bucket.nowMs })
  const fresh = await reopened(bucket)
  const value = await makeRegisterValue(crypto, crypto.random(32), 1, "new")
  await assert.rejects(fresh.open().proposeRegisters([value]), { code: "ERR_UNSUPPORTED_VERSION" })
  const options = { crypto, volumeId }
  const upgrade = (dryRun = false) => upgradeBucket(bucket.connect(), { ...options, dryRun })
  const before = bucket.keys().join()
  assert.deepEqual((await upgrade(true)).chunks, 5)
  assert.equal(bucket.keys().join(), before)
  assert.deepEqual(await upgrade(), { state: "waiting", waitMs: hourMs, chunks: 0, registers: 0 })
  await assert.rejects(fresh.open().sweep(), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.equal((await fresh.open().proposeRegisters([value]))[0]!.accepted, true)
  bucket.nowMs += hourMs
  assert.deepEqual(await upgrade(), { state: "done", waitMs: 0, chunks: 5, registers: 2 })
  assert.deepEqual(await upgrade(), { state: "done", waitMs: 0, chunks: 0, registers: 0 })
  for (let run = 0; run < 4; run++) {
    bucket.nowMs += 25 * hourMs
    assert.equal((await fresh.open().sweep()).condemned, 0)
  }
  assert.equal(bucket.keys("shares/").length, 5)
  assert.equal(bucket.keys("registers/").length, 2)
  assert.equal(bucket.keys(`marks/${toHex(legacyAccount)}/`).length, 2)
})

it("reads markers of both versions, and refuses others", () => {
  const volumeId = "0123456789abcdef".repeat(2)
  const marker = { ...newMarker(volumeId), epoch: 7, graceMs: 2 * hourMs, isUpgrading: true }
  assert.deepEqual(parseMarker(encodeMarker(marker), "b"), marker)
  assert.equal(parseMarker(utf8(`${volumeId}\n`), "b").version, 1)
  assert.equal(parseMarker(encodeMarker({ ...marker, graceMs: 1000 }), "b").graceMs, hourMs, "never less")
  assert.throws(() => parseMarker(utf8("holdfast-volume 3\n"), "b"), { code: "ERR_UNSUPPORTED_VERSION" })
  for (const text of ["", "x", `${volumeId}0`, `holdfast-volume 2\nvolume ${volumeId}\n`])
    assert.throws(() => parseMarker(utf8(text), "b"), { code: "ERR_BAD_FORMAT" }, text)
})

it("drops an account of a bucket after thirty days by its own clock and not before, and leaves what others hold", async () => {
  const { bucket, account, backend, open } = await opened()
  const other = await makeAccount(crypto)
  const theirs = createObjectBackend(bucket.connect(), {
    ...{ id: "bucket", crypto, access: other, conditionalWrites: true },
  })
  const [own, shared] = [await randomChunk(crypto, 100_000), await randomChunk(crypto, 300)]
  const seeds = [crypto.random(32), crypto.random(32)] as const
  const commit = async (place: typeof backend, seed: Uint8Array, sequence: number, shares: Uint8Array[]) => {
    const batch = newBatch(crypto)
    if (shares.length > 0) await place.putShares(shares, batch)
    return place.proposeRegisters([await makeRegisterValue(crypto, seed, sequence, "root")], batch)
  }
  await commit(backend, seeds[0], 1, [own.shares[0]!, shared.shares[0]!])
  await commit(theirs, seeds[1], 1, [shared.shares[0]!])
  const accounts = openBucketAccounts(bucket.connect(), { id: "bucket", crypto })
  const listed = await accounts.list()
  const of = (all: typeof listed, { account: id }: typeof account) =>
    all.find((one) => toHex(one.account) === toHex(id))!
  assert.deepEqual([of(listed, account).shares, of(listed, other).shares], [2, 1])
  assert.ok(of(listed, account).bytes > 100_000 && of(listed, other).bytes < 10_000)
  await accounts.drop(account.account)
  const vector = JSON.parse(
    await readFile(new URL("../../../interop/vectors/bucket-dropped.json", import.meta.url), "utf8"),
  )
  assert.equal(
    vector.key.replace(vector.account, toHex(account.account)),
    bucket.keys("marks/").find((key) => key.includes("!d")),
  )
  assert.equal(toHex(bucket.objects.get(dropKey(account.account))!.bytes), vector.bytes)
  bucket.nowMs += dayMs
  await accounts.drop(account.account) // counts from the first time
  assert.equal(of(await accounts.list(), account).droppedAtMs, bucket.nowMs + 29 * dayMs)
  const [refused] = await commit(open(), seeds[0], 2, [(await randomChunk(crypto, 300)).shares[0]!])
  assert.ok(!refused!.accepted && /was dropped by the administrator/.test(refused!.message), JSON.stringify(refused))
  assert.equal(refused!.code, "refused")
  assert.ok((await commit(theirs, seeds[1], 2, [])).every(({ accepted }) => accepted))
  await accounts.keep(account.account)
  assert.ok((await commit(open(), seeds[0], 3, []))[0]!.accepted)
  await accounts.drop(account.account)
  const sweepTwice = async () => {
    for (const _ of [1, 2]) {
      await theirs.sweep()
      bucket.nowMs += 2 * dayMs
    }
    await theirs.sweep()
  }
  bucket.nowMs += 20 * dayMs
  await sweepTwice()
  assert.deepEqual(await theirs.hasShares([own.id, shared.id]), [[0], [0]], "readable until the end")
  bucket.nowMs += 7 * dayMs
  await sweepTwice()
  assert.deepEqual(await theirs.hasShares([own.id, shared.id]), [[], [0]])
  await assert.rejects(accounts.keep(account.account), { code: "ERR_NOT_FOUND", message: /time .* is over/ })
  const gone = of(await accounts.list(), account)
  assert.deepEqual([gone.shares, gone.bytes], [0, 0])
})
