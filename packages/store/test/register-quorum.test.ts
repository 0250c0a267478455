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
      return /^Only 2 of the 3 .*n2.*n3/.test(error.message)
    },
  )
  const survey = await start(await all([one, one, one, "away"]))
  assert.equal(survey.top.sequence, 1)
})

test("the newest values are those of the highest number, most held first, and certain when a quorum holds one", async () => {
  const one = await value(1)
  const [low, high] = [await value(2, "a"), await value(2, "b")].sort((x, y) => (hashOf(x) < hashOf(y) ? -1 : 1))
  const newest = async (held: readonly Uint8Array[]) => {
    const survey = await start(await all(held))
    await survey.hearRest()
    return { hashes: survey.newest().map(({ hash }) => hash), stable: survey.stable()?.hash }
  }
  const [first, second] = [hashOf(low!), hashOf(high!)]
  assert.deepEqual(await newest([one, low!, high!, high!]), { hashes: [second, first], stable: undefined })
  assert.deepEqual(await newest([high!, low!, high!, low!]), { hashes: [first, second], stable: undefined })
  assert.equal((await newest([high!, high!, low!, high!])).stable, second)
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
  await assert.rejects(survey.settle(), { code: "ERR_NO_QUORUM", message: /^The newest version was begun.*n3: no\)/ })
  const silent: Partial<Backend> = { proposeRegisters: async () => [] }
  const mute = await Promise.all([1, 2, 3].map((i) => server(`n${i}`, one, silent)))
  const unheard = await start([...(await all([two])), ...mute])
  await unheard.hearRest()
  await assert.rejects(unheard.settle(), { code: "ERR_NO_QUORUM", message: /n3: no answer\)/ })
})

test("a server that never answers is not waited for, neither to hear it nor to bring it up to date", async () => {
  const [one, two] = [await value(1), await value(2)]
  const never = () => new Promise<never>(() => undefined)
  const survey = await start([...(await all([two, one, one])), await server("n3", one, { readRegisters: never })])
  assert.equal(await survey.settle(), true)
  const deaf = await start([...(await all([two, one, one])), await server("n3", one, { proposeRegisters: never })])
  await deaf.hearRest()
  assert.equal(await deaf.settle(), true)
})

test("what a server holds or was offered it is not offered again, and what it lacks it is, needed or not", async () => {
  const [one, two] = [await value(1), await value(2)]
  const offers: string[] = []
  const counting = async (name: string, held: Parameters<typeof server>[1], answer: "takes" | "refuses") => {
    const backend = await server(name, held)
    const proposeRegisters: Backend["proposeRegisters"] = async (values, options) => {
      offers.push(name)
      return answer === "takes" ? backend.proposeRegisters(values, options) : [{ accepted: false, message: "no" }]
    }
    return { ...backend, proposeRegisters }
  }
  const behind = await counting("behind", one, "takes")
  const backends = [...(await Promise.all(["a", "b", "c"].map((name) => counting(name, two, "takes")))), behind]
  const survey = await start(backends)
  await survey.hearRest()
  for (let i = 0; i < 3; i++) assert.equal(await survey.settle(), true)
  assert.deepEqual(offers.splice(0), ["behind"])
  for (let i = 0; i < 1000 && (await heldBy([behind]))[0] !== hashOf(two); i++) await env.clock.sleep(1)
  assert.deepEqual(await heldBy([behind]), [hashOf(two)])
  // Nor is one that did not answer, when the others are enough, nor one that refused, twice.
  const away = { ...(await counting("away", "away", "refuses")) }
  const again = await start([...backends.slice(0, 3), away])
  await again.hearRest()
  assert.equal(await again.settle(), true)
  assert.deepEqual(offers.splice(0), [])
  const refuser = await counting("refuser", one, "refuses")
  const third = await start([...backends.slice(0, 3), refuser])
  await third.hearRest()
  for (let i = 0; i < 3; i++) assert.equal(await third.settle(), true)
  assert.deepEqual(offers, ["refuser"])
})

test("a server that did not answer is offered the value when the others are too few", async () => {
  const [one, two] = [await value(1), await value(2)]
  const unread = await server("n3", one)
  const { readRegisters } = unread
  const mute = { ...unread, readRegisters: () => Promise.reject(new Error("n3 is away")) }
  const survey = await start([...(await all([two, one])), await server("n2", one, refusing), mute])
  await survey.hearRest()
  assert.equal(await survey.settle(), true)
  assert.equal(hashOf((await readRegisters([id]))[0]!), hashOf(two))
})

test("settling says when a newer value came to light, or another one of that number", async () => {
  const [one, a, b, newer] = [await value(1), await value(2, "a"), await value(2, "b"), await value(3)]
  for (const other of [b, newer]) {
    // It has another value by the time that it is brought up to date, and says so.
    const raced = await server("n3", one, {
      proposeRegisters: async () => [{ accepted: false, current: other, message: "held already" }],
    })
    const survey = await start([...(await all([a, one, one])), raced])
    await survey.hearRest()
    assert.equal(survey.newest().length, 1)
    assert.equal(await survey.settle(), false)
    while (!(await survey.settle())) assert.ok(survey.newest().some(({ hash }) => hash === hashOf(other)))
    assert.ok(survey.newest().some(({ hash }) => hash === hashOf(other)))
  }
  const never = () => new Promise<never>(() => undefined)
  const few = [
    await server("n0", a),
    await server("n1", one, refusing),
    await server("n2", one, { proposeRegisters: async () => [{ accepted: false, current: newer, message: "held" }] }),
    await server("n3", one, { proposeRegisters: never }),
  ]
  const survey = await start(few)
  await survey.hearRest()
  assert.equal(await survey.settle(), false, "with too few for the old one, and one that does not answer")
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
  const [far2, ten] = [await value(2 ** 20 + 5), await value(10)]
  for (const held of [
    [far2, one, ten, ten],
    [far2, undefined, ten, ten],
  ]) {
    const reached = await start(await all(held))
    await reached.hearRest()
    assert.equal(reached.top.sequence, 2 ** 20 + 5, "the newest of the others decides what is out of reach")
  }
})
