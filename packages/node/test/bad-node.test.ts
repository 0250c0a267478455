import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { createServer } from "node:net"
import { join } from "node:path"
import { after, before, it, type TestContext } from "node:test"
import { HoldfastError, limits, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import {
  type Authority,
  createAuthority,
  createKeyAndRequest,
  type Identity,
  type IdentityFiles,
  keyIdOf,
  listen,
  type SignOptions,
} from "@holdfast/network"
import { type Backend, toReadCap } from "@holdfast/protocol"
import {
  makeAccount,
  makeOrder,
  makeRegisterValue,
  newBatch,
  randomChunk,
  type TestAccount,
  type TestChunk,
} from "@holdfast/protocol/testing"
import { createMemorySeen, createStore } from "@holdfast/store"
import { type BadAnswer, badAnswers, misplacedAnswers, startBadNode } from "./bad-node.ts"
import { type ConnectOptions, connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"

let grid: TestGrid
let alice: Identity
let account: TestAccount
let grant: Uint8Array
let chunk: TestChunk
let value: Uint8Array
let directories = 0

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
  for (const id of honestIds.slice(1)) await grid.member(id, "node", "grid")
  account = await makeAccount(crypto)
  grant = await grantFor(alice, account)
  chunk = await randomChunk(crypto, 5000)
  value = await makeRegisterValue(crypto, crypto.random(32), 1, "text")
})
after(() => grid.remove())

/** How long these clients wait for nodes that let them wait. */
const bounds: ConnectOptions = { timeoutMs: 400, deadlineMs: 250 }

const honestIds = ["n1", "n2", "n3"]

async function honestNode(t: TestContext, id = "n1"): Promise<string> {
  const identityDir = join(grid.dir, id)
  const node = await grid.start({ identityDir, dir: join(grid.dir, `bad-${directories++}`), monitor: false })
  t.after(() => node.close())
  return node.address
}

/** Every call there is. */
const calls: Readonly<Record<string, (backend: Backend) => Promise<unknown>>> = {
  putShares: (backend) => backend.putShares(chunk.shares, newBatch(crypto)),
  getShares: (backend) => backend.getShares(chunk.shares.map((_, index) => ({ id: chunk.id, index }))),
  getBlocks: (backend) =>
    backend.getBlocks([{ id: chunk.id, index: 0, first: 0, count: 1, haveDescriptor: false, leavesOf: [0] }]),
  hasShares: (backend) => backend.hasShares([chunk.id]),
  markShares: (backend) => backend.markShares([chunk.id], newBatch(crypto)),
  listMarks: (backend) => backend.listMarks({ limit: 10 }),
  listRegisters: (backend) => backend.listRegisters({ limit: 10 }),
  collectToken: (backend) => backend.collectToken(),
  unmark: async (backend) =>
    backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, token: new Uint8Array(24) })),
  keptValues: (backend) => backend.keptValues(crypto.random(32)),
  readRegisters: (backend) => backend.readRegisters([crypto.random(32)]),
  proposeRegisters: (backend) => backend.proposeRegisters([value]),
  usage: (backend) => backend.usage(),
}

interface FourthNode {
  readonly id: string
  readonly backend: Backend
}

/** A node that answers badly, in front of an honest one, as alice's client sees it. */
async function badNode(
  t: TestContext,
  answer: BadAnswer,
  waits = false,
): Promise<FourthNode & { sentBytes(): number }> {
  const behind = await honestNode(t)
  const identity = await grid.member(`bad-${directories++}`, "node", "grid")
  const bad = await startBadNode(t, identity, { behind, client: alice })
  bad.bad = answer
  const backend = connect(bad.address, alice, { ...(waits && bounds), grant, id: identity.memberId })
  t.after(() => backend.close())
  return { id: identity.memberId, backend, sentBytes: bad.sentBytes }
}

async function assertEachFails({ id, backend }: FourthNode, codes: RegExp) {
  const failures = Object.entries(calls).map(async ([call, work]) => {
    const error: unknown = await work(backend).then(
      () => assert.fail(`${call} succeeded`),
      (failure) => failure,
    )
    assert.ok(error instanceof HoldfastError && codes.test(error.code), `${call}: ${String(error)}`)
    assert.match(error.message, new RegExp(`^Server ${id} \\(127|answer|damaged|items`))
  })
  await Promise.all(failures)
}

/** Writes and reads over three honest nodes and `fourth`, each time as a new client. */
async function assertStoreWorks(t: TestContext, fourth: FourthNode) {
  const honest = await Promise.all(honestIds.map(async (id) => ({ id, address: await honestNode(t, id) })))
  const seed = crypto.random(32)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "dw", seed })
  const keys = { seed, publicKey, readKey }
  const open = async () => {
    const backends = honest.map(({ id, address }) => connect(address, alice, { grant, id }))
    t.after(() => Promise.all(backends.map((backend) => backend.close())))
    return createStore({
      env: nodeEnv,
      servers: [...backends, fourth.backend].map((backend) => ({ backend, weight: 1 })),
      coding: { k: 2, happy: 3, n: 4 },
      registerMode: "byzantine",
      seen: createMemorySeen(),
      hedgeMs: 20,
    })
  }
  for (const sequence of [1, 2, 3]) {
    const plaintext = crypto.random(1000 * sequence)
    const writer = await open()
    const ref = await writer.chunks.putChunk(plaintext.slice())
    const parts = { content: utf8(`content ${sequence}`), care: new Uint8Array() }
    assert.equal(await writer.registers.write(keys, sequence - 1, parts), true)
    const reader = await open()
    assert.equal(Buffer.compare((await reader.chunks.getChunk(ref)).subarray(0, plaintext.length), plaintext), 0)
    const read = await reader.registers.read(keys)
    assert.deepEqual([read?.sequence, Buffer.from(read!.content).toString()], [sequence, `content ${sequence}`])
  }
}

const patient = { timeout: 60_000 }

for (const [name, { answer, codes }] of Object.entries(badAnswers))
  it(
    `a node that ${name} makes each call fail with a clear error in bounded time and memory, and no store with it`,
    patient,
    async (t) => {
      const bad = await badNode(t, answer, codes.test("UNREACHABLE"))
      await assertEachFails(bad, codes)
      const mostBytes = Object.keys(calls).length * 1.5 * limits.requestBytes
      assert.ok(bad.sentBytes() < mostBytes, `it could send ${bad.sentBytes()} bytes`)
      await assertStoreWorks(t, bad)
    },
  )

for (const [name, answer] of Object.entries(misplacedAnswers))
  it(`a node that ${name} takes no store in`, patient, async (t) => {
    await assertStoreWorks(t, await badNode(t, answer))
  })

it("a node with a certificate that is not good hears nothing, and no store fails for it", patient, async (t) => {
  const other = await createAuthority(join(grid.dir, "other-ca"), "other grid")
  const year = 365 * 86_400_000
  const subject = { memberId: "n4", role: "node", tenant: "grid" } as const
  const made = async (authority: Authority, options: Partial<SignOptions> = {}) => {
    const { keyPem, csrPem } = await createKeyAndRequest()
    const certPem = await authority.sign(csrPem, { ...subject, ...options })
    return { keyPem, certPem, caPem: grid.authority.caPem }
  }
  const stolen = await made(grid.authority)
  const certificates: Record<string, IdentityFiles> = {
    "of another authority": await made(other),
    "of another node": await made(grid.authority, { memberId: "n5" }),
    "of a client": await made(grid.authority, { role: "client" }),
    ended: await made(grid.authority, { nowMs: Date.now() - 2 * year }),
    "not valid yet": await made(grid.authority, { nowMs: Date.now() + year }),
    revoked: stolen,
  }
  const revoked = [keyIdOf(new X509Certificate(stolen.certPem).raw)]
  const behind = await honestNode(t)
  for (const [what, identity] of Object.entries(certificates)) {
    const bad = await startBadNode(t, identity, { behind, client: alice })
    const backend = connect(bad.address, alice, { ...bounds, timeoutMs: 12_000, grant, id: "n4", revoked }) // refused, never late
    t.after(() => backend.close())
    await assertEachFails({ id: "n4", backend }, /REFUSED/)
    assert.equal(bad.sentBytes(), 0, what)
    await assertStoreWorks(t, { id: "n4", backend })
  }
})

it(
  "a node that refuses connections, or takes them and says nothing, ends in a clear error, and no store fails for it",
  patient,
  async (t) => {
    const silent = createServer((socket) => void socket.on("error", () => undefined))
    t.after(() => silent.close())
    const port = await listen(silent, { host: "127.0.0.1", port: 0 })
    for (const address of ["127.0.0.1:1", `127.0.0.1:${port}`]) {
      const backend = connect(address, alice, { ...bounds, grant, id: "n4" })
      t.after(() => backend.close())
      await assertEachFails({ id: "n4", backend }, /UNREACHABLE/)
      await assertStoreWorks(t, { id: "n4", backend })
    }
  },
)

it("a node that knows no frames is to be updated, and no store fails for it", patient, async (t) => {
  const identity = await grid.member(`old-${directories++}`, "node", "grid")
  const behind = await honestNode(t)
  const old = await startBadNode(t, identity, { behind, client: alice, protocol: "http/1.1" })
  const id = identity.memberId
  const backend = connect(old.address, alice, { grant, id })
  t.after(() => backend.close())
  for (const work of Object.values(calls))
    await assert.rejects(work(backend), { code: "ERR_UNSUPPORTED_VERSION", message: /older protocol.*Update Holdfast/ })
  await assertStoreWorks(t, { id, backend })
  assert.equal(old.sentBytes(), 0)
})
