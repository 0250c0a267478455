/** Calls that are stopped: they end at once whatever the servers do, their requests end too, and nobody else notices. */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { createMemoryPlace, type MemoryPlace } from "@holdfast/backends"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import type { Backend, CallOptions } from "@holdfast/protocol"
import { type ChunkRef, createMemorySeen, createStore, IdSet, type Store, type StoreDeps } from "@holdfast/store"
import { collectorOf, emptyParts, newKeys, owner } from "./fixture.ts"

/** Requests that servers were sent, and whether these answer. */
interface Wire {
  isSilent: boolean
  readonly sent: { readonly name: string; readonly signal: AbortSignal | undefined }[]
}

const asks = [
  "putShares",
  "markShares",
  "getShares",
  "getBlocks",
  "hasShares",
  "readRegisters",
  "proposeRegisters",
] as const
const others = ["confirmMarks", "listMarks", "listRegisters", "collectToken", "unmark", "keptValues", "usage"] as const

/** A place whose requests are seen, and that heeds signals as nodes and buckets do. */
function wired(backend: Backend, wire: Wire): Backend {
  const wrap = (name: (typeof asks)[number] | (typeof others)[number]) => {
    const call = backend[name].bind(backend) as (...args: unknown[]) => Promise<unknown>
    return async (...args: unknown[]) => {
      const options = args.findLast((arg) => typeof arg === "object" && !Array.isArray(arg)) as CallOptions | undefined
      wire.sent.push({ name, signal: options?.signal })
      options?.signal?.throwIfAborted()
      if (!wire.isSilent) return call(...args)
      return new Promise((_, reject) => {
        options?.signal?.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")))
      })
    }
  }
  return { ...backend, ...Object.fromEntries([...asks, ...others].map((name) => [name, wrap(name)])) }
}

interface Rig {
  readonly store: Store
  readonly wire: Wire
  readonly places: readonly MemoryPlace[]
}

const coding = { k: 3, happy: 4, n: 5 }

async function rig(options: Pick<StoreDeps, "signal"> = {}, of?: Rig): Promise<Rig> {
  const places = of?.places ?? Array.from({ length: 5 }, (_, i) => createMemoryPlace(`n${i + 1}`, nodeCrypto))
  const wire: Wire = { isSilent: false, sent: [] }
  const servers = places.map((place) => ({ backend: wired(place.backendOf(owner), wire), weight: 1 }))
  const store = await createStore({
    ...{ env: nodeEnv, servers, account: owner.account, coding, registerMode: "crash" as const },
    ...{ seen: createMemorySeen(), hedgeMs: 50, ...options },
  })
  return { store, wire, places }
}

const stopped = new Error("stopped by its caller")
function setOf(...ids: readonly Uint8Array[]): IdSet {
  const set = new IdSet(nodeCrypto)
  for (const id of ids) set.add(id)
  return set
}

const someBytes = () => nodeCrypto.random(300_000)

/** Aborts once the servers have been asked; the call must end for that reason, and so must all that it had sent. */
async function endsAtOnce(wire: Wire, call: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const controller = new AbortController()
  wire.isSilent = true
  wire.sent.length = 0
  const work = call(controller.signal)
  work.catch(() => undefined)
  while (wire.sent.length === 0) await sleep(1)
  await sleep(5)
  controller.abort(stopped)
  await assert.rejects(Promise.race([work, sleep(2000, "still waiting")]), (error) => error === stopped)
  for (const { name, signal } of wire.sent) assert.ok(signal?.aborted, `${name} goes on`)
  wire.isSilent = false
}

describe("a call that its signal stops while servers are silent ends for that reason, and so do its requests", () => {
  const calls: Record<
    string,
    (at: Rig & { ref: ChunkRef; keys: Awaited<ReturnType<typeof newKeys>> }, signal: AbortSignal) => Promise<unknown>
  > = {
    "a read of a chunk": ({ store, ref }, signal) => store.chunks.getChunk(ref, { signal }),
    "a read of a range": ({ store, ref }, signal) => store.chunks.readRange(ref, { offset: 5, length: 9 }, { signal }),
    "a put of a new chunk": ({ store }, signal) => store.chunks.putChunk(someBytes(), { signal }),
    "a put of what may be there": ({ store, ref }, signal) =>
      store.chunks.putChunk(new Uint8Array(300_000).fill(7), { before: ref, signal }),
    "a read of a register": ({ store, keys }, signal) => store.registers.read(keys, { signal }),
    "a read of its care": ({ store, keys: { publicKey, readKey } }, signal) =>
      store.registers.readCare({ publicKey, verifyKey: readKey }, { signal }),
    "a write": ({ store, keys }, signal) => store.registers.write(keys, 1, emptyParts, { signal }),
    "a write that marks chunks": ({ store, keys, ref }, signal) =>
      store.registers.write(keys, 1, emptyParts, { chunks: [ref.id], signal }),
  }
  for (const [name, call] of Object.entries(calls))
    test(name, async () => {
      const first = await rig()
      const ref = await first.store.chunks.putChunk(new Uint8Array(300_000).fill(7))
      const keys = await newKeys()
      assert.ok(await first.store.registers.write(keys, 0, emptyParts))
      const own = await rig({}, first) // with nothing cached
      await endsAtOnce(own.wire, (signal) => call({ ...own, ref, keys }, signal))
      // Nothing is remembered against the servers.
      assert.equal((await own.store.chunks.getChunk(ref)).length >= 300_000, true)
      assert.equal((await own.store.registers.read(keys))?.sequence, 1)
    })
})

test("of two who wait for one request the one that is stopped ends nothing of the other", async () => {
  const { store, wire } = await rig()
  const [a, b] = [await store.chunks.putChunk(someBytes()), await store.chunks.putChunk(someBytes())]
  const [one, two] = [new AbortController(), new AbortController()]
  wire.sent.length = 0
  const reads = [a, b].map((ref, i) => store.chunks.getChunk(ref, { signal: [one, two][i]!.signal }))
  reads[0]!.catch(() => undefined)
  queueMicrotask(() => queueMicrotask(() => one.abort(stopped)))
  await assert.rejects(reads[0]!, (error) => error === stopped)
  assert.equal((await reads[1]!).length >= 300_000, true)
})

test("what nobody waits for any more is not sent", async () => {
  const { store, wire } = await rig()
  const refs = []
  for (let i = 0; i < 40; i++) refs.push(await store.chunks.putChunk(nodeCrypto.random(1000)))
  const controller = new AbortController()
  wire.isSilent = true
  wire.sent.length = 0
  const reads = refs.map((ref) => store.chunks.getChunk(ref, { signal: controller.signal }))
  controller.abort(stopped)
  for (const read of await Promise.allSettled(reads)) assert.equal((read as PromiseRejectedResult).reason, stopped)
  await sleep(20)
  assert.deepEqual(wire.sent, [])
})

test("the signal of a store ends all of its work, and nothing is said to be lost or taken away", async () => {
  const first = await rig()
  const kept = await first.store.chunks.putChunk(someBytes())
  const calls: ((store: Store) => Promise<unknown>)[] = [
    (store) => store.chunks.getChunk(kept),
    (store) => store.checkChunk(kept.id, { verify: true }),
    (store) => store.rebalanceChunk(kept.id),
    (store) => store.sampleBlock(kept.id),
    (store) => store.hold(setOf(kept.id), setOf()),
    (store) => store.beginCollection(),
  ]
  for (const call of calls) {
    const controller = new AbortController()
    const { store, wire } = await rig({ signal: controller.signal }, first)
    await endsAtOnce(wire, (signal) => {
      signal.addEventListener("abort", () => controller.abort(signal.reason))
      return call(store)
    })
    await assert.rejects(call(store), (error) => error === stopped)
    await store.close()
  }
})

test("a collection that is stopped after it has begun takes nothing away", async () => {
  const first = await rig()
  const kept = await first.store.chunks.putChunk(someBytes())
  const controller = new AbortController()
  const { store } = await rig({ signal: controller.signal }, first)
  const collection = await store.beginCollection()
  controller.abort(stopped)
  const run = collection.run({ live: setOf(), registers: setOf(), collector: collectorOf(owner), graceMs: 0 })
  await assert.rejects(run, (error) => error === stopped)
  assert.equal((await first.store.checkChunk(kept.id)).goodShares, 5)
})
