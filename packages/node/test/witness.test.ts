/** A node that was invited as a witness: registers like any other, and no share from whomever. */
import assert from "node:assert/strict"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { createLogger } from "@holdfast/network"
import { decodeFailure, encodeFrames } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { connect, grantFor, newGrid } from "./fixtures.ts"

async function startWitness(t: TestContext) {
  const grid = await newGrid()
  t.after(() => grid.remove())
  const record = {
    ...{ version: 1, memberId: "n1", role: "node", tenant: "grid", name: "w1", witness: true },
    ...{ coordinator: "127.0.0.1:7443", coordinatorId: "c", gridId: "g", gridPublicKey: `${"A".repeat(43)}=` },
  }
  await writeFile(join(grid.nodeIdentityDir, "member.json"), JSON.stringify(record))
  const lines: string[] = []
  const logger = createLogger({ stream: { write: (line: string) => lines.push(line) } })
  const node = await grid.start({ logger })
  t.after(() => node.close())
  const alice = await grid.member("alice-laptop", "client", "alice")
  const client = connect(node.address, alice, { grant: await grantFor(alice, await makeAccount(crypto)) })
  t.after(() => client.close())
  return { client, lines }
}

test("a witness keeps registers, refuses every share, and says why", async (t) => {
  const { client, lines } = await startWitness(t)
  const { id, shares } = await randomChunk(crypto, 3000)
  await assert.rejects(client.putShares([shares[0]!], newBatch(crypto)), {
    code: "ERR_REFUSED",
    message: /is a witness.*takes no shares/,
  })
  assert.deepEqual(await client.hasShares([id]), [[]])
  const { shareCount, usedBytes } = await client.usage()
  assert.equal(shareCount, 0)

  const register = crypto.random(32)
  const value = await makeRegisterValue(crypto, register, 1, "kept")
  const [outcome] = await client.proposeRegisters([value], newBatch(crypto))
  assert.equal(outcome!.accepted, true)
  assert.ok((await client.usage()).usedBytes > usedBytes)
  assert.ok(lines.some((line) => /"started"/.test(line) && /"witness":true/.test(line)))
})
