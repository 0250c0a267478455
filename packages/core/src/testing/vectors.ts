/**
 * Checks this implementation against the frozen vectors of interop/vectors, in Node and in a page alike: what the platform
 * and the libraries give (crypto.json), and the erasure code (erasure.json). Bytes are hexadecimal.
 */
import { fromHex, toHex } from "../bytes.ts"
import { decodeBase32, encodeBase32 } from "../codec/base32.ts"
import { decodeCbor, encodeCbor } from "../codec/cbor.ts"
import type { CryptoProvider } from "../crypto/provider.ts"
import { deriveKey, hashSmall, macSmall } from "../crypto/small.ts"
import type { Erasure } from "../erasure/index.ts"
import { assert, isHoldfastError } from "../errors.ts"

/** interop/vectors/crypto.json. */
export interface CryptoVectors {
  readonly sha256: readonly { readonly input: string; readonly hash: string }[]
  readonly hash: readonly { readonly domain: string; readonly input: string; readonly hash: string }[]
  readonly mac: readonly {
    readonly key: string
    readonly domain: string
    readonly input: string
    readonly mac: string
  }[]
  readonly derive: readonly {
    readonly secret: string
    readonly label: string
    readonly salt: string
    readonly key: string
  }[]
  /** `plaintext` is null where opening must fail. */
  readonly aead: readonly {
    readonly key: string
    readonly nonce: string
    readonly associated: string
    readonly plaintext: string | null
    readonly sealed: string
  }[]
  /** `seed` is null where verifying must fail. */
  readonly signature: readonly {
    readonly seed: string | null
    readonly publicKey: string
    readonly message: string
    readonly signature: string
  }[]
  /** `bytes` is null where decoding must fail. */
  readonly base32: readonly { readonly text: string; readonly bytes: string | null }[]
  readonly cbor: { readonly good: readonly string[]; readonly bad: readonly string[] }
}

/** interop/vectors/signature.json. */
export interface SignatureVectors {
  readonly signatures: readonly SignatureVector[]
}

/** An Ed25519 signature at an edge of what is accepted. */
export interface SignatureVector {
  readonly name: string
  readonly message: string
  readonly publicKey: string
  readonly signature: string
  readonly accepted: boolean
}

/** interop/vectors/erasure.json. */
export interface ErasureVectors {
  readonly good: readonly {
    readonly k: number
    readonly n: number
    readonly data: string
    readonly payloads: readonly string[]
  }[]
}

/** Throws unless the provider and the codecs do what every vector says. */
export async function checkCryptoVectors(crypto: CryptoProvider, vectors: CryptoVectors): Promise<void> {
  for (const { input, hash } of vectors.sha256) {
    const bytes = fromHex(input)
    same(toHex(await crypto.sha256(bytes)), hash, "SHA-256")
    same(toHex(await crypto.sha256(bytes.subarray(0, 1), bytes.subarray(1))), hash, "SHA-256 of two parts")
  }
  for (const { domain, input, hash } of vectors.hash) same(toHex(hashSmall(domain, fromHex(input))), hash, domain)
  for (const { key, domain, input, mac } of vectors.mac)
    same(toHex(macSmall(fromHex(key), domain, fromHex(input))), mac, domain)
  for (const { secret, label, salt, key } of vectors.derive)
    same(toHex(deriveKey(fromHex(secret), label, fromHex(salt))), key, label)
  for (const vector of vectors.aead) await checkAead(crypto, vector)
  for (const vector of vectors.signature) await checkSignature(crypto, vector)
  for (const { text, bytes } of vectors.base32) {
    const decoded = decodeBase32(text)
    same(decoded ? toHex(decoded) : null, bytes, `base32 ${text}`)
    if (decoded) same(encodeBase32(decoded), text, `base32 ${text}`)
  }
  for (const bytes of vectors.cbor.good) same(toHex(encodeCbor(decodeCbor(fromHex(bytes), "vector"))), bytes, "CBOR")
  for (const bytes of vectors.cbor.bad) checkRefused(bytes)
}

/** Throws unless exactly the signatures are accepted that each vector says. */
export async function checkSignatureVectors(crypto: CryptoProvider, { signatures }: SignatureVectors): Promise<void> {
  for (const { name, accepted, ...vector } of signatures) {
    const [publicKey, message, signature] = [vector.publicKey, vector.message, vector.signature].map(fromHex)
    same(await crypto.verify(publicKey!, message!, signature!), accepted, `Ed25519, ${name}`)
  }
}

/** Throws unless data becomes the payloads that each vector has, and comes back from any k of several choices. */
export function checkErasureVectors(erasure: Erasure, vectors: ErasureVectors): void {
  for (const { k, n, data, payloads } of vectors.good) {
    const name = `${k} of ${n}`
    const bytes = fromHex(data)
    same(erasure.split(bytes, { k, n }).map(toHex).join(" "), payloads.join(" "), name)
    const held = payloads.map((payload, index) => [index, fromHex(payload)] as const)
    for (const chosen of [held.slice(0, k), held.slice(n - k), held.filter((_, i) => i % 2 === 1).slice(0, k)])
      if (chosen.length === k) {
        same(toHex(erasure.join(new Map(chosen), { k, n }, bytes.length)), data, `${name}, joined`)
        const [first, last] = erasure.reconstruct(new Map(chosen), { k, n }, [0, n - 1])
        same(`${toHex(first!)} ${toHex(last!)}`, `${payloads[0]} ${payloads[n - 1]}`, `${name}, restored`)
      }
  }
}

async function checkAead(crypto: CryptoProvider, vector: CryptoVectors["aead"][number]): Promise<void> {
  const [key, nonce, associated] = [fromHex(vector.key), fromHex(vector.nonce), fromHex(vector.associated)]
  const opened = await crypto.open(key, nonce, fromHex(vector.sealed), associated)
  same(opened ? toHex(opened) : null, vector.plaintext, "AES-256-GCM, opened")
  const place = fromHex(vector.sealed)
  const inPlace = await crypto.openInto(place, key, nonce, [place], associated)
  same(inPlace ? toHex(inPlace) : null, vector.plaintext, "AES-256-GCM, opened where it lies")
  same(inPlace === undefined || inPlace.buffer === place.buffer, true, "AES-256-GCM, opened where it lies")
  for (const cut of [1, 7, 16, 17]) {
    const parts = pieces(fromHex(vector.sealed), cut)
    const joined = await crypto.openInto(new Uint8Array(vector.sealed.length), key, nonce, parts, associated)
    same(joined ? toHex(joined) : null, vector.plaintext, `AES-256-GCM, opened from pieces of ${cut}`)
  }
  if (vector.plaintext === null) return
  const plaintext = fromHex(vector.plaintext)
  same(toHex(await crypto.seal(key, nonce, plaintext, associated)), vector.sealed, "AES-256-GCM")
  for (const cut of [1, 7, 16, 17]) {
    const targets = pieces(new Uint8Array(plaintext.length + 16), cut)
    await crypto.sealInto(targets, key, nonce, plaintext, associated)
    same(targets.map(toHex).join(""), vector.sealed, `AES-256-GCM into pieces of ${cut}`)
  }
}

/** Views of `bytes`, of `length` each but the last. */
function pieces(bytes: Uint8Array, length: number): Uint8Array[] {
  const count = Math.ceil(bytes.length / length)
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * length, (i + 1) * length))
}

async function checkSignature(crypto: CryptoProvider, vector: CryptoVectors["signature"][number]): Promise<void> {
  const [publicKey, message, signature] = [vector.publicKey, vector.message, vector.signature].map(fromHex)
  same(await crypto.verify(publicKey!, message!, signature!), vector.seed !== null, "Ed25519, verified")
  if (vector.seed === null) return
  const seed = fromHex(vector.seed)
  same(toHex(await crypto.publicKeyOf(seed)), vector.publicKey, "Ed25519, public key")
  same(toHex(await crypto.sign(seed, message!)), vector.signature, "Ed25519, signed")
}

function checkRefused(bytes: string): void {
  try {
    decodeCbor(fromHex(bytes), "vector")
  } catch (error) {
    if (isHoldfastError(error, "ERR_BAD_FORMAT") || isHoldfastError(error, "ERR_LIMIT")) return
    throw error
  }
  assert(false, `CBOR ${bytes} was taken for good`)
}

function same(actual: unknown, expected: unknown, what: string): void {
  assert(actual === expected, `vector ${what}: got ${String(actual)} instead of ${String(expected)}`)
}
