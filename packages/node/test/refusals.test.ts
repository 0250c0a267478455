/** What a node refuses comes out at the client with its own code, over real TLS, whatever route it was asked by. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { createNodeBackend } from "@holdfast/backends/storage-node"
import { decodeCbor, type HoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { type Identity, parseAddress, TransportClient } from "@holdfast/network"
import { type Backend, encodeFailure, encodeMarked, signGrant, signRecord, toReadCap } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, newBatch, randomChunk, type TestAccount } from "@holdfast/protocol/testing"
import { createMemorySeen, createRegisterStore } from "@holdfast/store"
import { createMemoryChunks } from "@holdfast/store/testing"
import type { NodeOptions } from "../src/index.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"

let grid: TestGrid
let alice: Identity
let account: TestAccount
let directories = 0

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
  account = await makeAccount(crypto)
})
after(() => grid.remove())

async function started(t: { after(done: () => unknown): void }, options: Partial<NodeOptions>) {
  const node = await grid.start({ dir: join(grid.dir, `refusals-${directories++}`), ...options })
  t.after(() => node.close())
  const backend = connect(node.address, alice, { grant: await grantFor(alice, account) })
  t.after(() => backend.close())
  return { node, backend }
}

const refused = (why: "quota" | "full"): Partial<NodeOptions> =>
  why === "quota" ? { quotas: { tenants: { alice: 60_000 } } } : { reservedBytes: Number.MAX_SAFE_INTEGER }

const newValue = () => makeRegisterValue(crypto, crypto.random(32), 1, "x".repeat(50_000))

/** Fills a quota so that nothing large goes in any more. */
async function fill(backend: Backend) {
  for (let i = 0; i < 4; i++) await backend.proposeRegisters([await newValue()])
}

for (const why of ["quota", "full"] as const) {
  test(`shares, marks and values that are refused as ${why} say so`, async (t) => {
    const { backend } = await started(t, refused(why))
    await fill(backend)
    const [outcome] = await backend.proposeRegisters([await newValue()])
    assert.equal(!outcome!.accepted && outcome!.code, why)
    const chunk = await randomChunk(crypto, 60_000)
    const [put] = await backend.putShares([chunk.shares[0]!], newBatch(crypto))
    assert.equal(!put!.ok && put!.code, why)
  })
}

test("a commit that a quota keeps from being acknowledged fails as that, and not as servers that are missing", async (t) => {
  const { backend } = await started(t, refused("quota"))
  await fill(backend)
  const registers = createRegisterStore({
    ...{ env: nodeEnv, backends: [backend], mode: "crash", seen: createMemorySeen() },
    chunks: createMemoryChunks(crypto),
  })
  const seed = crypto.random(32)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "dw", seed })
  const keys = { seed, publicKey, readKey }
  await assert.rejects(registers.write(keys, 0, { content: utf8("x".repeat(50_000)), care: utf8("") }), {
    code: "ERR_QUOTA_EXCEEDED",
    message: /Only 0 of the 1 servers needed took it \(n1: The quota of 60000 bytes .*holdfast gc/,
  })
})

test("a record of devices that a quota has no room for is refused as that", async (t) => {
  const { backend } = await started(t, refused("quota"))
  await fill(backend)
  const grants = await Promise.all(
    Array.from({ length: 60 }, () =>
      signGrant(crypto, account.seed, {
        epoch: 2,
        deviceKey: crypto.random(32),
        roles: account.roles,
        name: "n".repeat(64),
      }),
    ),
  )
  const record = await signRecord(crypto, account.seed, { epoch: 2, grants })
  await assert.rejects(backend.publishRecord!(record), { code: "ERR_QUOTA_EXCEEDED" })
})

test("a client that knows no codes is answered as before", async (t) => {
  const { node, backend } = await started(t, refused("quota"))
  await fill(backend)
  const transport = new TransportClient(alice)
  t.after(() => transport.close())
  const { status, body } = await transport.request({
    ...parseAddress(node.address),
    ...{ endpoint: "registers/propose", maxBytes: 10_000 },
    headers: { grant: Buffer.from(await grantFor(alice, account)).toString("base64url") },
    body: encodeMarked({}, [await newValue()]),
  })
  assert.equal(status, 200)
  const [item] = decodeCbor(body, "answer") as unknown[][]
  assert.deepEqual(item!.slice(1), [null, false], "message, value held, marks are gone, and nothing more")
})

test("what a node answers with becomes an error of its own kind, and only of those that a node can judge", async () => {
  const codeFor = async (status: number, code: string) => {
    const backend = createNodeBackend({
      ...{ id: "n1", address: "127.0.0.1:1" },
      request: async () => ({ status, body: encodeFailure(code, "because") }),
    })
    return (await backend.usage().then(
      () => undefined,
      (error: unknown) => error,
    )) as HoldfastError
  }
  for (const [status, said, code] of [
    [507, "ERR_QUOTA_EXCEEDED", "ERR_QUOTA_EXCEEDED"],
    [507, "ERR_SERVER_FULL", "ERR_SERVER_FULL"],
    [507, "ERR_LOCKED", "ERR_SERVER_FULL"],
    [503, "ERR_REMOTE", "ERR_SERVER_UNREACHABLE"],
    [408, "ERR_REMOTE", "ERR_SERVER_UNREACHABLE"],
    [403, "ERR_QUOTA_EXCEEDED", "ERR_REFUSED"],
    [500, "ERR_ROLLBACK", "ERR_REMOTE"],
    [400, "ERR_INVALID_ARGUMENT", "ERR_REMOTE"],
  ] as const)
    assert.equal((await codeFor(status, said)).code, code, `${status} ${said}`)
})
