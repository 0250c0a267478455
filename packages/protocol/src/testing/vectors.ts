/**
 * Checks this implementation against the frozen vectors of interop/vectors, in Node and in a page alike. The same files
 * are read by the second reader in interop/reader.
 */
import {
  assert,
  type CryptoProvider,
  concat,
  domainPrefix,
  type ErrorCode,
  fromHex,
  HoldfastError,
  macSmall,
  toHex,
} from "@holdfast/core"
import { blockBytes, leavesOf, rootOf } from "../block-tree.ts"
import { type Cap, decodeCap, encodeCap, toReadCap, toVerifyCap, verifyKeyOf, type WriteCap } from "../cap.ts"
import {
  type ChunkVersion,
  chunkIdOf,
  decodeDescriptor,
  encodeDescriptor,
  encodeShareHeader,
  keyCheckOf,
  leavesLength,
  type Share,
} from "../chunk.ts"
import { type CodewordDeps, isCodeword } from "../codeword.ts"
import {
  decodeRecoveryPart,
  encodeRecoveryParts,
  openRecoveryBody,
  openRecoveryRegisterSeed,
  recoveryKeyCheck,
  recoveryRegisterSeed,
  sealRecoveryBody,
} from "../recovery-kit.ts"
import { decodeRecoverySecrets, encodeRecoverySecrets } from "../recovery-secrets.ts"
import { decodeRegisterValue, registerHashOf, registerIdOf } from "../register.ts"
import { signRegisterValue } from "../register-lineage.ts"
import { verifyShare } from "../share-check.ts"

/** Bytes that must be refused with `error`. */
export interface BadVector {
  readonly name: string
  readonly bytes: string
  readonly error: ErrorCode
}

/** interop/vectors/chunk.json. Bytes are hexadecimal. */
export interface ChunkVectors {
  readonly good: readonly {
    readonly name: string
    readonly convergenceSecret: string
    readonly plaintext: string
    readonly paddedBytes: number
    readonly key: string
    readonly ciphertext: string
    readonly k: number
    readonly n: number
    readonly descriptor: string
    readonly id: string
    readonly shares: readonly string[]
  }[]
  readonly bad: readonly BadVector[]
}

/**
 * interop/vectors/chunk-2.json: version 2. Shares of the good cases are whole where they are small; of larger plaintexts, which byte
 * i * 31 + floor(i / 256) modulo 256 makes up, there are hashes and ranges.
 */
export interface Chunk2Vectors extends ChunkVectors {
  readonly large: readonly {
    readonly name: string
    readonly plaintextBytes: number
    readonly key: string
    readonly k: number
    readonly n: number
    readonly descriptor: string
    readonly id: string
    /** SHA-256 of each encoded share. */
    readonly shareHashes: readonly string[]
    readonly ranges: readonly {
      readonly offset: number
      readonly length: number
      /** The data slice that the range begins in, its first block, and the leaf of that. */
      readonly slice: number
      readonly block: number
      readonly leaf: string
      /** SHA-256 of the plaintext there. */
      readonly hash: string
    }[]
  }[]
}

/**
 * interop/vectors/chunk-parity.json: chunks as a malicious writer makes them. Bytes are hexadecimal. `good` ones follow from their
 * data; of those of `bad` each share verifies by itself, and every subset named opens to `plaintext` or is refused with `error`.
 */
export interface ParityVectors {
  readonly good: readonly ParityVector[]
  readonly bad: readonly (ParityVector & { readonly error: ErrorCode })[]
}

/** A chunk, and what readers of subsets of its shares must say. */
export interface ParityVector {
  readonly name: string
  readonly id: string
  readonly key: string
  /** With its padding. */
  readonly plaintext: string
  readonly shares: readonly string[]
  /** Sets of k indices with which it opens. */
  readonly opens: readonly (readonly number[])[]
  /** Sets of k indices with which it is refused as inconsistent. */
  readonly refused: readonly (readonly number[])[]
}
export { type AccountVectors, checkAccountVectors } from "./account-vectors.ts"
export {
  type AccountList3Vectors,
  type AccountListVectors,
  checkAccountList3Vectors,
  checkAccountListVectors,
  checkVolumeVectors,
  type VolumeVectors,
} from "./list-vectors.ts"
export { type BoundVector, type BoundVectors, checkBoundVectors } from "./register-vectors.ts"
export {
  checkTransportVectors,
  type TransportVector,
  type TransportVectors,
  transportEvents,
} from "./transport-vectors.ts"

/** interop/vectors/register.json and register-lineage.json. Bytes are hexadecimal. */
export interface RegisterVectors {
  readonly good: readonly {
    readonly name: string
    readonly seed: string
    readonly publicKey: string
    readonly readKey: string
    readonly verifyKey: string
    readonly id: string
    readonly sequence: number
    /** Of version 1, in register.json. */
    readonly previous?: string
    /** Of version 3, in register-lineage.json. */
    readonly lineage?: readonly (readonly string[])[]
    readonly content: string
    readonly sealed: string
    readonly careContent: string
    readonly care: string
    readonly value: string
    readonly hash: string
  }[]
  readonly bad: readonly BadVector[]
}

/** interop/vectors/capability.json. Bytes are hexadecimal. */
export interface CapabilityVectors {
  readonly good: readonly { readonly name: string; readonly text: string; readonly fields: Record<string, string> }[]
  readonly derived: readonly { readonly write: string; readonly read: string; readonly verify: string }[]
  readonly bad: readonly { readonly name: string; readonly text: string; readonly error: ErrorCode }[]
}

/** interop/vectors/recovery-kit.json, of version 1, and recovery-kit-2.json. Bytes are hexadecimal. */
export interface RecoveryVectors {
  readonly good: readonly {
    readonly name: string
    readonly kitName: string
    readonly registerSeed: string
    readonly registerId: string
    readonly threshold: number
    readonly key: string
    readonly keyCheck: string
    readonly passphrase: string | null
    /** What argon2id made of it. */
    readonly master: string | null
    /** The secrets in CBOR. */
    readonly content: string
    /** The same with its length, deflated and padded. */
    readonly plaintext: string
    readonly kitId: string
    readonly parts: readonly string[]
  }[]
  readonly badParts: readonly BadVector[]
  readonly badContents: readonly BadVector[]
}

/** Throws unless every chunk vector decodes, verifies, decrypts and encodes as it says. */
export async function checkChunkVectors(
  crypto: CryptoProvider,
  vectors: ChunkVectors,
  version: ChunkVersion = 1,
): Promise<void> {
  for (const vector of vectors.good) {
    const plaintext = fromHex(vector.plaintext)
    const key = macSmall(
      fromHex(vector.convergenceSecret),
      `holdfast/convergent-key/${version}`,
      await crypto.sha256(plaintext),
    )
    same(toHex(key), vector.key, `${vector.name}: key`)
    const padded = concat(plaintext, new Uint8Array(vector.paddedBytes - plaintext.length))
    const associated = domainPrefix(`holdfast/chunk/${version}`)
    const ciphertext = await crypto.seal(key, new Uint8Array(12), padded, associated)
    same(toHex(ciphertext), vector.ciphertext, `${vector.name}: ciphertext`)
    const opened = await crypto.open(key, new Uint8Array(12), ciphertext, associated)
    same(toHex(opened ?? new Uint8Array()), toHex(padded), `${vector.name}: opened`)
    const encoded = fromHex(vector.descriptor)
    same(toHex(encodeDescriptor(decodeDescriptor(encoded))), vector.descriptor, `${vector.name}: descriptor`)
    same(toHex(chunkIdOf(encoded)), vector.id, `${vector.name}: id`)
    const shares = await Promise.all(vector.shares.map((share) => verifyShare(crypto, fromHex(share))))
    for (const [index, share] of shares.entries()) {
      same(`${share.index} ${toHex(share.id)}`, `${index} ${vector.id}`, `${vector.name}: share ${index}`)
      same(`${share.descriptor.k}/${share.descriptor.n}`, `${vector.k}/${vector.n}`, `${vector.name}: coding`)
    }
    const slices = concat(...shares.slice(0, vector.k).map(({ payload }) => payload))
    same(toHex(slices.subarray(0, ciphertext.length)), vector.ciphertext, `${vector.name}: slices`)
  }
  for (const { name, bytes, error } of vectors.bad)
    await refused(name, error, () => verifyShare(crypto, fromHex(bytes)))
}

/** Throws unless each block of each large chunk, made anew, has its place, leaf and plaintext. */
export async function checkRangeVectors(deps: CodewordDeps, { large }: Pick<Chunk2Vectors, "large">): Promise<void> {
  const { crypto, erasure } = deps
  for (const { name, plaintextBytes, ranges, shareHashes, ...vector } of large) {
    const [key, encoded] = [fromHex(vector.key), fromHex(vector.descriptor)]
    const descriptor = decodeDescriptor(encoded)
    same(toHex(chunkIdOf(encoded)), vector.id, `${name}: id`)
    same(toHex(keyCheckOf(key)), toHex(descriptor.keyCheck ?? new Uint8Array()), `${name}: key check`)
    const plaintext = new Uint8Array(descriptor.ciphertextBytes - 16)
    for (let i = 0; i < plaintextBytes; i++) plaintext[i] = i * 31 + (i >> 8)
    const ciphertext = await crypto.seal(key, new Uint8Array(12), plaintext, domainPrefix("holdfast/chunk/2"))
    const payloads = erasure.split(ciphertext, descriptor)
    const leaves = await Promise.all(payloads.map((payload) => leavesOf(crypto, payload)))
    for (const [index, payload] of payloads.entries()) {
      same(toHex(await rootOf(crypto, leaves[index]!)), toHex(descriptor.shareHashes[index]!), `${name}: root ${index}`)
      const own = index < descriptor.k ? [] : [leaves[index]!]
      const carried = leavesLength(descriptor, index) === 0 ? [] : [...leaves.slice(0, descriptor.k), ...own]
      const share = concat(encodeShareHeader(index, encoded), ...carried, payload)
      same(toHex(await crypto.sha256(share)), shareHashes[index]!, `${name}: share ${index}`)
      await verifyShare(crypto, share)
    }
    for (const { offset, length, slice, block, leaf, hash } of ranges) {
      const where = `${name}: from ${offset}`
      same(toHex(leaves[slice]!.subarray(32 * block, 32 * block + 32)), leaf, `${where}: leaf`)
      const inside = offset - slice * payloads[0]!.length - block * blockBytes
      assert(inside >= 0 && inside < blockBytes, `vector ${where}: not in its block`)
      const bytes = ciphertext.subarray(offset, offset + length)
      const opened = await crypto.openRange(key, new Uint8Array(12), offset, bytes)
      same(toHex(await crypto.sha256(opened)), hash, `${where}: plaintext`)
    }
  }
}

/** Throws unless what does not follow from its data is told from what does, by `open` and by all shares of each chunk. */
export async function checkParityVectors(
  deps: CodewordDeps,
  vectors: ParityVectors,
  open: (key: Uint8Array, shares: readonly Share[]) => Promise<Uint8Array>,
): Promise<void> {
  for (const vector of [...vectors.good, ...vectors.bad]) {
    const error = "error" in vector ? vector.error : undefined
    const { name, id, plaintext } = vector
    const key = fromHex(vector.key)
    const shares = await Promise.all(vector.shares.map((share) => verifyShare(deps.crypto, fromHex(share))))
    for (const share of shares) same(toHex(share.id), id, `${name}: share ${share.index}`)
    same(`${await isCodeword(deps, shares)}`, `${error === undefined}`, `${name}: follows from its data`)
    for (const indices of vector.opens)
      same(
        toHex(
          await open(
            key,
            indices.map((i) => shares[i]!),
          ),
        ),
        plaintext,
        `${name}: from ${indices}`,
      )
    for (const indices of vector.refused)
      await refused(`${name}: from ${indices}`, "ERR_INCONSISTENT", () =>
        open(
          key,
          indices.map((i) => shares[i]!),
        ),
      )
  }
}

/** Throws unless every register vector decodes, verifies and signs as it says. */
export async function checkRegisterVectors(crypto: CryptoProvider, vectors: RegisterVectors): Promise<void> {
  for (const vector of vectors.good) {
    const bytes = fromHex(vector.value)
    const value = await decodeRegisterValue(crypto, bytes)
    same(toHex(value.publicKey), vector.publicKey, `${vector.name}: public key`)
    same(value.sequence, vector.sequence, `${vector.name}: sequence`)
    const first = vector.sequence === 1 ? [] : [[vector.previous ?? ""]]
    const lineage = value.lineage.map((hashes) => hashes.map(toHex))
    same(JSON.stringify(lineage), JSON.stringify(vector.lineage ?? first), `${vector.name}: lineage`)
    same(toHex(value.sealed), vector.sealed, `${vector.name}: sealed`)
    same(toHex(value.care), vector.care, `${vector.name}: care`)
    same(toHex(verifyKeyOf(fromHex(vector.readKey))), vector.verifyKey, `${vector.name}: verify key`)
    same(toHex(registerIdOf(value.publicKey)), vector.id, `${vector.name}: id`)
    same(toHex(registerHashOf(bytes)), vector.hash, `${vector.name}: hash`)
    if (!vector.lineage) continue // version 1 is read, and written no more
    const signed = await signRegisterValue(crypto, fromHex(vector.seed), value)
    same(toHex(signed), vector.value, `${vector.name}: signed again`)
  }
  for (const { name, bytes, error } of vectors.bad)
    await refused(name, error, () => decodeRegisterValue(crypto, fromHex(bytes)))
}

/** Throws unless every capability vector decodes, encodes and derives as it says. */
export async function checkCapabilityVectors(crypto: CryptoProvider, vectors: CapabilityVectors): Promise<void> {
  for (const { name, text, fields } of vectors.good) {
    const cap = decodeCap(text)
    same(encodeCap(cap), text, `${name}: encoded again`)
    same(JSON.stringify(fieldsOf(cap)), JSON.stringify(fields), `${name}: fields`)
  }
  for (const { write, read, verify } of vectors.derived) {
    const cap = decodeCap(write) as WriteCap
    const readCap = await toReadCap(crypto, cap)
    same(encodeCap(readCap), read, "read derived from write")
    same(encodeCap(await toVerifyCap(crypto, cap)), verify, "verify derived from write")
    same(encodeCap(await toVerifyCap(crypto, readCap)), verify, "verify derived from read")
  }
  for (const { name, text, error } of vectors.bad) await refused(name, error, async () => decodeCap(text))
}

/** Throws unless every kit decodes, opens and encodes as it says. */
export async function checkRecoveryVectors(crypto: CryptoProvider, vectors: RecoveryVectors): Promise<void> {
  for (const vector of vectors.good) {
    const { name } = vector
    const [key, master] = [fromHex(vector.key), vector.master === null ? undefined : fromHex(vector.master)]
    const parts = vector.parts.map((part) => decodeRecoveryPart(fromHex(part)))
    const { body } = parts[0]!
    const isHidden = body.version === 2 && master
    const seed = isHidden ? recoveryRegisterSeed(master) : openRecoveryRegisterSeed(vector.kitName)
    same(toHex(seed), vector.registerSeed, `${name}: seed`)
    same(toHex(registerIdOf(await crypto.publicKeyOf(seed))), vector.registerId, `${name}: register`)
    for (const [index, part] of parts.entries())
      same(`${toHex(part.kitId)} ${part.index}`, `${vector.kitId} ${index}`, `${name}: part ${index}`)
    same(`${body.threshold} ${body.shareHashes.length}`, `${vector.threshold} ${parts.length}`, `${name}: threshold`)
    same(`${body.isProtected}`, `${master !== undefined}`, `${name}: protected`)
    same(toHex(recoveryKeyCheck(key)), vector.keyCheck, `${name}: key check`)
    same(toHex(body.keyCheck), vector.keyCheck, `${name}: key check of the body`)
    const plaintext = await openRecoveryBody(crypto, body, { key, master })
    same(toHex(plaintext ?? new Uint8Array()), vector.plaintext, `${name}: plaintext`)
    const again = await sealRecoveryBody(crypto, body, { key, master, plaintext: fromHex(vector.plaintext) })
    const encoded = encodeRecoveryParts(
      again,
      parts.map(({ share }) => share),
    )
    same(encoded.map(toHex).join(), vector.parts.join(), `${name}: encoded again`)
    const content = encodeRecoverySecrets(decodeRecoverySecrets(fromHex(vector.content)))
    if (body.version === 2) same(toHex(content), vector.content, `${name}: content`) // version 1 is written no more
  }
  // Vectors from before there was a version 2 of kits or volumes: what they hold has not its fields.
  const onceUnknown = ["version 2", "a volume of version 2"]
  const errorOf = ({ name, error }: BadVector) => (onceUnknown.includes(name) ? "ERR_BAD_FORMAT" : error)
  for (const bad of vectors.badParts)
    await refused(bad.name, errorOf(bad), async () => decodeRecoveryPart(fromHex(bad.bytes)))
  for (const bad of vectors.badContents)
    await refused(bad.name, errorOf(bad), async () => decodeRecoverySecrets(fromHex(bad.bytes)))
}

/** The fields of a capability in hexadecimal, for the vectors. */
export function fieldsOf(cap: Cap): Record<string, string> {
  const { kind, ...fields } = cap
  return { kind, ...Object.fromEntries(Object.entries(fields).map(([name, bytes]) => [name, toHex(bytes)])) }
}

function same(actual: string | number, expected: string | number, what: string): void {
  assert(actual === expected, `vector ${what}: got ${actual} instead of ${expected}`)
}

async function refused(name: string, code: ErrorCode, attempt: () => Promise<unknown>): Promise<void> {
  let caught: unknown
  try {
    await attempt()
  } catch (error) {
    caught = error
  }
  assert(caught instanceof HoldfastError, `vector ${name} was not refused with an error of ours: ${caught}`)
  same(caught.code, code, name)
}
