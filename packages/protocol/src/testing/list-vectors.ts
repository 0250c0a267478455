/**
 * interop/vectors/account-list.json, account-list-3.json, volume.json, volume-2.json and volume-3.json: what an account lists, and which
 * places hold a volume.
 */
import { type CryptoProvider, fromHex, isHoldfastError, toHex } from "@holdfast/core"
import { accountKeysOf, deviceListSecret, listSeedOn, type StorageId } from "../account-keys.ts"
import { decodeAccountList, encodeAccountList, removedKeyOf } from "../account-list.ts"
import { registerIdOf } from "../register.ts"
import { parseVolume, type VolumeDescription } from "../volume.ts"
import { openVolumeMove, volumeDigest } from "../volume-move.ts"

interface ListOn {
  readonly storage: StorageId
  readonly seed: string
  /** Id of the list's register. */
  readonly register: string
}

/** Account lists and the keys of accounts. Bytes are hexadecimal. */
export interface AccountListVectors {
  readonly good: readonly {
    readonly roots: readonly (readonly [name: string, cap: string, keepMs: number | null])[]
    readonly linked: readonly string[]
    readonly kits: readonly (readonly [name: string, register: string])[]
    readonly epoch: number
    readonly grants: readonly string[]
    readonly keepMs: number | null
    readonly encoded: string
  }[]
  readonly bad: readonly { readonly encoded: string; readonly error: string }[]
  readonly keys: readonly {
    readonly accountSeed: string
    readonly id: string
    readonly publicKey: string
    readonly collectSeed: string
    readonly listSecret: string
    readonly lists: readonly ListOn[]
    readonly deviceKey: string
    readonly deviceListSecret: string
    readonly deviceLists: readonly ListOn[]
  }[]
}

/** Account lists of version 3. */
export interface AccountList3Vectors extends Pick<AccountListVectors, "bad"> {
  readonly good: readonly (AccountListVectors["good"][number] & {
    readonly removed: readonly string[]
    readonly revoked: readonly (readonly [deviceKey: string, epoch: number, name: string])[]
  })[]
  readonly removedKeys: readonly { readonly cap: string; readonly key: string }[]
}

/** Descriptions of volumes; from version 2 on also their digests, and statements of the first one's key. */
export interface VolumeVectors {
  readonly good: readonly VolumeDescription[]
  readonly bad: readonly { readonly name: string; readonly value: unknown; readonly error: string }[]
  readonly digests?: readonly string[]
  readonly moves?: {
    readonly good: readonly { readonly bytes: string; readonly state: string; readonly epoch: number }[]
    readonly ignored: readonly { readonly name: string; readonly bytes: string }[]
  }
}

/** Throws unless every list decodes and encodes, and every key follows, as it says. */
export async function checkAccountListVectors(crypto: CryptoProvider, vectors: AccountListVectors): Promise<void> {
  for (const { encoded, ...expected } of vectors.good) same(decodedList(encoded), expected, "account list")
  for (const { encoded, error } of vectors.bad) await refused(encoded, error, () => decodeAccountList(fromHex(encoded)))
  for (const vector of vectors.keys) {
    const { id, publicKey, collectSeed, listSecret } = await accountKeysOf(crypto, fromHex(vector.accountSeed))
    const device = deviceListSecret({ listSecret }, fromHex(vector.deviceKey))
    const found = [id, publicKey, collectSeed, listSecret, device].map(toHex)
    const expected = [vector.id, vector.publicKey, vector.collectSeed, vector.listSecret, vector.deviceListSecret]
    same(found, expected, "keys of an account")
    for (const list of vector.lists) await checkList(crypto, listSecret, list)
    for (const list of vector.deviceLists) await checkList(crypto, device, list)
  }
}

/** Throws unless every list of version 3 decodes and encodes, and what was removed is remembered, as it says. */
export async function checkAccountList3Vectors(crypto: CryptoProvider, vectors: AccountList3Vectors): Promise<void> {
  for (const { encoded, removed, revoked, ...expected } of vectors.good) {
    same(decodedList(encoded), expected, "account list")
    const list = decodeAccountList(fromHex(encoded))
    same(list.removed.map(toHex), removed, "what was removed of an account list")
    const found = list.revoked.map(({ deviceKey, epoch, name }) => [toHex(deviceKey), epoch, name])
    same(found, revoked, "devices revoked in an account list")
  }
  for (const { encoded, error } of vectors.bad) await refused(encoded, error, () => decodeAccountList(fromHex(encoded)))
  for (const { cap, key } of vectors.removedKeys) same(toHex(await removedKeyOf(crypto, cap)), key, "removed key")
}

/** What versions 1 and 3 have, once it was encoded again. */
function decodedList(encoded: string) {
  const list = decodeAccountList(fromHex(encoded))
  same(toHex(encodeAccountList(list)), encoded, "account list, encoded again")
  const { linked, epoch, keepMs = null } = list
  return {
    roots: [...list.roots].map(([name, root]) => [name, root.cap, root.keepMs ?? null]),
    ...{ linked, kits: list.kits.map(({ name, register }) => [name, toHex(register)]), epoch },
    ...{ grants: list.grants.map(toHex), keepMs },
  }
}

async function checkList(crypto: CryptoProvider, listSecret: Uint8Array, { storage, seed, register }: ListOn) {
  const found = listSeedOn({ listSecret }, storage)
  same([toHex(found), toHex(registerIdOf(await crypto.publicKeyOf(found)))], [seed, register], `list on ${storage}`)
}

/** Throws unless every description is taken or refused, and every statement read or ignored, as it says. */
export async function checkVolumeVectors(crypto: CryptoProvider, vectors: VolumeVectors): Promise<void> {
  const { good, bad, digests, moves } = vectors
  for (const value of good) same(parseVolume(value), value, "volume")
  for (const { name, value, error } of bad) await refused(name, error, () => parseVolume(value))
  if (digests) same(good.map(volumeDigest), digests, "digests of volumes")
  for (const { bytes, state, epoch } of moves?.good ?? []) {
    const move = await openVolumeMove(crypto, fromHex(bytes), good[0]!)
    same([move?.state, move?.next.epoch, move?.next], [state, epoch, good[1]], "statement of a move")
  }
  for (const { name, bytes } of moves?.ignored ?? [])
    same((await openVolumeMove(crypto, fromHex(bytes), good[0]!)) ?? null, null, name)
}

function same(actual: unknown, expected: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (found !== wanted) throw new Error(`vector ${what}: got ${found} instead of ${wanted}`)
}

async function refused(name: string, error: string, attempt: () => unknown): Promise<void> {
  let found = "taken for good"
  try {
    await attempt()
  } catch (cause) {
    if (!isHoldfastError(cause)) throw cause
    found = cause.code
  }
  same(found, error, name)
}
