import assert from "node:assert/strict"
import { after, before, type TestContext, test } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Identity } from "@holdfast/network"
import { makeAccount, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { checkHonest, measured } from "../../network/test/honest.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"
import { dataFrames, dialRaw, requestFrame } from "./raw.ts"

const mib = 1024 * 1024
const memoryBytes = 256 * mib

let grid: TestGrid
let alice: Identity

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
})
after(() => grid.remove())

/** Bodies of 16 MiB that come drop by drop, until the test ends; who is ended comes again. */
function pester(t: TestContext, address: string, who: Identity, eagerBytes: number): { readonly ended: () => number } {
  let ended = 0
  let isOver = false
  const begin = () => {
    const socket = dialRaw(address, who)
    socket.write(requestFrame(1, "shares/put", 16 * mib))
    socket.write(dataFrames(1, new Uint8Array(eagerBytes)))
    const drops = setInterval(() => socket.write(dataFrames(1, new Uint8Array(1))), 500)
    socket.once("data", () => {
      ended++
      socket.destroy()
    })
    socket.once("close", () => {
      clearInterval(drops)
      if (!isOver) setTimeout(() => !isOver && begin(), 1_000)
    })
    t.after(() => {
      isOver = true
      socket.destroy()
    })
  }
  begin()
  return { ended: () => ended }
}

// What is sent at once asks for all 16 MiB, or for the second size of a body.
for (const [tenants, each, eagerBytes] of [
  [4, 9, 2.2 * mib],
  [40, 2, 300 * 1024],
  [40, 4, 300 * 1024],
] as const)
  test(`an honest client works while ${tenants} tenants with ${each} slow requests each hold all memory that they can get, which stays bounded`, async (t) => {
    const node = await grid.start({
      dir: `${grid.dir}/greedy-${tenants}-${each}`,
      limits: { memoryBytes, closeGraceMs: 100 },
    })
    t.after(() => node.close())
    const account = await makeAccount(crypto)
    const backend = connect(node.address, alice, { grant: await grantFor(alice, account) })
    t.after(() => backend.close())
    const work = async () => {
      const { id, shares } = await randomChunk(crypto, 200_000)
      for (const outcome of await backend.putShares(shares, newBatch(crypto))) assert.equal(outcome.ok, true)
      assert.equal((await backend.getShares([{ id, index: 1 }]))[0]?.length, shares[1]!.length)
      const value = await makeRegisterValue(crypto, crypto.random(32), 1, "x".repeat(1000))
      assert.equal((await backend.proposeRegisters([value], {}))[0]?.accepted, true)
    }
    const quiet = await measured(10, work)
    const slow = []
    for (let i = 0; i < tenants; i++) {
      const name = `greedy-${tenants}-${each}-${i}`
      const greedy = await grid.member(name, "client", name)
      for (let j = 0; j < each; j++) slow.push(pester(t, node.address, greedy, eagerBytes))
    }
    await new Promise((resolve) => setTimeout(resolve, 3_000)) // until they hold what they can get
    const besieged = await measured(20, work)
    const ended = slow.reduce((sum, one) => sum + one.ended(), 0)
    t.diagnostic(`${ended} slow requests ended of ${tenants * each}, which announced ${tenants * each * 16} MiB`)
    checkHonest(t, quiet, besieged, 3 * memoryBytes)
  })
