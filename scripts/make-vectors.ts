/**
 * Makes the frozen vectors of chunks, registers and capabilities, once for a format version: it refuses to overwrite
 * any. They hold good cases with each step between, and bad ones with the error that must answer them.
 */
import { existsSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import {
  type CborValue,
  compare,
  concat,
  deriveKey,
  domainPrefix,
  encodeBase32,
  encodeCbor,
  fromHex,
  hashSmall,
  toHex,
  utf8,
} from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type Cap,
  encodeCap,
  extendLineage,
  type Followed,
  registerHashOf,
  registerIdOf,
  signRegisterValue,
  toReadCap,
  toVerifyCap,
  verifyKeyOf,
} from "@holdfast/protocol"
import { type CapabilityVectors, type ChunkVectors, fieldsOf, type RegisterVectors } from "@holdfast/protocol/vectors"
import { accountVectors } from "./account-vectors.ts"
import { bucketVectors, droppedVectors } from "./bucket-vectors.ts"
import { chunk2Vectors } from "./chunk-vectors.ts"
import { gridVectors, labelledGridVectors } from "./grid-vectors.ts"
import { inviteVectors } from "./invite-vectors.ts"
import { parityVectors } from "./parity-vectors.ts"
import { recoveryVectors } from "./recovery-vectors.ts"

import { boundVectors } from "./register-vectors.ts"
import { signatureVectors } from "./signature-vectors.ts"
import { transportVectors } from "./transport-vectors.ts"
import { patchedVectors, treeVectors } from "./tree-vectors.ts"

import { volumeHostVectors, volumeVectors } from "./volume-vectors.ts"

const folder = join(dirname(import.meta.dirname), "interop", "vectors")
type Bad = ChunkVectors["bad"][number]

/** Bytes that look random and are the same each time. */
function bytesOf(name: string, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => hashSmall("vectors", utf8(`${name} ${i}`)))
  return concat(...blocks).subarray(0, length)
}

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  copy[at < 0 ? copy.length + at : at] = value
  return copy
}

/** Values of version 3; those of version 1, in register.json, are read and no longer made. */
async function registerVectors(): Promise<RegisterVectors> {
  const seed = bytesOf("register seed", 32)
  const good: RegisterVectors["good"][number][] = []
  let followed: Followed[] = []
  for (let sequence = 1; sequence <= 25; sequence++) {
    // Sequence 3 has two values, of writers that raced; the one after follows both.
    const names = sequence === 3 ? ["3", "3 of another writer"] : [`${sequence}`]
    const vectors = await Promise.all(names.map((name) => registerVector(seed, { name, sequence, followed })))
    if ([1, 2, 3, 4, 25].includes(sequence)) good.push(...vectors)
    followed = vectors.map(({ hash, lineage }) => ({
      hash: fromHex(hash),
      value: { sequence, lineage: lineage.map((hashes) => hashes.map(fromHex)) },
    }))
  }
  return { good, bad: await badRegisters(seed, fromHex(good[1]!.value)) }
}

interface RegisterPlan {
  readonly name: string
  readonly sequence: number
  readonly followed: readonly Followed[]
}

async function registerVector(seed: Uint8Array, { name, sequence, followed }: RegisterPlan) {
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "dw", seed })
  const verifyKey = verifyKeyOf(readKey)
  const content = bytesOf(`content ${name}`, [0, 40, 3000][sequence % 3]!)
  const careContent = bytesOf(`care ${name}`, 33 * (sequence % 4))
  const number = new Uint8Array(8)
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence))
  const seal = async (secret: Uint8Array, label: string, saltName: string, plaintext: Uint8Array) => {
    const salt = bytesOf(`${saltName} of version 3, ${name}`, 32)
    const associated = concat(domainPrefix(label), publicKey, number)
    const key = deriveKey(secret, label, salt)
    return concat(salt, await crypto.seal(key, new Uint8Array(12), plaintext, associated))
  }
  const sealed = await seal(readKey, "holdfast/register-content/1", "salt", content)
  const care = await seal(verifyKey, "holdfast/register-care/1", "care salt", careContent)
  const lineage = extendLineage(followed)
  const value = await signRegisterValue(crypto, seed, { sequence, lineage, sealed, care })
  return {
    name: `value ${name}, content of ${content.length} bytes`,
    seed: toHex(seed),
    publicKey: toHex(publicKey),
    readKey: toHex(readKey),
    verifyKey: toHex(verifyKey),
    id: toHex(registerIdOf(publicKey)),
    sequence,
    lineage: lineage.map((hashes) => hashes.map(toHex)),
    content: toHex(content),
    sealed: toHex(sealed),
    careContent: toHex(careContent),
    care: toHex(care),
    value: toHex(value),
    hash: toHex(registerHashOf(value)),
  }
}

async function badRegisters(seed: Uint8Array, value: Uint8Array): Promise<Bad[]> {
  const publicKey = await crypto.publicKeyOf(seed)
  const zeros = (length: number) => new Uint8Array(length)
  const hashes = Array.from({ length: 21 }, (_, i) => bytesOf(`hash ${i}`, 32)).sort(compare)
  const [a, b] = hashes as [Uint8Array, Uint8Array]
  const signed = async (changes: { readonly [index: number]: CborValue }, domain = "holdfast/register-value/3") => {
    const fields = [3, publicKey, 2, zeros(48), zeros(48), [[a]]].map((field, i) => changes[i] ?? field)
    return encodeCbor([...fields, await crypto.sign(seed, concat(domainPrefix(domain), encodeCbor(fields)))])
  }
  // The same value with its sequence as 18 02 instead of 02.
  const longer = concat(value.subarray(0, 36), new Uint8Array([0x18, 2]), value.subarray(37))
  const bad = (name: string, bytes: Uint8Array, error: Bad["error"]): Bad => ({ name, bytes: toHex(bytes), error })
  return [
    bad("no bytes", zeros(0), "ERR_BAD_FORMAT"),
    bad("cut short", value.subarray(0, value.length - 1), "ERR_BAD_FORMAT"),
    bad("a byte too many", concat(value, zeros(1)), "ERR_BAD_FORMAT"),
    bad("version 4 with the fields of version 3", await signed({ 0: 4 }), "ERR_BAD_FORMAT"),
    bad("another sequence under the same signature", changed(value, 36, 3), "ERR_CORRUPT"),
    bad("a changed byte of the signature", changed(value, -1, value[value.length - 1]! ^ 1), "ERR_CORRUPT"),
    bad("signed as version 1", await signed({}, "holdfast/register-value/1"), "ERR_CORRUPT"),
    bad("sequence 0", await signed({ 2: 0, 5: [] }), "ERR_BAD_FORMAT"),
    bad("sequence in a longer form than needed", longer, "ERR_BAD_FORMAT"),
    bad("a short public key", await signed({ 1: publicKey.subarray(1) }), "ERR_BAD_FORMAT"),
    bad("a field missing", encodeCbor([3, publicKey, 2, zeros(48), zeros(48), zeros(64)]), "ERR_BAD_FORMAT"),
    bad("sealed content over its limit", await signed({ 3: zeros(66_000) }), "ERR_BAD_FORMAT"),
    bad("sealed care over its limit", await signed({ 4: zeros(16_433) }), "ERR_BAD_FORMAT"),
    bad("longer than any value", await signed({ 3: zeros(66_000), 4: zeros(17_000) }), "ERR_LIMIT"),
    bad("no lineage after the first value", await signed({ 5: [] }), "ERR_BAD_FORMAT"),
    bad("a lineage of more values than there were", await signed({ 5: [[a], [b]] }), "ERR_BAD_FORMAT"),
    bad("an empty list in the lineage", await signed({ 5: [[]] }), "ERR_BAD_FORMAT"),
    bad("hashes out of order", await signed({ 5: [[b, a]] }), "ERR_BAD_FORMAT"),
    bad("a hash twice", await signed({ 5: [[a, a]] }), "ERR_BAD_FORMAT"),
    bad("a short hash", await signed({ 5: [[a.subarray(1)]] }), "ERR_BAD_FORMAT"),
    bad("a hash for a list", await signed({ 5: [a] }), "ERR_BAD_FORMAT"),
    bad("21 hashes", await signed({ 5: [hashes] }), "ERR_BAD_FORMAT"),
    bad("21 lists", await signed({ 2: 30, 5: hashes.map((hash) => [hash]) }), "ERR_BAD_FORMAT"),
  ]
}

async function capabilityVectors(): Promise<CapabilityVectors> {
  const seed = bytesOf("capability seed", 32)
  const write = [{ kind: "dw", seed } as const, { kind: "fw", seed: bytesOf("file seed", 32) } as const]
  const derived = await Promise.all(
    write.map(async (cap) => ({ cap, read: await toReadCap(crypto, cap), verify: await toVerifyCap(crypto, cap) })),
  )
  const caps: Cap[] = [
    ...derived.flatMap(({ cap, read, verify }) => [cap, read, verify]),
    { kind: "ci", entry: bytesOf("entry", 77) },
    { kind: "cv", chunkIds: bytesOf("chunk id", 32) },
    { kind: "cv", chunkIds: bytesOf("chunk ids", 38 * 32) },
    { kind: "lit", content: utf8("hello\n") },
    { kind: "lit", content: new Uint8Array() },
  ]
  const good = caps.map((cap) => ({ name: cap.kind, text: encodeCap(cap), fields: fieldsOf(cap) }))
  const text = encodeCap(write[0]!)
  const error = "ERR_BAD_CAPABILITY"
  const signed = (kind: string, payload: Uint8Array) =>
    `hf:${kind}:${encodeBase32(concat(payload, hashSmall("holdfast/cap-checksum/1", utf8(`${kind}:`), payload).subarray(0, 4)))}`
  return {
    good,
    derived: derived.map((set) => ({
      write: encodeCap(set.cap),
      read: encodeCap(set.read),
      verify: encodeCap(set.verify),
    })),
    bad: [
      { name: "empty", text: "", error },
      { name: "without payload", text: "hf:dw:", error },
      { name: "unknown kind", text: text.replace("hf:dw:", "hf:dx:"), error },
      { name: "of one kind spelled as another", text: text.replace("hf:dw:", "hf:dv:"), error },
      { name: "a letter changed", text: `${text.slice(0, 10)}${text[10] === "a" ? "b" : "a"}${text.slice(11)}`, error },
      { name: "a letter left out", text: text.slice(0, -1), error },
      { name: "capital letters", text: text.toUpperCase(), error },
      { name: "a digit outside the alphabet", text: `${text.slice(0, -1)}1`, error },
      { name: "padding", text: `${text}=`, error },
      { name: "a seed of 31 bytes", text: signed("dw", seed.subarray(1)), error },
      { name: "a verify capability without a verify key", text: signed("dv", seed), error },
      { name: "a read capability without a read key", text: signed("dr", seed), error },
      { name: "no chunk", text: signed("cv", seed.subarray(32)), error },
      { name: "a chunk and a half", text: signed("cv", bytesOf("chunk ids", 48)), error },
      { name: "39 chunks", text: signed("cv", bytesOf("chunk ids", 39 * 32)), error },
      { name: "a literal of 257 bytes", text: signed("lit", bytesOf("literal", 257)), error },
      { name: "longer than any", text: signed("ci", bytesOf("long", 2000)), error },
    ],
  }
}

/** Text as CBOR has it: what decoders of UTF-8 like to drop, replace or normalise comes back as it was. */
function textVectors() {
  const good = Object.entries({
    empty: "",
    "U+FEFF alone": "\ufeff",
    "U+FEFF before a name": "\ufeffnotes.txt",
    "U+FEFF before more than 23 bytes": `\ufeff${"x".repeat(30)}`,
    "U+FEFF before more than 255 bytes": `\ufeff${"x".repeat(300)}`,
    "U+FEFF twice": "\ufeff\ufeff",
    "U+FEFF inside": "a\ufeffb",
    "U+FFFD and U+FFFF": "\ufffd\uffff",
    "zero byte": "a\0b",
    "composed and decomposed": "\u00e9e\u0301",
    "last character": "\u{10ffff}",
  }).map(([name, text]) => ({ name, text, bytes: toHex(encodeCbor(text)) }))
  const error = "ERR_BAD_FORMAT"
  const bad = Object.entries({
    "a byte that is not UTF-8": "61ff",
    "U+FEFF and a byte that is not UTF-8": "64efbbbfff",
    "a surrogate": "63eda080",
    "an overlong slash": "62c0af",
    "U+FEFF cut off": "62efbb",
    "U+FEFF with a longer length than needed": "7803efbbbf",
  }).map(([name, bytes]) => ({ name, bytes, error }))
  return { good, bad }
}

const makers = {
  account: accountVectors,
  "cbor-text": textVectors,
  "chunk-2": chunk2Vectors,
  "chunk-parity": parityVectors,
  "register-lineage": registerVectors,
  "register-4": () => boundVectors(bytesOf),
  capability: capabilityVectors,
  "invite-2": inviteVectors,
  "recovery-kit-2": recoveryVectors,
  signature: signatureVectors,
  transport: transportVectors,
  tree: treeVectors,
  "tree-patched": patchedVectors,
  "grid-description-3": gridVectors,
  "grid-description-4": labelledGridVectors,
  "bucket-2": bucketVectors,
  "bucket-dropped": droppedVectors,
  "volume-2": volumeVectors,
  "volume-hosts": volumeHostVectors,
}
for (const [name, make] of Object.entries(makers)) {
  const path = join(folder, `${name}.json`)
  if (existsSync(path)) console.log(`${name}.json is frozen: left as it is`)
  else writeFileSync(path, `${JSON.stringify(await make(), null, 1)}\n`)
}
