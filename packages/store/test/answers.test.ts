/** What servers answer is told once for all that say the same, and what they all refuse is a refusal. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import { type AccountRole, type Backend, toReadCap, verifyKeyOf } from "@holdfast/protocol"
import { createMemorySeen, createStore } from "@holdfast/store"
import { answerOf, refusedByServers, tellAnswers } from "../src/answers.ts"

test("one answer of several servers is told once, whatever each calls itself", () => {
  assert.equal(
    tellAnswers([
      { server: "n1", why: "n1: it is full" },
      { server: "n2", why: "Server n2 allows 5 bytes" },
      { server: "n3", why: "it is full" },
      { server: "n4", why: "Server n4 allows 5 bytes" },
      { server: "n5", why: "Server n5 allows 6 bytes" },
      { server: "n3", why: "it is full" },
    ]),
    "n1, n3: it is full; n2, n4: Server it allows 5 bytes; n5: Server n5 allows 6 bytes",
  )
})

test("servers that are away make no refusal of a quorum that they might give", () => {
  const refused = (server: string) => ({ server, why: "no", code: "ERR_REFUSED" })
  const away = { server: "n5", why: "away", code: "ERR_SERVER_UNREACHABLE" }
  assert.equal(refusedByServers([refused("n1"), refused("n2"), away], { servers: 5, needed: 3 }), undefined)
  const three = [refused("n1"), refused("n2"), refused("n3"), away]
  assert.equal(refusedByServers(three, { servers: 5, needed: 3 })?.code, "ERR_REFUSED")
})

test("one server that refuses our certificate decides when too few are left, and says so with what the others said", () => {
  const details = { proven: true, ofCertificate: true }
  const revoked = answerOf("n1", new HoldfastError("ERR_REFUSED", "n1: our certificate was revoked.", details))
  const cut = answerOf("n2", new HoldfastError("ERR_SERVER_UNREACHABLE", "n2: it closed the connection."))
  const error = refusedByServers([cut, revoked], { servers: 5, needed: 3, reached: 1 })
  assert.equal(error?.code, "ERR_REFUSED")
  assert.match(error.message, /n1: our certificate was revoked; n2: it closed the connection/)
  assert.equal(refusedByServers([cut, revoked], { servers: 5, needed: 3, reached: 3 }), undefined)
  const busy = answerOf("n1", new HoldfastError("ERR_REFUSED", "too many connections", { proven: true }))
  assert.equal(refusedByServers([cut, busy], { servers: 5, needed: 3, reached: 1 }), undefined)
})

test("a revoked client hears of it from every operation of the store, though only one server knows it yet", async (t) => {
  const seed = crypto.random(32)
  const keys = { ...(await toReadCap(crypto, { kind: "dw", seed })), seed }
  const account = crypto.random(32)
  const places = ["n1", "n2", "n3", "n4", "n5"].map((id) => createMemoryPlace(id, crypto))
  const isRevoked = { now: false }
  const failing = (backend: Backend, i: number): Backend =>
    new Proxy(backend, {
      get(target, name: keyof Backend) {
        const member = target[name]
        if (typeof member !== "function" || !isRevoked.now || name === "close") return member
        const details = { proven: true, ofCertificate: true }
        return async () => {
          throw i === 0
            ? new HoldfastError("ERR_REFUSED", `${backend.id}: our certificate was revoked.`, details)
            : new HoldfastError("ERR_SERVER_UNREACHABLE", `${backend.id}: it closed the connection.`)
        }
      },
    })
  const store = await createStore({
    env: nodeEnv,
    servers: places.map((place, i) => ({
      backend: failing(place.backendOf({ account, roles: ["read", "append", "collect"] }), i),
      weight: 1,
    })),
    account,
    coding: { k: 3, happy: 4, n: 5 },
    registerMode: "crash",
    seen: createMemorySeen(),
  })
  t.after(() => store.close())
  const ref = await store.chunks.putChunk(crypto.random(500_000))
  const small = { content: new Uint8Array(1), care: new Uint8Array(1) }
  await store.registers.write(keys, 0, small, { chunks: [ref.id] })
  isRevoked.now = true
  const operations: Record<string, () => Promise<unknown>> = {
    get: () => store.chunks.getChunk(ref),
    range: () => store.chunks.readRange(ref, { offset: 5, length: 10 }),
    put: () => store.chunks.putChunk(crypto.random(5000)),
    read: () => store.registers.read(keys),
    care: () => store.registers.readCare({ ...keys, verifyKey: verifyKeyOf(keys.readKey) }),
    write: () => store.registers.write(keys, 1, small),
    commit: () => store.registers.write(keys, 1, small, { chunks: [ref.id] }),
    collect: () => store.beginCollection(),
  }
  for (const [name, run] of Object.entries(operations))
    await assert.rejects(run(), { code: "ERR_REFUSED", message: /our certificate was revoked/ }, name)
})

test("a profile that may only read is told so once, for chunks and for roots, with what to do", async (t) => {
  const places = ["n1", "n2", "n3", "n4", "n5"].map((id) => createMemoryPlace(id, crypto))
  const account = crypto.random(32)
  const storeWith = async (roles: AccountRole[]) => {
    const store = await createStore({
      env: nodeEnv,
      servers: places.map((place) => ({ backend: place.backendOf({ account, roles }), weight: 1 })),
      account,
      coding: { k: 3, happy: 4, n: 5 },
      registerMode: "crash",
      seen: createMemorySeen(),
    })
    t.after(() => store.close())
    return store
  }
  const store = await storeWith(["read"])
  const isToldOnce = (error: unknown) => {
    assert.ok(error instanceof HoldfastError)
    assert.equal(error.code, "ERR_REFUSED")
    assert.match(error.message, /n1, n2, n3, n4, n5: .*may only read here.*alias add NAME --local.*invitation/)
    assert.equal(error.message.match(/needs the role/g)!.length, 1)
    return true
  }
  const seed = crypto.random(32)
  const keys = { ...(await toReadCap(crypto, { kind: "dw", seed })), seed }
  await assert.rejects(
    store.registers.write(keys, 0, { content: new Uint8Array(1), care: new Uint8Array(1) }),
    isToldOnce,
  )
  await assert.rejects(store.chunks.putChunk(crypto.random(5000)), isToldOnce)
  const writer = await storeWith(["read", "append"])
  await writer.chunks.putChunk(crypto.random(5000))
  await assert.rejects(writer.beginCollection(), {
    code: "ERR_REFUSED",
    message: /n1, n2, n3, n4, n5: .*may only add here, and take nothing away/,
  })
})
