import assert from "node:assert/strict"
import { request } from "node:https"
import { join } from "node:path"
import { after, before, it, type TestContext } from "node:test"
import { limits } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  createAgent,
  createLogger,
  type Identity,
  loadIdentity,
  parseAddress,
  type RequestOptions,
  requestBytes,
} from "@holdfast/network"
import { decodeFailure, decodePutOutcomes, encodeFrames, shareName } from "@holdfast/protocol"
import { backendContract, randomChunk } from "@holdfast/protocol/testing"
import { parsePrometheus } from "../../network/test/prometheus.ts"
import type { NodeOptions } from "../src/index.ts"
import { connect, newGrid, type TestGrid } from "./fixtures.ts"

let grid: TestGrid
let alice: Identity
let bob: Identity
let directories = 0

before(async () => {
  grid = await newGrid()
  alice = await grid.member("alice-laptop", "client", "alice")
  bob = await grid.member("bob-laptop", "client", "bob")
})
after(() => grid.remove())

const freshDir = () => join(grid.dir, `data-${directories++}`)

async function started(t: TestContext, options: Partial<NodeOptions> = {}) {
  const node = await grid.start({ dir: freshDir(), ...options })
  t.after(() => node.close())
  const client = (identity: Identity) => {
    const backend = connect(node.address, identity)
    t.after(() => backend.close())
    return backend
  }
  const raw = (identity: Identity, call: Pick<RequestOptions, "method" | "path" | "body">) => {
    const agent = createAgent(identity)
    t.after(() => agent.destroy())
    return requestBytes(agent, { ...parseAddress(node.address), ...call })
  }
  return { node, client, raw }
}

backendContract("storage node over TLS", async () => {
  const node = await grid.start({ dir: freshDir() })
  const backend = connect(node.address, alice)
  return {
    ...backend,
    async close() {
      await backend.close()
      await node.close()
    },
  }
})

it("keeps tenants apart by their certificates: none sees or removes what another holds", async (t) => {
  const { client } = await started(t)
  const chunk = await randomChunk(crypto, 5000)
  await client(alice).putShares([chunk.shares[0]!])
  assert.deepEqual(await client(bob).hasShares([chunk.id]), [[]])
  assert.deepEqual(await client(bob).getShares([{ id: chunk.id }]), [undefined])
  await client(bob).removeShares([{ id: chunk.id }])
  assert.equal((await client(bob).usage()).shareCount, 0)
  assert.deepEqual(await client(alice).hasShares([chunk.id]), [[0]])
})

it("refuses a caller without a certificate, of another grid, and one that is no client", async (t) => {
  const { node, client } = await started(t)
  const stranger = createAgent({ caPem: grid.authority.caPem })
  t.after(() => stranger.destroy())
  const call = { ...parseAddress(node.address), method: "GET", path: "/v1/usage" }
  await assert.rejects(requestBytes(stranger, call), { name: "HoldfastError" })
  const other = await newGrid()
  t.after(() => other.remove())
  const foreign = await other.member("alice-laptop", "client", "alice")
  const spy = client({ ...foreign, caPem: grid.authority.caPem })
  await assert.rejects(spy.usage(), { name: "HoldfastError" })
  const second = await grid.member(`n2-${directories}`, "node", "grid")
  await assert.rejects(client(second).usage(), { code: "ERR_REFUSED", message: /n1.*Only clients/ })
  assert.equal((await client(alice).usage()).shareCount, 0)
})

it("refuses bodies over the limit before reading them, of unknown length, and unknown endpoints", async (t) => {
  const { node, raw } = await started(t)
  const tooLarge = await new Promise<number | undefined>((resolve, reject) => {
    const agent = createAgent(alice)
    t.after(() => agent.destroy())
    const headers = { "content-length": limits.requestBytes * 2 }
    const call = request({ agent, ...parseAddress(node.address), method: "POST", path: "/v1/shares/put", headers })
    call.on("response", (response) => resolve(response.statusCode)).on("error", reject)
    call.flushHeaders() // no body is ever sent, and the answer comes all the same
  })
  assert.equal(tooLarge, 413)
  const chunked = await raw(alice, { method: "POST", path: "/v1/shares/list", body: new Uint8Array(2000) })
  assert.equal(chunked.status, 413)
  assert.equal((await raw(alice, { method: "POST", path: "/v1/keys" })).status, 404)
  const rubbish = await raw(alice, { method: "POST", path: "/v1/shares/get", body: new Uint8Array([255]) })
  assert.equal(rubbish.status, 400)
  assert.equal(decodeFailure(rubbish.body).code, "ERR_BAD_FORMAT")
})

it("answers quota and full to the tenant concerned, naming them", async (t) => {
  const [a, b] = [await randomChunk(crypto, 3000), await randomChunk(crypto, 100_000)]
  const limited = await started(t, { quotas: { tenants: { alice: 5000 } } })
  const outcomes = await limited.client(alice).putShares([a.shares[0]!, b.shares[0]!])
  assert.deepEqual(
    outcomes.map((outcome) => outcome.ok || outcome.code),
    [true, "quota"],
  )
  assert.equal((await limited.client(alice).usage()).quotaBytes, 5000)
  assert.deepEqual(await limited.client(bob).putShares([b.shares[0]!]), [{ ok: true, existed: false }])
  const full = await started(t, { reservedBytes: Number.MAX_SAFE_INTEGER })
  const [outcome] = await full.client(alice).putShares([a.shares[0]!])
  assert.equal(outcome!.ok || outcome!.code, "full")
})

it("shows health and metrics on loopback, each valid, with the largest tenants only", async (t) => {
  const { node, client } = await started(t)
  assert.match(node.monitorAddress!, /^127\.0\.0\.1:/)
  const chunk = await randomChunk(crypto, 3000)
  await client(alice).putShares(chunk.shares)
  const health = await fetch(`http://${node.monitorAddress}/health`)
  assert.deepEqual([health.status, await health.json()], [200, { ok: true }])
  const others = Array.from({ length: 40 }, (_, i) => grid.member(`m${i}`, "client", `tenant-${i}`))
  for (const other of await Promise.all(others)) {
    const backend = client(other)
    await backend.putShares([chunk.shares[0]!])
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
  await client(alice).putShares([chunk.shares[0]!])
  const { readdir, truncate } = await import("node:fs/promises")
  const files = await readdir(join(dir, "shares"), { recursive: true })
  await truncate(join(dir, "shares", files.find((file) => file.includes(shareName(chunk.id, 0)))!), 1000)
  await rot
  assert.ok(events.includes(`rot ${shareName(chunk.id, 0)}`))
  assert.deepEqual(await client(alice).hasShares([chunk.id]), [[]])
})

it("finishes the requests in work before it stops", async (t) => {
  const { node, raw, client } = await started(t)
  await client(alice).usage()
  const chunks = await Promise.all(Array.from({ length: 8 }, () => randomChunk(crypto, 1_000_000, 1)))
  const body = encodeFrames(chunks.map((chunk) => chunk.shares[0]!))
  const put = raw(alice, { method: "POST", path: "/v1/shares/put", body })
  const metrics = async () => (await fetch(`http://${node.monitorAddress}/metrics`)).text()
  while (!/received_bytes_total [1-9]/.test(await metrics())) assert.ok(node.port > 0)
  await node.close()
  const { status, body: answer } = await put
  assert.equal(status, 200)
  assert.ok(decodePutOutcomes(answer, 8).every((outcome) => outcome.ok))
  await assert.rejects(client(alice).usage(), { code: "ERR_SERVER_UNREACHABLE", message: /n1/ })
})
