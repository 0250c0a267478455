/** What a survey of servers believes: which value is the newest, which is certain, and whose word counts. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import { type Backend, registerHashOf, registerIdOf } from "@holdfast/protocol"
import { makeRegisterValue } from "@holdfast/protocol/testing"
import { Survey } from "../src/register-quorum.ts"

const seed = crypto.random(32)
const publicKey = await crypto.publicKeyOf(seed)
const id = registerIdOf(publicKey)
const value = (sequence: number, text = "text", by = seed) => makeRegisterValue(crypto, by, sequence, text)
const hashOf = (bytes: Uint8Array) => toHex(registerHashOf(bytes))

/** A server that holds this, or that does not answer. */
async function server(name: string, held: Uint8Array | "away" | undefined, more: Partial<Backend> = {}) {
  const backend = createMemoryBackend(name, crypto)
  if (held instanceof Uint8Array) assert.ok((await backend.proposeRegisters([held]))[0]?.accepted)
  const away = async () => {
    throw new Error(`${name} is away`)
  }
  return { ...backend, ...(held === "away" && { readRegisters: away, proposeRegisters: away }), ...more } as Backend
}

const all = (held: readonly (Uint8Array | "away" | undefined)[]) =>
  Promise.all(held.map((one, i) => server(`n${i}`, one)))
const start = (backends: readonly Backend[], mode: "crash" | "byzantine" = "byzantine") =>
  Survey.start({ env, backends, mode }, publicKey)
const heldBy = (backends: readonly Backend[]) =>
  Promise.all(backends.map(async (backend) => (await backend.readRegisters([id]))[0])).then((held) =>
    held.map((bytes) => bytes && hashOf(bytes)),
  )
const refusing: Partial<Backend> = {
  proposeRegisters: async () => [{ accepted: false, message: "no" }],
}

test("fewer answers than a quorum are none, and those who did not answer are named", async () => {
  const one = await value(1)
  await assert.rejects(
    start(await all([one, one, "away", "away"])),
    (error: Error & { code: string; details: object }) => {
      assert.deepEqual([error.code, (error.details as { reached: number }).reached], ["ERR_NO_QUORUM", 2])
      return /n2/.test(error.message) && /n3/.test(error.message)
    },
  )
  const survey = await start(await all([one, one, one, "away"]))
  assert.equal(survey.top.sequence, 1)
})

test("the newest values are those of the highest number, most held first, and certain when a quorum holds one", async () => {
  const [one, a, b] = [await value(1), await value(2, "a"), await value(2, "b")]
  const survey = await start(await all([one, a, b, b]))
  await survey.hearRest()
  assert.deepEqual(
    survey.newest().map(({ hash }) => hash),
    [hashOf(b), hashOf(a)],
  )
  assert.equal(survey.stable(), undefined)
  const certain = await start(await all([b, b, a, b]))
  await certain.hearRest()
  assert.equal(certain.stable()?.hash, hashOf(b))
  const tie = await start(await all([a, b, a, b]))
  await tie.hearRest()
  assert.deepEqual(
    tie.newest().map(({ hash }) => hash),
    [hashOf(a), hashOf(b)].sort(),
  )
  const empty = await start(await all([undefined, undefined, undefined, undefined]))
  assert.deepEqual([empty.newest(), empty.stable(), await empty.settle()], [[], undefined, true])
})

test("settling brings servers up to date until a quorum holds the number, and no further than it has to ask those away", async () => {
  const [one, two] = [await value(1), await value(2)]
  const backends = await all([two, one, undefined, "away"])
  const survey = await start(backends)
  assert.equal(await survey.settle(), true)
  assert.deepEqual(
    await heldBy(backends.slice(0, 3)),
    Array.from({ length: 3 }, () => hashOf(two)),
  )
  assert.equal(survey.stable()?.hash, hashOf(two))
})

test("a value that too few servers have and take is no result", async () => {
  const [one, two] = [await value(1), await value(2)]
  const backends = [...(await all([two])), ...(await Promise.all([1, 2, 3].map((i) => server(`n${i}`, one, refusing))))]
  const survey = await start(backends)
  await survey.hearRest()
  await assert.rejects(survey.settle(), { code: "ERR_NO_QUORUM", message: /newest version was begun/ })
})

test("settling says when a newer value came to light, or another one of that number", async () => {
  const [one, a, b] = [await value(1), await value(2, "a"), await value(2, "b")]
  const newer = await value(3)
  for (const other of [b, newer]) {
    // It has another value by the time that it is brought up to date, and says so.
    const raced = await server("n3", one, {
      proposeRegisters: async () => [{ accepted: false, current: other, message: "held already" }],
    })
    const survey = await start([...(await all([a, one, one])), raced])
    await survey.hearRest()
    assert.equal(survey.newest().length, 1)
    while (!(await survey.settle())) assert.ok(survey.newest().some(({ hash }) => hash === hashOf(other)))
    assert.ok(survey.top.sequence >= 2)
  }
})

test("a value of another register, of another form or with a wrong signature is no answer", async () => {
  const one = await value(1)
  const foreign = await value(9, "text", crypto.random(32))
  const damaged = one.slice()
  damaged[damaged.length - 1]! ^= 1
  for (const bytes of [foreign, damaged, new Uint8Array(5)]) {
    const lying = { readRegisters: async () => [bytes] }
    const few = [...(await all([one, one])), await server("n2", one, lying), await server("n3", one, lying)]
    await assert.rejects(start(few), { code: "ERR_NO_QUORUM" })
    const survey = await start([...(await all([one, one, one])), await server("n3", one, lying)])
    assert.equal(survey.top.sequence, 1)
  }
})

test("a number out of reach is not believed of f servers, however they agree, and is of more", async () => {
  const [one, far] = [await value(1), await value(2 ** 21)]
  const survey = await start(await all([far, one, one, one]))
  await survey.hearRest()
  assert.deepEqual([survey.top.sequence, await survey.settle()], [1, true])
  await assert.rejects(start(await all([far, one, one, "away"])), {
    code: "ERR_NO_QUORUM",
    message: /nobody else would take/,
  })
  const two = await start(await all([far, far, one, one]))
  await two.hearRest()
  assert.equal(two.top.sequence, 2 ** 21)
  const alone = await start(await all([far, undefined, undefined, undefined]))
  await alone.hearRest()
  assert.equal(alone.top.sequence, 2 ** 21, "who holds nothing would take any number")
})
