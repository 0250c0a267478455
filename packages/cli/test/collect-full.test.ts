/** Collecting where a quota is used up to its last byte, with what is beyond it for removals: only a collection can free it then. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import type { Backend } from "@holdfast/protocol"
import { newBatch, randomChunk } from "@holdfast/protocol/testing"
import { exitCodeOf } from "../src/exit-codes.ts"
import { createHarness } from "./files-harness.ts"

const day = 86_400_000

/** Stores junk until not even another mark is taken. */
async function fill(backend: Backend): Promise<void> {
  const { id, shares: first } = await randomChunk(nodeCrypto, 16, 1)
  await backend.putShares(first, { ...newBatch(nodeCrypto), forRemoval: true })
  for (const sizeBytes of [60_000, 10_000, 1_000, 100, 16])
    for (let isFull = false; !isFull; ) {
      const { shares } = await randomChunk(nodeCrypto, sizeBytes, 1)
      const [outcome] = await backend.putShares(shares, { ...newBatch(nodeCrypto), forRemoval: true })
      isFull = !outcome!.ok
    }
  for (let isFull = false; !isFull; ) {
    const options = { ...newBatch(nodeCrypto), forRemoval: true }
    isFull = !(await backend.markShares([id], options))[0]!.ok
  }
}

test("gc frees what is not needed where neither quota nor what is beyond it for removals has a byte left", async (t) => {
  const harness = await createHarness(t, (access, { nowMs }) =>
    Array.from({ length: 5 }, (_, i) =>
      createMemoryPlace(`n${i + 1}`, nodeCrypto, { nowMs, quotaBytes: 400_000 }).backendOf(access),
    ),
  )
  const { run, json, folder, backends } = harness
  for (const name of ["a", "b", "c"]) {
    fs.writeFileSync(`${folder}/${name}`, Buffer.alloc(100_000, name))
    await run("put", `${folder}/${name}`, `home:/${name}`)
  }
  await run("rm", "home:/a", "home:/b")
  await run("keep", "none")
  await harness.reopen()
  for (const backend of backends) await fill(backend)
  await assert.rejects(run("put", `${folder}/a`, "home:/again"), /quota of 400000 bytes/)
  for (let i = 0; i < 6; i++) await run("gc") // each writes a little, and all is too young to go
  harness.pass(2 * day)
  const { shares } = await json<{ shares: number }>("gc")
  assert.ok(shares > 0, `${shares} shares were freed`)
  await harness.reopen()
  await run("rm", "home:/c")
  assert.equal((await run("ls", "home:")).trim(), "")
})

test("wherever in a command a quota is used up, the command says that", async (t) => {
  const said = new Set<string>()
  for (let leftBytes = 0; leftBytes <= 6_000; leftBytes += 250) {
    const harness = await createHarness(t, (access, { nowMs }) =>
      Array.from({ length: 5 }, (_, i) =>
        createMemoryPlace(`n${i + 1}`, nodeCrypto, { nowMs, quotaBytes: 200_000 }).backendOf(access),
      ),
    )
    for (const backend of harness.backends) await fillUpTo(backend, 200_000 - leftBytes)
    const error: unknown = await harness.run("alias", "create", `tree-${leftBytes}`).catch((thrown: unknown) => thrown)
    if (!(error instanceof HoldfastError)) continue
    assert.equal(error.code, "ERR_QUOTA_EXCEEDED", `${leftBytes} bytes left: ${error.message}`)
    assert.equal(exitCodeOf(error), 6)
    said.add(/needed ([a-z]+ [a-z]+)/.exec(error.message)?.[1] ?? error.message)
  }
  assert.ok(said.has("took it"), `no value was refused: ${[...said].join("; ")}`)
})

/** Stores junk until less than a row is left below so many bytes. */
async function fillUpTo(backend: Backend, bytes: number): Promise<void> {
  for (;;) {
    const { usedBytes } = await backend.usage()
    const sizeBytes = Math.min(50_000, bytes - usedBytes - 600)
    if (sizeBytes < 1) return
    const { shares } = await randomChunk(nodeCrypto, sizeBytes, 1)
    await backend.putShares(shares, newBatch(nodeCrypto))
  }
}
