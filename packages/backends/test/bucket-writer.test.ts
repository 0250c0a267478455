/** What a writer of a bucket is told when his marks, or what they name, go while he commits. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { makeAccount, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { accountPrefix, condemnedKey, retireKey, shareKey } from "../src/s3/keys.ts"
import { condemnedRecord, encodeCondemned, encodeRetired } from "../src/s3/lists.ts"
import { hourMs, newBucket, newRegister } from "./bucket-fixture.ts"
import type { MemoryBucket, Request } from "./memory-bucket.ts"

interface Moment {
  readonly bucket: MemoryBucket
  readonly lay: (key: string, bytes: Uint8Array) => void
  /** Keys of the writer's marks. */
  readonly marks: () => string[]
  readonly account: Uint8Array
  readonly chunk: Awaited<ReturnType<typeof randomChunk>>
}

/** What happens right before a request of the writer's. */
interface Event {
  readonly at: (request: Request) => boolean
  readonly what: (moment: Moment) => void | Promise<void>
}

/** A commit of one share by a client beside whom these things happen, one after another. */
async function commitWith(events: readonly Event[], listDelayMs = 0) {
  const left: Event[] = []
  const { bucket, open, lay } = newBucket({
    listDelayMs,
    before: async (client, request) => {
      if (client !== "writer" || !left[0]?.at(request)) return
      await left.shift()!.what({ bucket, lay, marks, account: access.account, chunk })
    },
  })
  const access = await makeAccount(crypto)
  const chunk = await randomChunk(crypto, 300)
  const marks = () => bucket.keys(accountPrefix(access.account)).filter((key) => !key.includes("!"))
  const writer = await open({ access, client: "writer" })
  const batch = newBatch(crypto)
  await writer.putShares([chunk.shares[0]!], batch)
  const { value } = await newRegister()
  left.push(...events)
  bucket.requests.length = 0
  const [outcome] = await writer.proposeRegisters([await value(1)], batch)
  assert.deepEqual(left, [])
  const looks = bucket.requests.filter(({ kind, key }) => kind === "list" && key === "fence/").length
  return { bucket, chunk, outcome: outcome!, marks: marks(), looks }
}

const vouched = { accepted: true, vouches: true }
const atValue = ({ kind, key }: Request) => kind === "put" && key.startsWith("registers/")

for (const listDelayMs of [0, hourMs])
  it(`marks that go while the value is written are put again${listDelayMs ? ", where lists lag too" : ""}`, async () => {
    let before: string[] = []
    const gone = async ({ bucket, marks }: Moment) => {
      before = marks()
      for (const key of before) await bucket.connect("collector").remove(key)
    }
    const { outcome, marks } = await commitWith([{ at: atValue, what: gone }], listDelayMs)
    assert.deepEqual(outcome, vouched)
    assert.equal(marks.length, 1)
    assert.notDeepEqual(marks, before)
  })

/** A collection says that it is about to take the marks. */
const retire: Event = {
  at: atValue,
  what: async ({ account, lay, marks }) => {
    const names = marks().map((key) => key.slice(accountPrefix(account).length))
    lay(retireKey(account, new Uint8Array(16)), await encodeRetired(crypto, names))
  },
}

it("marks that a collection is about to take are put again behind them", async () => {
  const { outcome, marks } = await commitWith([retire])
  assert.deepEqual(outcome, vouched)
  assert.equal(marks.length, 2)
})

it("marks that a collection took between the list of them and its word are put again", async () => {
  let before: string[] = []
  const take: Event = {
    at: ({ kind, key }) => kind === "get" && key.includes("!retire"),
    what: ({ account, bucket, marks }) => {
      before = marks()
      for (const key of [...before, retireKey(account, new Uint8Array(16))]) bucket.objects.delete(key)
    },
  }
  const { outcome, marks } = await commitWith([retire, take])
  assert.deepEqual(outcome, vouched)
  assert.equal(marks.length, 1)
  assert.notDeepEqual(marks, before)
})

const later: Event = {
  at: atValue,
  what: ({ bucket }) => {
    bucket.nowMs += 13 * hourMs
  },
}

it("a commit that took longer than half the grace looks again whether its shares are there", async () => {
  const { outcome, looks } = await commitWith([later])
  assert.deepEqual([outcome, looks], [vouched, 2])
  const moved: Event = {
    at: ({ kind }) => kind === "list",
    what: ({ bucket, chunk, lay }) => {
      bucket.objects.delete(shareKey(chunk.id, 0))
      lay(shareKey(chunk.id, 0, 1), chunk.shares[0]!) // somebody else's
    },
  }
  const gone = await commitWith([later, moved])
  assert.ok(!gone.outcome.accepted && gone.outcome.marksGone, "what lies elsewhere is not what was marked")
})

it("what is condemned while a writer looks whether it is there is not acknowledged", async () => {
  const condemned: Event = {
    at: ({ kind, key }) => kind === "list" && key.startsWith("shares/"),
    what: async ({ chunk, lay }) => {
      const list = condemnedRecord({ kind: "share", id: chunk.id, index: 0, generation: 0 })
      lay(condemnedKey("0123456789abcdef"), await encodeCondemned(crypto, list))
    },
  }
  const { outcome } = await commitWith([later, condemned])
  assert.ok(!outcome.accepted && outcome.marksGone)
})

it("one command may mark for other accounts beside its own, and for its own alone", async () => {
  const { bucket, open } = newBucket()
  const [own, other] = [await makeAccount(crypto), await makeAccount(crypto)]
  const [theirs, mine] = [await randomChunk(crypto, 300), await randomChunk(crypto, 300)]
  const writer = await open({ access: own })
  const batch = newBatch(crypto)
  await writer.putShares([theirs.shares[0]!], { ...batch, accounts: [other.account] })
  await writer.putShares([mine.shares[0]!], batch)
  const { value } = await newRegister()
  assert.deepEqual(await writer.proposeRegisters([await value(1)], batch), [vouched])
  const held = async (access: typeof own) =>
    (await (await open({ access })).listMarks({ limit: 9 })).map(({ id }) => toHex(id)).sort()
  assert.deepEqual(await held(own), [theirs.id, mine.id].map(toHex).sort())
  assert.deepEqual(await held(other), [toHex(theirs.id)])
  assert.equal(bucket.keys("marks/").length, 3)
})

it("a command that relies on what is condemned shows nobody its value, and is refused from then on", async () => {
  const { bucket, open, lay } = newBucket()
  const { id, shares } = await randomChunk(crypto, 300)
  await (await open()).putShares([shares[0]!], newBatch(crypto))
  const copier = await open()
  const batch = newBatch(crypto)
  await copier.markShares([id], batch)
  const key = condemnedKey("0123456789abcdef")
  lay(key, await encodeCondemned(crypto, condemnedRecord({ kind: "share", id, index: 0, generation: 0 })))
  const { value } = await newRegister()
  for (let attempt = 0; attempt < 2; attempt++) {
    const [outcome] = await copier.proposeRegisters([await value(1)], batch)
    assert.ok(outcome && !outcome.accepted && outcome.marksGone)
    assert.deepEqual(bucket.keys("registers/"), [])
    bucket.objects.delete(key)
  }
})

it("a command whose own shares are gone when it ends after long shows nobody its value", async () => {
  for (const isGone of [true, false]) {
    const { bucket, open } = newBucket()
    const writer = await open()
    const batch = newBatch(crypto)
    const { id, shares } = await randomChunk(crypto, 300)
    await writer.putShares([shares[0]!], batch)
    bucket.nowMs += 13 * hourMs
    if (isGone) bucket.objects.delete(shareKey(id, 0))
    const { value } = await newRegister()
    const [outcome] = await writer.proposeRegisters([await value(1)], batch)
    assert.equal(outcome!.accepted, !isGone)
    assert.equal(bucket.keys("registers/").length, isGone ? 0 : 1)
  }
})
