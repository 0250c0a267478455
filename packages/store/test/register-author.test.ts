/** Who wrote a register value: nobody can put another's name to it, and damaged names are refused. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type CborValue, concat, decodeCbor, domainPrefix, encodeCbor, FieldReader, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Device, decodeSigned, deviceName, encodeSigned, type OpenValue } from "../src/register-author.ts"

const bytes = (value: number, length = 32) => new Uint8Array(length).fill(value)
const seed = bytes(1)
const names = { device: await crypto.publicKeyOf(seed), account: bytes(2), name: "laptop" }
const device: Device = { ...names, sign: (message) => crypto.sign(seed, message) }
const value: OpenValue = {
  ...{ publicKey: bytes(3), epoch: 1, sequence: 9, follows: [bytes(4)], base: 8, peaks: [bytes(5)] },
  ...{ owner: bytes(6), statement: bytes(7, 40), readCheck: bytes(8), care: bytes(9, 50) },
}
const content = utf8("content")

const decode = (fields: CborValue, of: OpenValue = value) =>
  decodeSigned(crypto, of, new FieldReader(fields, "register content"))
const encode = async (by: Device | undefined = device) =>
  decodeCbor(await encodeSigned(crypto, value, content, { device: by, past: [] }), "content") as CborValue[]

test("a device's signature is over all of the value that is known, the content, and its own names", async () => {
  const [, by] = (await encode()) as [Uint8Array, CborValue[]]
  const { publicKey, epoch, sequence, base, owner, statement, readCheck, care } = value
  const head = [4, publicKey, epoch, sequence, bytes(4), base, bytes(5), owner, statement, readCheck, care]
  const whole = encodeCbor([...head, content, names.device, names.account, names.name])
  const message = concat(domainPrefix("holdfast/register-author/1"), await crypto.sha256(whole))
  assert.deepEqual(by, [names.device, names.account, names.name, new Uint8Array(await crypto.sign(seed, message))])
})

test("an author is shown for what its device signed alone: not for another value, content or name", async () => {
  const good = (await encode()) as [Uint8Array, CborValue[], CborValue[]]
  assert.deepEqual((await decode(good)).author, names)
  const others: Partial<OpenValue>[] = [
    { publicKey: bytes(0) },
    { epoch: 2 },
    { sequence: 10 },
    { follows: [bytes(0)] },
    { base: 7 },
    { peaks: [] },
    { owner: bytes(0) },
    { statement: bytes(0) },
    { readCheck: bytes(0) },
    { care: bytes(0) },
  ]
  for (const other of others) assert.equal((await decode(good, { ...value, ...other })).author, undefined)
  const [, by, past] = good
  const claims: CborValue[] = [
    [utf8("another"), by, past],
    [content, by.with(0, bytes(1)), past],
    [content, by.with(1, bytes(1)), past],
    [content, by.with(1, bytes(1, 0)), past],
    [content, by.with(2, "desktop"), past],
    [content, by.with(3, bytes(1, 64)), past],
  ]
  for (const claim of claims) assert.equal((await decode(claim)).author, undefined)
  const [unsigned] = [(await encodeSigned(crypto, value, content, { past: [] })) as Uint8Array]
  assert.deepEqual(await decode(decodeCbor(unsigned, "content")), { content, past: [] })
})

test("names that no device has, and fields too many, are refused", async () => {
  const [, by] = (await encode()) as [Uint8Array, CborValue[]]
  const line = [5, names.device, names.account, names.name]
  assert.deepEqual((await decode([content, by, [line]])).past, [{ sequence: 5, author: names }])
  const bad: CborValue[] = [
    [content, by.with(0, bytes(1, 31)), []],
    [content, by.with(1, bytes(1, 31)), []],
    [content, by.with(1, bytes(1, 33)), []],
    [content, by.with(2, "a".repeat(65)), []],
    [content, [...by, 0], []],
    [content, by, [], 0],
    [content, by, [line.with(0, 0)]],
    [content, by, [line.with(2, bytes(1, 1))]],
    [content, by, [[...line, 0]]],
    [content, by, Array.from({ length: 17 }, () => line)],
  ]
  for (const fields of bad) await assert.rejects(decode(fields), { code: "ERR_BAD_FORMAT" })
})

test("a device's name is cut at a whole letter", () => {
  assert.equal(deviceName("laptop"), "laptop")
  assert.equal(deviceName(`${"a".repeat(63)}ä`), "a".repeat(63))
  assert.equal(deviceName(`${"a".repeat(62)}ä`), `${"a".repeat(62)}ä`)
})
