import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { openDirectoryBackend } from "@holdfast/backends/directory"
import { isHoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { toReadCap, type VolumeDescription } from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { createMemorySeen, createStore } from "@holdfast/store"
import { VirtualClock } from "@holdfast/store/testing"
import { directoryFence, fenceNameOf } from "../src/volumes/fence.ts"
import { fenced, tellingMoves } from "../src/volumes/fenced.ts"

test("who watches a register in a volume that moves away is told of the move", async (t) => {
  const path = await mkdtemp(join(tmpdir(), "holdfast-fenced-"))
  t.after(() => rm(path, { recursive: true, force: true }))
  const clock = new VirtualClock()
  const backend = await openDirectoryBackend({ id: "d1", dir: path, crypto, clock, access: await makeAccount(crypto) })
  const fence = directoryFence(path)
  const volume = { id: "v", name: "home" } as VolumeDescription
  const place = fenced(backend, fence, volume, crypto)
  const store = await createStore({
    env: { crypto, clock },
    servers: [{ backend: place.backend, weight: 1 }],
    coding: { k: 1, happy: 1, n: 1 },
    registerMode: "crash",
    seen: createMemorySeen(),
  })
  t.after(() => store.close())
  const registers = tellingMoves(store.registers, [place])
  const seed = crypto.random(32)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "dw", seed })
  const keys = { seed, publicKey, readKey }
  const parts = (text: string) => ({ content: utf8(text), care: new Uint8Array() })
  assert.equal(await clock.until(registers.write(keys, 0, parts("one"))), true)
  const told: string[] = []
  const watching = (async () => {
    for await (const { content } of registers.watch(keys)) told.push(Buffer.from(content).toString())
  })()
  watching.catch(() => undefined)
  await clock.pass(1_000)
  assert.equal(await clock.until(registers.write(keys, 1, parts("two"))), true)
  await clock.pass(1_000)
  assert.deepEqual(told, ["one", "two"])
  await fence.keep(fenceNameOf("sealed", 2), utf8("sealed"))
  await assert.rejects(clock.until(watching, 60_000), (error) => isHoldfastError(error, "ERR_MOVED"))
})
