import assert from "node:assert/strict"
import { join } from "node:path"
import { after, before, it, type TestContext } from "node:test"
import { createNodeBackend, type NodeBackend } from "@holdfast/backends/storage-node"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto, systemClock } from "@holdfast/core/node"
import { createLogger, type Identity, loadIdentity, parseAddress, TransportClient } from "@holdfast/network"
import { decodeFailure, shareName, signAccountsRequest, signRecord, signStatement } from "@holdfast/protocol"
import {
  backendContract,
  makeAccount,
  makeRegisterValue,
  newBatch,
  randomChunk,
  type TestAccount,
} from "@holdfast/protocol/testing"
import { parsePrometheus } from "../../network/test/prometheus.ts"
import type { NodeOptions } from "../src/index.ts"
import { connect, grantFor, newGrid, type TestGrid } from "./fixtures.ts"

let grid: TestGrid
let alice: Identity
let bob: Identity
let directories = 0
/** Of the account that each of these clients has. */
const grants = new Map<Identity, Uint8Array>()

async function memberWithAccount(memberId: string, tenant: string): Promise<Identity> {
  const identity = await grid.member(memberId, "client", tenant)
  grants.set(identity, await grantFor(identity, await makeAccount(crypto)))
  return identity
}

before(async () => {
  grid = await newGrid()
  alice = await memberWithAccount("alice-laptop", "alice")
  bob = await memberWithAccount("bob-laptop", "bob")
})
after(() => grid.remove())

const freshDir = () => join(grid.dir, `data-${directories++}`)

async function started(t: TestContext, options: Partial<NodeOptions> = {}) {
  const node = await grid.start({ dir: freshDir(), ...options })
  t.after(() => node.close())
  const client = (identity: Identity, grant = grants.get(identity)) => {
    const backend = connect(node.address, identity, grant ? { grant } : {})
    t.after(() => backend.close())
    return backend
  }
  const raw = (identity: Identity, endpoint: string, ...body: Uint8Array[]) => {
    const transport = new TransportClient(identity)
    t.after(() => transport.close())
    return transport.request({ ...parseAddress(node.address), endpoint, body, maxBytes: 10_000 })
  }
  return { node, client, raw }
}

backendContract("storage node over TLS", () => nodePlace({}), {
  limited: (defaultBytes) => nodePlace({ quotas: { defaultBytes } }),
})

async function nodePlace(options: Partial<NodeOptions>) {
  let offsetMs = 0
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + offsetMs }
  const node = await grid.start({ dir: freshDir(), clock, ...options })
  const open: NodeBackend[] = []
  return {
    async backendOf(account: TestAccount) {
      const backend = connect(node.address, alice, { grant: await grantFor(alice, account) })
      open.push(backend)
      return backend
    },
    advance(ms: number) {
      offsetMs += ms
    },
    async close() {
      await Promise.all(open.map((backend) => backend.close()))
      await node.close()
    },
  }
}

it("keeps tenants apart by their certificates: none sees what another holds", async (t) => {
  const { client } = await started(t)
  const chunk = await randomChunk(crypto, 5000)
  await client(alice).putShares([chunk.shares[0]!], newBatch(crypto))
  assert.deepEqual(await client(bob).hasShares([chunk.id]), [[]])
  assert.deepEqual(await client(bob).getShares([{ id: chunk.id }]), [undefined])
  assert.equal((await client(bob).usage()).shareCount, 0)
  assert.deepEqual(await client(alice).hasShares([chunk.id]), [[0]])
})

it("refuses a caller without a certificate, of another grid, and one that is no client", async (t) => {
  const { node, client } = await started(t)
  const stranger = new TransportClient({ caPem: grid.authority.caPem })
  t.after(() => stranger.close())
  const call = { ...parseAddress(node.address), endpoint: "usage", body: [], maxBytes: 10_000 }
  await assert.rejects(stranger.request(call), { code: "ERR_REFUSED", message: /asks for a certificate of its grid/ })
  const other = await newGrid()
  t.after(() => other.remove())
  const foreign = await other.member("alice-laptop", "client", "alice")
  const spy = client({ ...foreign, caPem: grid.authority.caPem })
  await assert.rejects(spy.usage(), { name: "HoldfastError" })
  const second = await grid.member(`n2-${directories}`, "node", "grid")
  await assert.rejects(client(second).usage(), { code: "ERR_REFUSED", message: /n1.*Only clients/ })
  assert.equal((await client(alice).usage()).shareCount, 0)
})

it("refuses bodies over the limit, unknown endpoints and rubbish", async (t) => {
  const { raw } = await started(t)
  assert.equal((await raw(alice, "marks/list", new Uint8Array(2000))).status, 413)
  assert.equal((await raw(alice, "keys")).status, 404)
  assert.equal((await raw(alice, "constructor")).status, 404)
  const rubbish = await raw(alice, "shares/get", new Uint8Array([255]))
  assert.equal(rubbish.status, 400)
  assert.equal(decodeFailure(rubbish.body).code, "ERR_BAD_FORMAT")
})

it("answers quota and full to the tenant concerned, naming them", async (t) => {
  const [a, b] = [await randomChunk(crypto, 3000), await randomChunk(crypto, 100_000)]
  const limited = await started(t, { quotas: { tenants: { alice: 5000 } } })
  const outcomes = await limited.client(alice).putShares([a.shares[0]!, b.shares[0]!], newBatch(crypto))
  assert.deepEqual(
    outcomes.map((outcome) => outcome.ok || outcome.code),
    [true, "quota"],
  )
  assert.equal((await limited.client(alice).usage()).quotaBytes, 5000)
  assert.deepEqual(await limited.client(bob).putShares([b.shares[0]!], newBatch(crypto)), [
    { ok: true, existed: false },
  ])
  const full = await started(t, { reservedBytes: Number.MAX_SAFE_INTEGER })
  const [outcome] = await full.client(alice).putShares([a.shares[0]!], newBatch(crypto))
  assert.equal(outcome!.ok || outcome!.code, "full")
})

it("shows health and metrics on loopback, each valid, with the largest tenants only", async (t) => {
  const { node, client } = await started(t)
  assert.match(node.monitorAddress!, /^127\.0\.0\.1:/)
  const chunk = await randomChunk(crypto, 3000)
  await client(alice).putShares(chunk.shares, newBatch(crypto))
  const health = await fetch(`http://${node.monitorAddress}/health`)
  assert.deepEqual([health.status, await health.json()], [200, { ok: true }])
  const others = Array.from({ length: 40 }, (_, i) => memberWithAccount(`m${i}`, `tenant-${i}`))
  for (const other of await Promise.all(others)) {
    const backend = client(other)
    await backend.putShares([chunk.shares[0]!], newBatch(crypto))
    await backend.close()
  }
  await node.scrub()
  const metrics = await (await fetch(`http://${node.monitorAddress}/metrics`)).text()
  const read = parsePrometheus(metrics)
  const valueOfMetric = (name: string) => read.get(name)![0]!.value
  const tenants = read.get("holdfast_node_tenant_stored_bytes")!
  assert.equal(tenants.length, 33)
  assert.equal(tenants[0]!.labels.get("tenant"), "alice")
  assert.equal(tenants.at(-1)!.labels.get("tenant"), "(other)")
  assert.equal(
    tenants.reduce((sum, { value }) => sum + value, 0),
    valueOfMetric("holdfast_node_stored_bytes"),
  )
  assert.equal(valueOfMetric("holdfast_node_scrub_checked_bytes"), valueOfMetric("holdfast_node_stored_bytes"))
  assert.ok(valueOfMetric("holdfast_node_scrub_end_seconds") > Date.now() / 1000 - 60)
  assert.ok(
    valueOfMetric("holdfast_node_received_bytes_total") > 0 && valueOfMetric("holdfast_node_available_bytes") > 0,
  )
  assert.equal(
    valueOfMetric("holdfast_certificate_end_seconds"),
    (await loadIdentity(grid.nodeIdentityDir)).notAfterMs / 1000,
  )
  assert.match(metrics, /^holdfast_node_stored_shares 43$/m)
  assert.match(metrics, /^holdfast_node_requests_total\{endpoint="shares\/put",status="200"\} 41$/m)
  assert.equal((await fetch(`http://${node.monitorAddress}/v1/usage`)).status, 404)
})

it("reports rot that its background scrub finds", async (t) => {
  const events: string[] = []
  let found: () => void
  const rot = new Promise<void>((resolve) => (found = resolve))
  const dir = freshDir()
  const { client } = await started(t, {
    dir,
    scrub: { everyMs: 5, bytesPerSecond: 1e9 },
    logger: createLogger({
      stream: {
        write(line: string) {
          const { event, share = "" } = JSON.parse(line) as { event: string; share?: string }
          events.push(`${event} ${share}`)
          if (event === "rot") found()
        },
      },
    }),
  })
  const chunk = await randomChunk(crypto, 100_000)
  await client(alice).putShares([chunk.shares[0]!], newBatch(crypto))
  const { readdir, truncate } = await import("node:fs/promises")
  const files = await readdir(join(dir, "shares"), { recursive: true })
  await truncate(join(dir, "shares", files.find((file) => file.includes(shareName(chunk.id, 0)))!), 1000)
  await rot
  assert.ok(events.includes(`rot ${shareName(chunk.id, 0)}`))
  assert.deepEqual(await client(alice).hasShares([chunk.id]), [[]])
})

it("finishes the requests in work before it stops", async (t) => {
  const { node, client } = await started(t)
  await client(alice).usage()
  const chunks = await Promise.all(Array.from({ length: 8 }, () => randomChunk(crypto, 1_000_000, 1)))
  const put = client(alice).putShares(
    chunks.map((chunk) => chunk.shares[0]!),
    newBatch(crypto),
  )
  const metrics = async () => (await fetch(`http://${node.monitorAddress}/metrics`)).text()
  while (!/received_bytes_total [1-9]/.test(await metrics())) assert.ok(node.port > 0)
  await node.close()
  assert.ok((await put).every((outcome) => outcome.ok))
  await assert.rejects(client(alice).usage(), { code: "ERR_SERVER_UNREACHABLE", message: /n1/ })
})

it("lets who shows no grant, or one that is not its own, read by id and nothing else", async (t) => {
  const { client, node } = await started(t)
  const chunk = await randomChunk(crypto, 300)
  await client(alice).putShares([chunk.shares[0]!], newBatch(crypto))
  const desktop = await grid.member("alice-desktop", "client", "alice")
  const without = client(desktop)
  assert.deepEqual(await without.hasShares([chunk.id]), [[0]])
  assert.equal((await without.getShares([{ id: chunk.id }])).filter(Boolean).length, 1)
  await assert.rejects(without.putShares([chunk.shares[1]!], newBatch(crypto)), {
    code: "ERR_REFUSED",
    message: /role append/,
  })
  await assert.rejects(without.listMarks({ limit: 9 }), { code: "ERR_REFUSED" })
  const stolen = client(desktop, grants.get(alice))
  await assert.rejects(stolen.hasShares([chunk.id]), { code: "ERR_REFUSED", message: /another device/ })
  const forged = Uint8Array.from(grants.get(alice)!)
  forged[forged.length - 1]! ^= 1
  await assert.rejects(connect(node.address, alice, { grant: forged }).usage(), {
    code: "ERR_REFUSED",
    message: /signature/,
  })
})

it("refuses the grant of a device that its account's newest record leaves out, at once", async (t) => {
  const { client } = await started(t)
  const account = await makeAccount(crypto)
  const thief = await grid.member("alice-stolen", "client", "alice")
  const [mine, stolen] = [await grantFor(alice, account), await grantFor(thief, account)]
  const [owner, revoked] = [client(alice, mine), client(thief, stolen)]
  const recordOf = (epoch: number, grants: Uint8Array[]) => signRecord(crypto, account.seed, { epoch, grants })
  const both = await recordOf(1, [mine, stolen])
  await owner.publishRecord(both)
  assert.equal((await revoked.usage()).shareCount, 0)
  await owner.publishRecord(await recordOf(2, [mine]))
  await assert.rejects(revoked.usage(), { code: "ERR_REFUSED", message: /taken it back/ })
  await owner.publishRecord(both) // older: changes nothing
  await assert.rejects(revoked.usage(), { code: "ERR_REFUSED" })
  assert.equal((await client(thief, await grantFor(thief, account, 3)).usage()).shareCount, 0, "granted anew")
  const other = await recordOf(9, [])
  await assert.rejects(client(bob).publishRecord(other), { code: "ERR_REFUSED" })
})

it("says that a node which does not know a request is to be updated", async (t) => {
  const { node } = await started(t)
  const transport = new TransportClient(alice)
  const old = createNodeBackend({
    id: "n1",
    address: node.address,
    request: (call) =>
      transport.request({ ...parseAddress(node.address), ...call, endpoint: `newer/${call.endpoint}` }),
    close: () => transport.close(),
  })
  t.after(() => old.close())
  await assert.rejects(old.usage(), { code: "ERR_UNSUPPORTED_VERSION", message: /older Holdfast.*Update/ })
})

it("gives no tenant more than half of the disk unless told otherwise", async (t) => {
  const { client } = await started(t)
  const { statfs } = await import("node:fs/promises")
  const { blocks, bsize } = await statfs(grid.dir)
  assert.equal((await client(alice).usage()).quotaBytes, Math.floor((blocks * bsize) / 2))
  const unlimited = await started(t, { quotas: { defaultBytes: Number.POSITIVE_INFINITY } })
  assert.equal((await unlimited.client(alice).usage()).quotaBytes, undefined)
})

it("lets a tenant's administrator list and drop accounts, and tells the devices of a dropped one", async (t) => {
  const administrator = await makeAccount(crypto)
  const { client } = await started(t, { administrators: { alice: toHex(administrator.publicKey) } })
  const account = await makeAccount(crypto)
  const device = client(alice, await grantFor(alice, account))
  await device.putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  assert.equal(await device.droppedAtMs(), undefined)
  const statement = { tenant: "alice", account: account.account, serial: 1, drops: true }
  await assert.rejects(client(bob).publishStatement(await signStatement(crypto, administrator.seed, statement)), {
    code: "ERR_REFUSED",
  })
  await device.publishStatement(await signStatement(crypto, administrator.seed, statement))
  assert.ok((await device.droppedAtMs())! > Date.now())
  const request = { tenant: "alice", place: "n1", token: await device.requestToken(), limit: 10 }
  const [listed] = await device.listAccounts(await signAccountsRequest(crypto, administrator.seed, request))
  assert.deepEqual([toHex(listed!.account), listed!.shares], [toHex(account.account), 1])
  assert.ok(listed!.droppedAtMs! > Date.now())
})

it("counts and logs what it does not take, by what and why", async (t) => {
  const lines: string[] = []
  const logger = createLogger({ stream: { write: (line: string) => lines.push(line) } })
  const { node, client } = await started(t, { reservedBytes: 2 ** 50, logger })
  const { shares } = await randomChunk(crypto, 300)
  const [outcome] = await client(alice).putShares([shares[0]!], newBatch(crypto))
  assert.equal(outcome!.ok, false)
  const metrics = await (await fetch(`http://${node.monitorAddress}/metrics`)).text()
  assert.match(metrics, /^holdfast_node_not_taken_total\{what="share",why="full"\} 1$/m)
  assert.match(metrics, /^holdfast_node_not_taken_total\{what="share",why="quota"\} 0$/m)
  assert.ok(lines.some((line) => /not-taken/.test(line) && /no space left/.test(line)))
})
