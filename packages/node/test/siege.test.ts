import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Identity } from "@holdfast/network"
import { makeAccount, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { checkHonest, measured } from "../../network/test/honest.ts"
import { besiege } from "../../network/test/siege.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"

let grid: TestGrid
let alice: Identity

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
})
after(() => grid.remove())

const addresses = Array.from({ length: 8 }, (_, i) => `127.0.0.${i + 2}`)

for (const [kind, each] of [
  ["silent", 130],
  ["half-request", 12],
] as const)
  test(`a member stores and reads 20 times of 20 while strangers besiege the node: ${kind}`, async (t) => {
    const node = await grid.start({ dir: `${grid.dir}/siege-${kind}` })
    t.after(() => node.close())
    const account = await makeAccount(crypto)
    const grant = await grantFor(alice, account)
    const work = async () => {
      const backend = connect(node.address, alice, { grant }) // with connections of its own
      const { id, shares } = await randomChunk(crypto, 1000)
      for (const outcome of await backend.putShares(shares, newBatch(crypto))) assert.equal(outcome.ok, true)
      assert.equal((await backend.hasShares([id]))[0]?.length, shares.length)
      await backend.close()
    }
    const quiet = await measured(10, work)
    const { opened } = await besiege(t, { port: node.port, addresses, each, kind })
    assert.ok(opened() >= addresses.length * each * 0.9)
    checkHonest(t, quiet, await measured(20, work), 512 * 2 ** 20)
  })
