/** Places that come and go while calls are under way. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { nodeEnv } from "@holdfast/core/node"
import type { Backend } from "@holdfast/protocol"
import { Places } from "../src/places.ts"

/** A place whose answers wait until `answer`, and that counts how often it is closed. */
function slowPlace(id: string) {
  const memory = createMemoryBackend(id, nodeEnv.crypto)
  const answering = Promise.withResolvers<void>()
  const seen = { closed: 0 }
  const backend: Backend = {
    ...memory,
    async hasShares(ids) {
      await answering.promise
      return memory.hasShares(ids)
    },
    async close() {
      seen.closed++
    },
  }
  return { backend, seen, answer: answering.resolve }
}

const placesOf = (...backends: Backend[]) =>
  new Places(
    backends.map((backend) => ({ backend, weight: 1 })),
    { clock: nodeEnv.clock, wrap: (backend) => backend },
  )
const chunk = new Uint8Array(32)

test("a place that left is closed when its last call has ended, once, and is asked nothing more", async () => {
  const { backend, seen, answer } = slowPlace("a")
  const places = placesOf(backend)
  const [used] = places.backends
  const asked = used!.hasShares([chunk])
  places.follow([])
  await assert.rejects(used!.hasShares([chunk]), { code: "ERR_SERVER_UNREACHABLE" })
  assert.equal(seen.closed, 0)
  answer()
  assert.deepEqual(await asked, [[]])
  assert.equal(seen.closed, 1)
  await places.close()
  assert.equal(seen.closed, 1)
})

test("closing closes a place that left and whose call never ends", async () => {
  const { backend, seen } = slowPlace("a")
  const places = placesOf(backend)
  void places.backends[0]!.hasShares([chunk])
  places.follow([])
  await places.close()
  assert.equal(seen.closed, 1)
})

test("a place that comes back before its last call has ended goes on", async () => {
  const { backend, seen, answer } = slowPlace("a")
  const places = placesOf(backend)
  const asked = places.backends[0]!.hasShares([chunk])
  places.follow([])
  places.follow([{ backend, weight: 1 }])
  answer()
  assert.deepEqual(await asked, [[]])
  assert.deepEqual(await places.backends[0]!.hasShares([chunk]), [[]])
  assert.equal(seen.closed, 0)
  await places.close()
  assert.equal(seen.closed, 1)
})
