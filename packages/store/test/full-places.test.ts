/** Registers over places of which some have no room: nobody is kept from reading by it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { createMemorySeen, createRegisterStore } from "@holdfast/store"
import { createMemoryChunks } from "@holdfast/store/testing"
import { newKeys, owner } from "./fixture.ts"

const parts = (length: number) => ({ content: utf8("x".repeat(length)), care: utf8("") })

test("a value that only some places had room for is brought to the others by whoever reads", async () => {
  const quotas = [1_000_000, 50_000, 50_000, 50_000, 50_000]
  const backends = quotas.map((quotaBytes, i) =>
    createMemoryPlace(`n${i}`, nodeCrypto, { quotaBytes }).backendOf(owner),
  )
  const open = () =>
    createRegisterStore({
      ...{ env: nodeEnv, backends, mode: "crash", seen: createMemorySeen() },
      chunks: createMemoryChunks(nodeCrypto),
    })
  const keys = await newKeys()
  const writer = open()
  assert.ok(await writer.write(keys, 0, parts(30_000)))
  await assert.rejects(writer.write(keys, 1, parts(60_000)), /quota of 50000/)
  assert.equal((await open().read(keys))?.sequence, 2)
})
