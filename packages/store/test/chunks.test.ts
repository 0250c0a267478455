import assert from "node:assert/strict"
import { test } from "node:test"
import { BufferPool, type CryptoProvider, HoldfastError } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeEnv } from "@holdfast/core/node"
import { decodeShare, verifyShare } from "@holdfast/protocol"
import { createLocalPipeline, paddedLength } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { commit, type SwitchedServer, someBatch, testGrid } from "./fixture.ts"

const sample = (length: number) => new Uint8Array(length).map((_, i) => (i * 31 + (i >> 8)) & 255)

test("a chunk is read back with any two of five servers gone", async () => {
  const grid = testGrid()
  const plaintext = sample(100_000)
  const ref = await (await grid.client()).chunks.putChunk(plaintext.slice())
  for (let a = 0; a < 5; a++)
    for (let b = a + 1; b < 5; b++) {
      for (const [i, server] of grid.servers.entries()) server.down = i === a || i === b
      const read = await (await grid.client()).chunks.getChunk(ref)
      assert.deepEqual(Buffer.from(read.subarray(0, plaintext.length)), Buffer.from(plaintext))
      assert.ok(read.subarray(plaintext.length).every((byte) => byte === 0))
    }
})

test("with three of five servers gone the error says how many shares are missing", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(sample(1000))
  for (const server of grid.servers.slice(0, 3)) server.down = true
  const store = await grid.client()
  const failed = await store.chunks.getChunk(ref).catch((error) => error)
  assert.equal(failed.code, "ERR_NOT_ENOUGH_SHARES")
  assert.deepEqual({ needed: failed.details.needed, found: failed.details.found }, { needed: 3, found: 2 })
})

test("who has no share is told apart from who gives a damaged one and from who is away", async () => {
  const grid = testGrid()
  const ref = await (await grid.client()).chunks.putChunk(sample(1000))
  const [empty, damaged, away] = grid.servers
  empty!.empty()
  damaged!.tamper = (share) => share.subarray(1)
  away!.down = true
  const failed = await (await grid.client()).chunks.getChunk(ref).catch((error) => error)
  assert.match(failed.message, /n1: has no share/)
  assert.match(failed.message, /n2: its share is damaged/)
  assert.match(failed.message, /n3: n3 is down/)
  assert.equal(failed.details.unanswered, 1)
})

test("a put that reaches fewer distinct servers than happy fails and names those that refused", async () => {
  const grid = testGrid()
  grid.servers[0]!.down = true
  await (await grid.client()).chunks.putChunk(sample(1000))
  grid.servers[3]!.down = true
  const failed = await (await grid.client()).chunks.putChunk(sample(2000)).catch((error) => error)
  assert.equal(failed.code, "ERR_NOT_ENOUGH_SERVERS")
  assert.equal(failed.details.reached, 3)
  assert.deepEqual(failed.details.refused.map((refusal: { server: string }) => refusal.server).sort(), ["n1", "n4"])
})

test("servers that fail late do not bring others a second share that counts", async () => {
  const grid = testGrid()
  for (const { backend } of grid.servers.slice(3))
    Object.assign(backend, {
      async putShares() {
        await new Promise((resolve) => setTimeout(resolve, 50))
        throw new HoldfastError("ERR_SERVER_UNREACHABLE", `${backend.id} went away`)
      },
    })
  const failed = await (await grid.client()).chunks.putChunk(sample(1000)).catch((error) => error)
  assert.equal(failed.code, "ERR_NOT_ENOUGH_SERVERS")
  assert.equal(failed.details.reached, 3)
})

test("what lay there before is known again and sent only where it is missing; anything else is new", async () => {
  const grid = testGrid()
  const before = await (await grid.client()).chunks.putChunk(sample(50_000))
  assert.ok(before.sentBytes > 50_000)
  const again = (bytes: Uint8Array) => grid.client().then(({ chunks }) => chunks.putChunk(bytes, { before }))
  const same = await again(sample(50_000))
  assert.deepEqual([same.id, same.key, same.sentBytes], [before.id, before.key, 0])
  const other = await again(sample(50_000).fill(9, 0, 1))
  assert.notDeepEqual(other.key, before.key)
  assert.equal(other.sentBytes, before.sentBytes)
  for (const server of grid.servers.slice(0, 3)) server.empty()
  const healed = await again(sample(50_000))
  assert.deepEqual(healed.id, before.id)
  assert.ok(healed.sentBytes > 0.5 * before.sentBytes && healed.sentBytes < 0.7 * before.sentBytes)
  for (const server of grid.servers.slice(3)) server.down = true
  assert.equal((await (await grid.client()).chunks.getChunk(before)).length, paddedLength(50_000))
})

test("no server is asked about a new chunk, all about one that lay there before, also when some are down", async () => {
  const grid = testGrid() // 3/4/5
  const asked: string[] = []
  for (const { backend } of grid.servers) {
    const { markShares } = backend
    backend.markShares = async (...args) => {
      asked.push(backend.id)
      return markShares(...args)
    }
  }
  const before = await (await grid.client()).chunks.putChunk(sample(50_000))
  assert.equal(asked.length, 0)
  assert.equal((await (await grid.client()).chunks.putChunk(sample(50_000), { before })).sentBytes, 0)
  assert.equal(new Set(asked).size, 5)
  grid.servers[0]!.down = true
  const again = await (await grid.client()).chunks.putChunk(sample(50_000), { before })
  assert.deepEqual([again.sentBytes, again.id], [0, before.id])
})

test("a second share on one server is found when the others are gone", async () => {
  const grid = testGrid(4, { k: 2, happy: 3, n: 3 })
  const store = await grid.client()
  const plaintext = sample(9000)
  const ref = await store.chunks.putChunk(plaintext.slice())
  const holdings = await Promise.all(grid.servers.map(async ({ backend }) => (await backend.hasShares([ref.id]))[0]!))
  const [first, second, third] = grid.servers.filter((_, i) => holdings[i]!.length > 0)
  const shareOf = async (server: SwitchedServer) => (await server.backend.getShares([{ id: ref.id }]))[0]!
  const [a, b] = [await shareOf(first!), await shareOf(second!)]
  // Two servers hold the same share, one of them another one too: whichever it gives, both can be had.
  for (const [one, two] of [
    [a, b],
    [b, a],
  ]) {
    for (const server of grid.servers) server.empty()
    await first!.backend.putShares([one!], someBatch)
    await third!.backend.putShares([one!, two!], someBatch)
    const read = await (await grid.client()).chunks.getChunk(ref)
    assert.deepEqual(Buffer.from(read.subarray(0, plaintext.length)), Buffer.from(plaintext))
  }
})

test("a commit makes a chunk that too few servers hold anew, or is refused", async () => {
  const grid = testGrid(4, { k: 1, happy: 3, n: 3 })
  const { id } = await (await grid.client()).chunks.putChunk(sample(9000))
  const holdings = await Promise.all(grid.servers.map(async ({ backend }) => (await backend.hasShares([id]))[0]!))
  const [last, ...others] = grid.servers.toSorted(
    (a, b) => holdings[grid.servers.indexOf(b)]!.length - holdings[grid.servers.indexOf(a)]!.length,
  )
  for (const server of others) server.empty()
  for (const server of others.slice(1)) server.down = true
  await assert.rejects(commit(await grid.client(), [id]), { code: "ERR_NOT_ENOUGH_SERVERS" })
  for (const server of others) server.down = false
  assert.equal(await commit(await grid.client(), [id]), true)
  last!.empty()
  assert.equal((await (await grid.client()).checkChunk(id, { verify: true })).distinctServers, 2)
})

test("rebalance copies a missing share, and tells which place is not needed once the chunk is whole", async () => {
  const grid = testGrid(4, { k: 2, happy: 3, n: 3 })
  const store = await grid.client()
  const { id } = await store.chunks.putChunk(sample(9000))
  const held = async (server: SwitchedServer) => (await server.backend.hasShares([id]))[0]!
  const holdings = await Promise.all(grid.servers.map(held))
  const spare = grid.servers.find((_, i) => holdings[i]!.length === 0)!
  const [first, second] = grid.servers.filter((_, i) => holdings[i]!.length > 0)
  await spare.backend.putShares([(await first!.backend.getShares([{ id }]))[0]!], someBatch)
  first!.empty()
  second!.empty()
  assert.deepEqual(await store.rebalanceChunk(id), { moved: 1, surplus: [] })
  assert.equal((await held(spare)).length, 1)
  await store.checkChunk(id, { repair: true })
  assert.deepEqual(
    (await store.rebalanceChunk(id)).surplus.map((place) => place.id),
    [spare.backend.id],
  )
  assert.equal((await held(spare)).length, 1, "others may need it")
})

test("damaged shares are dropped one by one as long as k good ones are left", async () => {
  const grid = testGrid()
  const plaintext = sample(30_000)
  const ref = await (await grid.client()).chunks.putChunk(plaintext.slice())
  const flip = (share: Uint8Array) => share.map((byte, i) => (i === share.length - 1 ? byte ^ 1 : byte))
  grid.servers[1]!.tamper = flip
  grid.servers[4]!.tamper = (share) => share.subarray(0, 20)
  const read = await (await grid.client()).chunks.getChunk(ref)
  assert.deepEqual(Buffer.from(read.subarray(0, plaintext.length)), Buffer.from(plaintext))
  grid.servers[2]!.tamper = flip
  await assert.rejects((await grid.client()).chunks.getChunk(ref), { code: "ERR_NOT_ENOUGH_SHARES" })
})

test("a good share of another chunk, or of another coding, counts as damaged before any share is joined", async () => {
  const grid = testGrid()
  const store = await grid.client()
  const [ref, other] = [await store.chunks.putChunk(sample(20_000)), await store.chunks.putChunk(sample(30_000))]
  const foreign = await Promise.all(
    grid.servers.map(async ({ backend }) => (await backend.getShares([{ id: other.id }]))[0]!),
  )
  // All that the reader would need of the wrong chunk, from those it asks first.
  for (const [i, server] of grid.servers.entries()) server.tamper = () => foreign[i]!
  const failed = await (await grid.client()).chunks.getChunk(ref).catch((error) => error)
  assert.equal(failed.code, "ERR_NOT_ENOUGH_SHARES")
  assert.deepEqual({ needed: failed.details.needed, found: failed.details.found }, { needed: 3, found: 0 })
})

test("repair rebuilds what two emptied servers lost, without a key, and then the others may go", async () => {
  const grid = testGrid()
  const plaintext = sample(70_001)
  const ref = await (await grid.client()).chunks.putChunk(plaintext.slice())
  grid.servers[0]!.empty()
  grid.servers[1]!.empty()
  const store = await grid.client()
  assert.equal((await store.checkChunk(ref.id, { verify: true })).goodShares, 3)
  const repaired = await store.checkChunk(ref.id, { repair: true })
  assert.equal(repaired.placed, 2)
  assert.equal(repaired.goodShares, 5)
  assert.equal(repaired.distinctServers, 5)
  grid.servers[2]!.empty()
  grid.servers[3]!.down = true
  const read = await (await grid.client()).chunks.getChunk(ref)
  assert.deepEqual(Buffer.from(read.subarray(0, plaintext.length)), Buffer.from(plaintext))
})

test("repair gives every share a server of its own when servers hold the same one, or several", async () => {
  for (const holders of [
    [[0], [0], [1], [2], [3]],
    [[0, 1], [0], [1], [2], [3, 4]],
    [[0, 1, 2, 3, 4], [], [4], [], []],
  ]) {
    const grid = testGrid()
    const ref = await (await grid.client()).chunks.putChunk(sample(1000))
    const shares = new Map<number, Uint8Array>()
    for (const { backend } of grid.servers)
      for (const share of await backend.getShares([{ id: ref.id }])) shares.set(decodeShare(share!).index, share!)
    for (const [i, { backend, empty }] of grid.servers.entries()) {
      empty()
      await backend.putShares(
        holders[i]!.map((index) => shares.get(index)!),
        someBatch,
      )
    }
    const store = await grid.client()
    assert.ok((await store.checkChunk(ref.id)).distinctServers < 5)
    const repaired = await store.checkChunk(ref.id, { repair: true })
    assert.deepEqual([repaired.goodShares, repaired.distinctServers], [5, 5])
    for (const server of grid.servers.slice(0, 2)) server.down = true
    assert.ok((await (await grid.client()).chunks.getChunk(ref)).length >= 1000)
  }
})

test("threads of the worker pool start with the first piece that is worth one", async () => {
  const pool = createWorkerPool({ threads: 2, beforeThreadsBytes: 400_000 })
  let started = 0
  const count = () => void started++
  process.on("worker", count)
  const [secret, coding] = [new Uint8Array(32).fill(9), { k: 3, n: 5 }]
  try {
    for (const [length, threads] of [
      [1, 0],
      [200_000, 0],
      [300_000, 1],
      [1, 1],
    ] as const) {
      await pool.seal(sample(length), coding, secret)
      await new Promise((resolve) => process.nextTick(resolve)) // the event comes a tick after
      assert.equal(started, threads, `after ${length} bytes`)
    }
  } finally {
    process.off("worker", count)
    await pool.close()
  }
})

test("a second thread of the worker pool starts when the first one has two pieces to do", async () => {
  const pool = createWorkerPool({ threads: 2, beforeThreadsBytes: 0 })
  let started = 0
  const count = () => void started++
  process.on("worker", count)
  const seal = () => pool.seal(sample(300_000), { k: 3, n: 5 }, new Uint8Array(32).fill(9))
  try {
    for (const [i, threads] of [1, 1, 2].entries()) {
      await Promise.all(Array.from({ length: i + 1 }, seal))
      assert.equal(started, threads, `after ${i + 1} pieces at once`)
    }
  } finally {
    process.off("worker", count)
    await pool.close()
  }
})

for (const beforeThreadsBytes of [0, 1024 * 1024])
  test(`the worker pool makes the same chunk as the calling thread and opens it again, with ${beforeThreadsBytes} bytes before threads`, async () => {
    const buffers = new BufferPool({ maxIdleBytes: 0 })
    const deps = { crypto: nodeEnv.crypto, erasure: await createErasure(), buffers }
    const local = createLocalPipeline(deps)
    const pool = createWorkerPool({ threads: 2, beforeThreadsBytes })
    const secret = new Uint8Array(32).fill(9)
    const coding = { k: 3, n: 5 }
    try {
      for (const length of [1, 5000, 4 * 1024 * 1024]) {
        const here = await local.seal(sample(length), coding, secret)
        const there = await pool.seal(sample(length), coding, secret)
        assert.deepEqual(Buffer.from(there.id), Buffer.from(here.id))
        const result = await pool.open(
          there.id,
          there.key,
          [4, 1, 3].map((i) => there.shares[i]!),
        )
        assert.ok("plaintext" in result)
        assert.ok(Buffer.from(result.plaintext.subarray(0, length)).equals(Buffer.from(sample(length))))
      }
    } finally {
      await pool.close()
    }
  })

for (const kind of ["thread", "worker"])
  test(`a large plaintext lies in memory that is used again, and damaged shares come back as they were (${kind})`, async () => {
    const buffers = new BufferPool({ maxIdleBytes: 64 * 1024 * 1024 })
    const deps = { crypto: nodeEnv.crypto, erasure: await createErasure(), buffers }
    const pool = kind === "thread" ? createLocalPipeline(deps) : createWorkerPool({ threads: 1, beforeThreadsBytes: 0 })
    try {
      const length = 4 * 1024 * 1024
      const sealed = await pool.seal(sample(length), { k: 3, n: 5 }, new Uint8Array(32).fill(9))
      const some = () => [4, 1, 3].map((i) => sealed.shares[i]!.slice())
      const bad = some()
      bad[1]![bad[1]!.length - 1]! ^= 1
      const before = bad.map((share) => Buffer.from(share))
      const refused = await pool.open(sealed.id, sealed.key, bad)
      assert.ok("damaged" in refused)
      assert.deepEqual(refused.damaged, [1])
      for (const [i, share] of refused.shares.entries()) assert.ok(before[i]!.equals(share))
      const seen = new Set<ArrayBufferLike>()
      for (let round = 0; round < 3; round++) {
        const opened = await pool.open(sealed.id, sealed.key, some())
        assert.ok("plaintext" in opened)
        assert.ok(Buffer.from(opened.plaintext).equals(Buffer.from(sample(length))), `round ${round}`)
        assert.ok(pool.buffers.isWhole(opened.plaintext))
        if (kind === "thread") seen.add(opened.plaintext.buffer)
        pool.buffers.give(opened.plaintext)
      }
      if (kind === "thread") assert.equal(seen.size, 1)
    } finally {
      await pool.close()
    }
  })

test("shares that were just sealed here are not hashed again before they are stored; any copy of one is", async () => {
  let hashed = 0
  const { crypto } = nodeEnv
  const counting: CryptoProvider = {
    ...crypto,
    sha256: (...parts) => {
      hashed++
      return crypto.sha256(...parts)
    },
    sha256Blocks: (...given) => {
      hashed++
      return crypto.sha256Blocks(...given)
    },
  }
  const pools = [
    createLocalPipeline({
      crypto: nodeEnv.crypto,
      erasure: await createErasure(),
      buffers: new BufferPool({ maxIdleBytes: 0 }),
    }),
    createWorkerPool({ threads: 1, beforeThreadsBytes: 0 }),
  ]
  for (const pool of pools) {
    const { shares, id } = await pool.seal(sample(300_000), { k: 2, n: 3 }, new Uint8Array(32).fill(9))
    hashed = 0
    for (const share of shares) assert.deepEqual((await verifyShare(counting, share)).id, id)
    assert.equal(hashed, 0)
    const copy = shares[2]!.slice()
    await verifyShare(counting, copy)
    assert.ok(hashed > 0)
    copy[copy.length - 1]! ^= 1
    await assert.rejects(verifyShare(counting, copy), { code: "ERR_CORRUPT" })
    await pool.close()
  }
})

test("padding never shrinks, adds at most 12 %, and leaves full chunks alone", () => {
  for (let length = 1; length < 100_000; length += 7) {
    const padded = paddedLength(length)
    assert.ok(padded >= length && padded <= Math.ceil(length * 1.12) + 1, `${length} became ${padded}`)
  }
  assert.equal(paddedLength(4 * 1024 * 1024), 4 * 1024 * 1024)
  assert.equal(paddedLength(9), 10)
})

for (const options of [{}, { verify: true }, { repair: true }])
  test(`shares of a later version are no damage: who holds them counts as away (${JSON.stringify(options)})`, async () => {
    const grid = testGrid()
    const ref = await (await grid.client()).chunks.putChunk(sample(70_001))
    const later = (share: Uint8Array) => share.map((byte, i) => (i === 3 ? 9 : i < 3 ? byte : byte ^ 1))
    for (const server of grid.servers) server.tamper = later
    const all = await (await grid.client()).checkChunk(ref.id, options)
    assert.deepEqual([all.goodShares, all.corrupt, all.placed], [0, [], 0])
    const away = grid.servers.map(({ backend }) => [backend.id, "it holds shares that need a newer Holdfast"])
    assert.deepEqual([...all.silent].sort(), away)
    await assert.rejects((await grid.client()).chunks.getChunk(ref), (error: HoldfastError) => {
      assert.match(error.message, /its share needs a newer Holdfast.*update this Holdfast/s)
      return Number(error.details["unanswered"]) >= 5
    })
  })
