import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, it, type TestContext } from "node:test"
import { HoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { decodeRegisterValue, registerIdOf, toReadCap } from "@holdfast/protocol"
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
import { createMemoryBackend } from "../src/index.ts"
import { type BucketBackend, createS3Backend, parseS3Location } from "../src/s3/index.ts"
import { type BadService, badServices, send, startBadBucket, xml } from "./bad-bucket.ts"

let folder: string
let chunk: TestChunk
let value: Uint8Array
let account: TestAccount

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-bad-bucket-"))
  await writeFile(join(folder, "keys"), "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", {
    mode: 0o600,
  })
  chunk = await randomChunk(crypto, 5000)
  account = await makeAccount(crypto)
  value = await makeRegisterValue(crypto, crypto.random(32), 1, "text")
})
after(() => rm(folder, { recursive: true, force: true }))

/** A backend over a service that answers badly. */
async function badBackend(t: TestContext, bad: BadService, waits: boolean): Promise<BucketBackend> {
  const { url } = await startBadBucket(t, bad)
  return backendAt(t, url, waits)
}

function backendAt(t: TestContext, url: string, waits: boolean): BucketBackend {
  const location = parseS3Location(`s3://bucket?endpoint=${url}&region=x&credentials=${join(folder, "keys")}`)
  const bounds = waits ? { idleMs: 500, deadlineMs: 400 } : {}
  const options = { id: "bad", location, crypto, access: account, conditionalWrites: true, attempts: 1, ...bounds }
  const backend = createS3Backend(options)
  t.after(() => backend.close())
  return backend
}

const calls: Readonly<Record<string, (backend: BucketBackend) => Promise<unknown>>> = {
  putShares: (backend) => backend.putShares(chunk.shares, newBatch(crypto)),
  markShares: (backend) => backend.markShares([chunk.id], newBatch(crypto)),
  getShares: (backend) => backend.getShares([{ id: chunk.id }, { id: chunk.id, index: 1 }]),
  getBlocks: (backend) =>
    backend.getBlocks([{ id: chunk.id, index: 0, first: 0, count: 1, haveDescriptor: false, leavesOf: [0] }]),
  hasShares: (backend) => backend.hasShares([chunk.id]),
  readRegisters: (backend) => backend.readRegisters([crypto.random(32)]),
  keptValues: (backend) => backend.keptValues(crypto.random(32)),
  proposeRegisters: (backend) => backend.proposeRegisters([value]),
  listMarks: (backend) => backend.listMarks({ limit: 100 }),
  listRegisters: (backend) => backend.listRegisters({ limit: 100 }),
  usage: (backend) => backend.usage(),
  collectToken: (backend) => backend.collectToken(),
  unmark: async (backend) =>
    backend.unmark(await makeOrder(crypto, backend, { seed: account.seed, token: new Uint8Array(16) })),
  sweep: (backend) => backend.sweep(),
}

/** Services that let a client wait. */
const waiting = /never|byte at a time|far too much/

/** Services of which nothing can be believed: each call must fail. */
const useless =
  /never|answers without end|far too much|byte at|header|reset|more than|fails|elsewhere|region|with an error|document|entities|refuses|no such/
/** Services whose listings must fail. */
const misleading = /lists one|lists other|lists shares|lists what|lists out|nests|no XML|bomb|cuts/

async function assertStoreWorks(fourth: BucketBackend) {
  const seed = crypto.random(32)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "dw", seed })
  const keys = { seed, publicKey, readKey }
  const honest = [1, 2, 3].map((i) => createMemoryBackend(`n${i}`, crypto))
  const open = () =>
    createStore({
      env: nodeEnv,
      servers: [...honest, fourth].map((backend) => ({ backend, weight: 1 })),
      coding: { k: 2, happy: 3, n: 4 },
      registerMode: "byzantine",
      seen: createMemorySeen(),
      hedgeMs: 20,
    })
  for (const sequence of [1, 2]) {
    const plaintext = crypto.random(1000 * sequence)
    const [writer, reader] = [await open(), await open()]
    const ref = await writer.chunks.putChunk(plaintext.slice())
    const parts = { content: utf8(`content ${sequence}`), care: new Uint8Array() }
    assert.equal(await writer.registers.write(keys, sequence - 1, parts), true)
    assert.equal(Buffer.compare((await reader.chunks.getChunk(ref)).subarray(0, plaintext.length), plaintext), 0)
    const read = await reader.registers.read(keys)
    assert.deepEqual([read?.sequence, Buffer.from(read!.content).toString()], [sequence, `content ${sequence}`])
  }
}

for (const [name, bad] of Object.entries(badServices))
  it(`a bucket that ${name} ends each call in bounded time and memory, and no store with it fails`, {
    timeout: 60_000,
  }, async (t) => {
    const backend = await badBackend(t, bad, waiting.test(name))
    for (const [call, work] of Object.entries(calls)) {
      const memoryBefore = process.memoryUsage.rss()
      const outcome: unknown = await work(backend).catch((error: unknown) => error)
      const grownMiB = (process.memoryUsage.rss() - memoryBefore) >> 20
      assert.ok(grownMiB < 300, `${call} took ${grownMiB} MiB`)
      if (outcome instanceof Error) assert.ok(outcome instanceof HoldfastError, `${call}: ${outcome.stack}`)
      if (useless.test(name) || (misleading.test(name) && call === "usage"))
        assert.ok(outcome instanceof HoldfastError, `${call} gave ${JSON.stringify(outcome)}`)
    }
    await assertStoreWorks(backend)
  })

it("an honest service is asked once for a share, and for a commit three times and beside that for its two lists", async (t) => {
  const { url, seen } = await startBadBucket(t, (response, honest) => send(response, honest))
  const backend = backendAt(t, url, false)
  const batch = newBatch(crypto)
  await backend.putShares([chunk.shares[1]!], batch)
  seen.length = 0
  assert.deepEqual(await backend.proposeRegisters([value], batch), [{ accepted: true, vouches: true }])
  assert.deepEqual(seen.map(({ method, key, isList }) => `${isList ? "LIST" : method} ${key.split("/")[0]}`).sort(), [
    "GET holdfast-volume",
    "LIST fence",
    "LIST marks",
    "LIST registers",
    "PUT marks",
    "PUT registers",
  ])
  seen.length = 0
  const [share] = await backend.getShares([{ id: chunk.id, likely: 1 }])
  assert.ok(Buffer.from(share!).equals(chunk.shares[1]!))
  assert.equal(seen.length, 1)
})

it("a value that another writer creates where something was found and removed is not written over", async (t) => {
  const id = crypto.random(32)
  const [ours, others] = await Promise.all(["ours", "others"].map((text) => makeRegisterValue(crypto, id, 1, text)))
  let asked = 0
  const backend = await badBackend(
    t,
    (response, honest, { method, key, isList }, objects) => {
      const isValue = key.startsWith("registers/") && !isList
      if (isValue) asked++
      if (isValue && asked === 1) {
        ;(objects as Map<string, Buffer>).delete(key)
        return send(response, xml("<Error><Code>PreconditionFailed</Code></Error>", 412))
      }
      send(response, honest)
      // The other writer comes after we have seen that there is nothing.
      if (isValue && method === "GET" && honest.status === 404)
        (objects as Map<string, Buffer>).set(key, Buffer.from(others!))
    },
    false,
  )
  const [outcome] = await backend.proposeRegisters([ours!])
  assert.equal(outcome?.accepted, false)
  const [held] = await backend.readRegisters([registerIdOf((await decodeRegisterValue(crypto, ours!)).publicKey)])
  assert.ok(Buffer.from(held!).equals(others!))
})

it("a bucket of another region, or at another address, says what to write", async (t) => {
  const region = "<Region>eu-central-1</Region>"
  const answers: readonly (readonly [status: number, headers: Record<string, string>, body: string, told: RegExp])[] = [
    [
      400,
      {},
      `<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message>${region}</Error>`,
      /region=eu-central-1$/,
    ],
    [301, { "x-amz-bucket-region": "eu-west-3" }, "<Error><Code>PermanentRedirect</Code></Error>", /region=eu-west-3$/],
    [
      301,
      {},
      "<Error><Code>PermanentRedirect</Code><Endpoint>bucket.s3.example.org</Endpoint></Error>",
      /endpoint=https:\/\/bucket\.s3\.example\.org$/,
    ],
    [301, { "x-amz-bucket-region": "Not A Region" }, "<Error><Code>PermanentRedirect</Code></Error>", /region=NAME$/],
  ]
  for (const [status, headers, body, told] of answers) {
    const backend = await badBackend(
      t,
      (response) =>
        send(response, { ...xml(body, status), headers: { "content-type": "application/xml", ...headers } }),
      false,
    )
    await assert.rejects(backend.usage(), { code: "ERR_REMOTE", message: told }, String(status))
  }
})
