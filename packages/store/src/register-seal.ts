/** Encrypting and opening what a register value carries. Specification: docs/formats/register.md, Content and care. */
import {
  concat,
  decodeCbor,
  deriveKey,
  domainPrefix,
  type Env,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  limits,
} from "@holdfast/core"
import { ancestryOf, type RegisterValue, readCheckOf, verifyKeyOf } from "@holdfast/protocol"
import {
  type Author,
  type Device,
  decodeSigned,
  encodeSigned,
  type OpenValue,
  type PastAuthor,
} from "./register-author.ts"
import { decodeLevels, encodeLevels, type History } from "./register-levels.ts"
import type { CareKeys, Levels, RegisterKeys, RegisterParts } from "./types.ts"

/** Of versions 1 and 3, and of version 4, whose plaintexts have other forms. */
const labels = {
  first: { content: "holdfast/register-content/1", care: "holdfast/register-care/1" },
  bound: { content: "holdfast/register-content/2", care: "holdfast/register-care/2" },
} as const
const zeroNonce = new Uint8Array(12)
const saltBytes = 32

/** A value's content and care, with what version 4 has beside them. */
export interface OpenedParts extends RegisterParts, OpenedCare {
  readonly author?: Author
  readonly past: readonly PastAuthor[]
}

/** What a verify capability opens of a value. */
export interface OpenedCare {
  readonly care: Uint8Array
  /** Absent before version 4. */
  readonly history?: History
}

/** What a value is bound to, before anything is sealed. */
export type PlannedValue = Omit<OpenValue, "care">

/** Encrypts the parts of a value. */
export async function sealParts(
  env: Env,
  keys: RegisterKeys,
  planned: PlannedValue,
  {
    content,
    care,
    levels,
    ...by
  }: RegisterParts & {
    readonly levels: Levels
    readonly device?: Device | undefined
    readonly past: readonly PastAuthor[]
  },
) {
  if (care.length > limits.registerCareBytes)
    throw new HoldfastError("ERR_LIMIT", `A care list of ${care.length} bytes is over ${limits.registerCareBytes}.`)
  const verifyKey = verifyKeyOf(keys.readKey)
  const sealedCare = await sealPart(
    env,
    verifyKey,
    labels.bound.care,
    planned,
    encodeCbor([encodeLevels(levels), care]),
  )
  const open = { ...planned, care: sealedCare }
  const signed = await encodeSigned(env.crypto, open, content, by)
  return { ...open, sealed: await sealPart(env, keys.readKey, labels.bound.content, planned, signed) }
}

/** Opens both parts of a value. Throws ERR_CORRUPT. */
export async function openParts(env: Env, keys: RegisterKeys, value: RegisterValue): Promise<OpenedParts> {
  const { bound } = value
  const opened = await openCare(env, { verifyKey: verifyKeyOf(keys.readKey) }, value)
  const sealed = await openPart(env, keys.readKey, (bound ? labels.bound : labels.first).content, value, value.sealed)
  if (!bound) return { ...opened, content: sealed, past: [] }
  const fields = new FieldReader(decodeCbor(sealed, "register content"), "register content")
  return { ...opened, ...(await decodeSigned(env.crypto, { ...value, ...bound }, fields)) }
}

/** Opens what a verify capability may. Throws ERR_CORRUPT. */
export async function openCare(
  env: Env,
  { verifyKey }: Pick<CareKeys, "verifyKey">,
  value: RegisterValue,
): Promise<OpenedCare> {
  const { bound, sequence } = value
  if (bound && !equal(bound.readCheck, readCheckOf(verifyKey)))
    throw new HoldfastError(
      "ERR_CORRUPT",
      "The tree's newest value is for another key than this capability has: one of the two was made to show you something else " +
        "than others. Compare the capability with whoever gave it to you.",
    )
  const opened = await openPart(env, verifyKey, (bound ? labels.bound : labels.first).care, value, value.care)
  if (!bound) return { care: opened }
  const fields = new FieldReader(decodeCbor(opened, "register care"), "register care")
  const levels = decodeLevels(fields.any(), sequence - bound.base)
  const care = fields.bytes(undefined, limits.registerCareBytes)
  fields.end()
  return { care, history: { ...ancestryOf(value, bound), levels } }
}

/** What is sealed in a value of version 4, whole. Throws ERR_CORRUPT. */
export function openSealed(
  env: Env,
  key: Uint8Array,
  part: "content" | "care",
  value: RegisterValue,
): Promise<Uint8Array> {
  return openPart(env, key, labels.bound[part], value, part === "content" ? value.sealed : value.care)
}

type ValuePlace = Pick<RegisterValue, "publicKey" | "sequence" | "epoch">

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

/** Binds what is sealed to its register, sequence and, from version 4 on, epoch. */
function associatedOf(label: string, { publicKey, sequence, epoch }: ValuePlace): Uint8Array {
  const isFirst = label === labels.first.content || label === labels.first.care
  const numbers = new DataView(new ArrayBuffer(isFirst ? 8 : 16))
  numbers.setBigUint64(0, BigInt(sequence))
  if (!isFirst) numbers.setBigUint64(8, BigInt(epoch))
  return concat(domainPrefix(label), publicKey, new Uint8Array(numbers.buffer))
}
