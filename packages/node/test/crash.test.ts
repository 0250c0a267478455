import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { it } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Backend, type ChunkId, decodeRegisterValue, registerIdOf, verifyShare } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { connect, grantFor, newGrid } from "./fixtures.ts"

const rounds = 4
const writers = 6

it("loses nothing acknowledged and shows nothing half-written when it is killed during writes", async (t) => {
  const grid = await newGrid()
  t.after(() => grid.remove())
  const client = await grid.member("alice-laptop", "client", "alice")
  const grant = await grantFor(client, await makeAccount(crypto))
  const acknowledged: ChunkId[] = []
  const seed = crypto.random(32)
  const registerId = registerIdOf(await crypto.publicKeyOf(seed))
  const progress = { sequence: 0 }
  let child: ChildProcess | undefined
  t.after(() => child?.kill("SIGKILL"))
  for (let round = 0; round < rounds; round++) {
    const running = await startChild(grid.nodeIdentityDir, join(grid.dir, "data"))
    child = running.child
    const backend = connect(running.address, client, { grant })
    const target = acknowledged.length + 20 + 17 * round
    const work = Array.from({ length: writers }, (_, i) =>
      untilKilled(async () => {
        const chunk = await randomChunk(crypto, i % 2 === 0 ? 2000 : 120_000, 1)
        const [outcome] = await backend.putShares([chunk.shares[0]!], newBatch(crypto))
        assert.ok(outcome!.ok)
        acknowledged.push(chunk.id)
        if (acknowledged.length === target) running.child.kill("SIGKILL")
      }),
    )
    const registers = untilKilled(async () => {
      const value = await makeRegisterValue(crypto, seed, progress.sequence + 1, `round ${round}`)
      const [outcome] = await backend.proposeRegisters([value])
      if (outcome!.accepted) progress.sequence++
      else progress.sequence = (await decodeRegisterValue(crypto, outcome!.current!)).sequence
    })
    await Promise.all([...work, registers])
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit")
    await backend.close()
    await checkAll(grid, client)
  }

  async function checkAll(on: typeof grid, identity: typeof client): Promise<void> {
    const node = await on.start()
    const backend = connect(node.address, identity, { grant })
    const got = await backend.getShares(acknowledged.map((id) => ({ id, index: 0 })))
    assert.equal(got.filter((bytes) => bytes === undefined).length, 0, "an acknowledged share is gone")
    for (const bytes of got) await verifyShare(crypto, bytes!)
    const [value] = await backend.readRegisters([registerId])
    if (progress.sequence > 0) assert.ok((await decodeRegisterValue(crypto, value!)).sequence >= progress.sequence)
    await everyListedVerifies(backend)
    assert.deepEqual((await node.scrub()).rot, [])
    await backend.close()
    await node.close()
  }
})

async function everyListedVerifies(backend: Backend): Promise<void> {
  const listed = await backend.listMarks({ limit: 4096 })
  for (const bytes of await backend.getShares(listed)) await verifyShare(crypto, bytes!)
  assert.equal((await backend.usage()).shareCount, listed.length)
}

async function startChild(identityDir: string, dir: string): Promise<{ child: ChildProcess; address: string }> {
  const script = join(import.meta.dirname, "crash-child.ts")
  const child = spawn(process.execPath, [script, identityDir, dir], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = (await once(child.stdout!, "data")) as [Buffer]
  return { child, address: line.toString().trim() }
}

/** Repeats `step` until the node no longer answers. */
async function untilKilled(step: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await step()
    } catch (error) {
      if (isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) return
      throw error
    }
  }
}
