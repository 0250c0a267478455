/** Encrypting and opening what a register value carries. Specification: docs/formats/register.md, Content and care. */
import { concat, deriveKey, domainPrefix, type Env, HoldfastError } from "@holdfast/core"
import { type RegisterValue, verifyKeyOf } from "@holdfast/protocol"
import type { CareKeys, RegisterKeys, RegisterParts } from "./types.ts"

const contentLabel = "holdfast/register-content/1"
const careLabel = "holdfast/register-care/1"
const zeroNonce = new Uint8Array(12)
const saltBytes = 32

/** Encrypts the parts of the value with `sequence`. */
export async function sealParts(env: Env, keys: RegisterKeys, sequence: number, { content, care }: RegisterParts) {
  const place = { publicKey: keys.publicKey, sequence }
  return {
    sealed: await sealPart(env, keys.readKey, contentLabel, place, content),
    care: await sealPart(env, verifyKeyOf(keys.readKey), careLabel, place, care),
  }
}

/** Opens both parts of a value. Throws ERR_CORRUPT. */
export async function openParts(env: Env, keys: RegisterKeys, value: RegisterValue): Promise<RegisterParts> {
  const content = await openPart(env, keys.readKey, contentLabel, value, value.sealed)
  return { content, care: await openCare(env, { ...keys, verifyKey: verifyKeyOf(keys.readKey) }, value) }
}

/** Opens what a verify capability may. Throws ERR_CORRUPT. */
export function openCare(env: Env, { verifyKey }: CareKeys, value: RegisterValue): Promise<Uint8Array> {
  return openPart(env, verifyKey, careLabel, value, value.care)
}

type ValuePlace = Pick<RegisterValue, "publicKey" | "sequence">

async function sealPart(
  { crypto }: Env,
  secret: Uint8Array,
  label: string,
  place: ValuePlace,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const salt = crypto.random(saltBytes)
  const key = deriveKey(secret, label, salt)
  return concat(salt, await crypto.seal(key, zeroNonce, plaintext, associatedOf(label, place)))
}

async function openPart(
  { crypto }: Env,
  secret: Uint8Array,
  label: string,
  place: ValuePlace,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const key = deriveKey(secret, label, sealed.subarray(0, saltBytes))
  const opened = await crypto.open(key, zeroNonce, sealed.subarray(saltBytes), associatedOf(label, place))
  if (opened) return opened
  throw new HoldfastError(
    "ERR_CORRUPT",
    "The tree's newest value is signed by its writer but does not open with this capability's key.",
  )
}

/** Binds what is sealed to its register and sequence. */
function associatedOf(label: string, { publicKey, sequence }: ValuePlace): Uint8Array {
  const number = new Uint8Array(8)
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence))
  return concat(domainPrefix(label), publicKey, number)
}
