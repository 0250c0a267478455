/** What a malicious writer stored is named by the commands that look after it. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { encodeCap } from "@holdfast/protocol"
import { makeTwoFaced } from "@holdfast/store/testing"
import { createHarness } from "./files-harness.ts"

test("check and rebalance name a chunk whose parity does not follow from its data, say why, and end with 5", async (t) => {
  const { run, json, folder, backends } = await createHarness(t)
  const batch = nodeCrypto.random(16)
  const deps = { crypto: nodeCrypto, erasure: await createErasure() }
  const texts = [1, 2].map((fill) => new Uint8Array(5000).fill(fill))
  const chunk = await makeTwoFaced(deps, { k: 2, n: 4 }, texts, [0, 0, 1, 1])
  for (const [i, share] of chunk.shares.entries()) await backends[i]!.putShares([share], { batch })
  const place = `@file:${join(folder, "verify.cap")}`
  writeFileSync(join(folder, "verify.cap"), encodeCap({ kind: "cv", chunkIds: chunk.id }), { mode: 0o600 })
  for (const flag of ["--verify", "--repair"]) {
    const text = await run("check", place, flag)
    assert.match(text, new RegExp(`inconsistent: chunk ${toHex(chunk.id)}`))
    assert.match(text, /no repair mends it/)
    assert.equal(process.exitCode, 5)
    process.exitCode = 0
    const report = await json<{ ok: boolean; inconsistentChunks: string[]; placed: number }>("check", place, flag)
    assert.deepEqual([report.ok, report.inconsistentChunks, report.placed], [false, [toHex(chunk.id)], 0])
    process.exitCode = 0
  }
  // Two shares on one server give a rebalance something to move, and so to read.
  await backends[0]!.putShares([...chunk.shares], { batch })
  const moved = await json<{ moved: number; inconsistent: string[] }>("rebalance", place)
  assert.deepEqual([moved.moved, moved.inconsistent], [0, [toHex(chunk.id)]])
  assert.equal(process.exitCode, 5)
  process.exitCode = 0
})
