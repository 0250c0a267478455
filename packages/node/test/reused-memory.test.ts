/** Answers lie in memory that is used again: what one client is sent must never have become another's. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { makeAccount, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { connect, grantFor, newGrid } from "./fixtures.ts"

test("answers are what was stored while others of the same size are read, given up and put beside them", async (t) => {
  const grid = await newGrid()
  t.after(() => grid.remove())
  const alice = await grid.member("alice", "client", "alice")
  const grant = await grantFor(alice, await makeAccount(crypto))
  const node = await grid.start()
  t.after(() => node.close())
  const backends = Array.from({ length: 3 }, () => connect(node.address, alice, { grant }))
  t.after(() => Promise.all(backends.map((backend) => backend.close())))
  const chunks = await Promise.all(Array.from({ length: 8 }, () => randomChunk(crypto, 1_500_000)))
  for (const { shares } of chunks)
    for (const outcome of await backends[0]!.putShares([shares[0]!], newBatch(crypto))) assert.equal(outcome.ok, true)
  const work = async (i: number) => {
    const { id, shares } = chunks[i % chunks.length]!
    const backend = backends[i % backends.length]!
    const query = [{ id, index: 0 }]
    const leaving = new AbortController()
    const left = backend.getShares(query, { signal: leaving.signal }).catch(() => undefined)
    setTimeout(() => leaving.abort(), i % 7)
    const again = backend.putShares([shares[1]!], newBatch(crypto))
    const [share] = await backend.getShares(query)
    assert.ok(share && Buffer.compare(share, shares[0]!) === 0, "a share came back as something else")
    await Promise.all([left, again])
  }
  for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: 12 }, (_, i) => work(i + round)))
})
