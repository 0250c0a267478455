/** Which kit is restored, what is said when none is, and what opens one. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { deflateRawSync } from "node:zlib"
import { chooseKit, type FoundKit, groupParts, type KitSecret, keyOfKit, makeKit, openKit } from "@holdfast/client/kits"
import { fromHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { decodeRecoveryPart, encodeRecoverySecrets, sealRecoveryBody } from "@holdfast/protocol"
import type { RecoveryVectors } from "@holdfast/protocol/vectors"
import { kitThreshold } from "../src/kits/threshold.ts"
import { secretsFor } from "./kit-fixture.ts"

const path = new URL("../../../interop/vectors/recovery-kit.json", import.meta.url)
const vectors = JSON.parse(readFileSync(path, "utf8")) as RecoveryVectors

const found = (parts: readonly Uint8Array[]): FoundKit => {
  const [kit] = groupParts(parts.map((part, i) => ({ place: `p${i}`, part: decodeRecoveryPart(part) })))
  return kit!
}
/** A kit of version 1 from the frozen vectors. */
const old = (isProtected: boolean, change = (part: Uint8Array) => part) => {
  const { parts } = vectors.good.find(({ passphrase }) => (passphrase !== null) === isProtected)!
  return found(parts.map((part) => change(fromHex(part))))
}
const made = async (master?: Uint8Array) => found(await makeKit(crypto, secretsFor(3), { threshold: 2, master }))

const choose = (open: readonly FoundKit[], secret?: KitSecret, hidden: readonly FoundKit[] = []) =>
  chooseKit(crypto, { hidden, open }, { name: "main", secret })
const anySecret = (): KitSecret => ({ master: crypto.random(32), masterBy: async () => crypto.random(32) })

test("a kit of version 1 is restored only when there is no other, however new and wherever it lies", async () => {
  const kit = await made()
  const few = { ...kit, parts: new Map([...kit.parts].slice(0, 2)) }
  const before = old(false)
  assert.ok(before.parts.size > few.parts.size)
  for (const open of [
    [before, few],
    [few, before],
  ]) {
    const chosen = await choose(open)
    assert.equal(chosen.kit.id, kit.id)
    assert.deepEqual(
      chosen.others.map(({ id }) => id),
      [before.id],
    )
  }
  assert.equal((await choose([before])).kit.id, before.id)
})

test("says what is missing: the words, others, a kit without any, or any kit at all", async () => {
  const [bare, kept] = [await made(), await made(crypto.random(32))]
  const secret = anySecret()
  await assert.rejects(choose([old(true)]), { code: "ERR_LOCKED" })
  await assert.rejects(choose([kept]), { code: "ERR_LOCKED" })
  await assert.rejects(choose([]), { code: "ERR_NOT_FOUND", message: /without words or passphrase/ })
  await assert.rejects(choose([], secret), { code: "ERR_NOT_FOUND", message: /for these words/ })
  await assert.rejects(choose([bare], secret), { code: "ERR_REFUSED" })
  await assert.rejects(choose([], secret, [bare]), { code: "ERR_NOT_FOUND" }, "where only words lead")
  await assert.rejects(choose([old(true)], secret), { code: "ERR_WRONG_PASSPHRASE" })
  await assert.rejects(choose([], secret, [kept]), { code: "ERR_CORRUPT" }, "its register is that of other words")
  await assert.rejects(choose([old(true)], secret, [kept]), { code: "ERR_CORRUPT" })
  const spoiled = old(false, (part) => part.map((byte, i) => (i === part.length - 80 ? byte ^ 1 : byte)))
  await assert.rejects(
    choose([spoiled]),
    { code: "ERR_CORRUPT" },
    "nobody is asked for a passphrase that there is none of",
  )
})

test("parts that are not of one key, or one part twice, give no key", async () => {
  const [one, other] = [await made(), await made()]
  assert.equal((await keyOfKit(one))?.length, 32)
  assert.equal(await keyOfKit({ ...one, parts: other.parts }), undefined)
  const [first] = [...one.parts.values()]
  const twice = new Map([
    [0, first!],
    [1, first!],
  ])
  assert.equal(await keyOfKit({ ...one, parts: twice }), undefined)
  await assert.rejects(choose([{ ...one, parts: twice }]), { code: "ERR_NOT_ENOUGH_SHARES", message: /made wrongly/ })
})

test("content that a newer version made is told as such, and what is cut short opens nothing", async () => {
  const [{ body, parts }, key] = [await made(), crypto.random(32)]
  const packed = (content: Uint8Array, more = 0) => {
    const deflated = deflateRawSync(content)
    const plaintext = new Uint8Array(4 + deflated.length)
    new DataView(plaintext.buffer).setUint32(0, deflated.length + more)
    plaintext.set(deflated, 4)
    return plaintext
  }
  const open = async (plaintext: Uint8Array) => {
    const sealed = await sealRecoveryBody(crypto, body, { key, plaintext })
    return openKit(crypto, { id: "any", body: sealed, parts }, { key })
  }
  const content = encodeRecoverySecrets(secretsFor(3))
  assert.ok(await open(packed(content)))
  const newer = content.slice()
  assert.equal(newer[1], 2, "its version")
  newer[1] = 9
  await assert.rejects(open(packed(newer)), { code: "ERR_UNSUPPORTED_VERSION" })
  assert.equal(await open(packed(content, 1)), undefined)
  assert.equal(await open(packed(content).subarray(0, 3)), undefined)
  assert.equal(await open(new Uint8Array(20)), undefined)
})

test("the size of a part tells little of what is in it", async () => {
  const sizes = new Set<number>()
  for (let letters = 1; letters <= 12; letters++) {
    const aliases = new Map([["x".repeat(letters), "hf:dr:any"]])
    const parts = await makeKit(crypto, { ...secretsFor(3), aliases }, { threshold: 2 })
    sizes.add(parts[0]!.length)
  }
  assert.ok(sizes.size <= 3, [...sizes].join())
})

test("a volume whose kits no number of parts fits has no threshold without words", () => {
  const grid = { places: 5, faults: 2, parties: [5] }
  assert.equal(kitThreshold({ ...grid, isProtected: false }), undefined)
  assert.deepEqual(kitThreshold({ ...grid, isProtected: true }), { threshold: 3, parties: 1 })
})
