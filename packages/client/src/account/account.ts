/**
 * The account of a profile: what all devices of a person share. A full device has the account's seed, from which every key
 * follows; an append-only device has a grant that cannot take anything away. Specification: docs/formats/account.md.
 */
import { fromHex, HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Identity, keyIdOf } from "@holdfast/network"
import {
  type AccountAccess,
  type AccountId,
  type AccountKeys,
  type AccountRole,
  accountIdOf,
  accountKeysOf,
  accountRoles,
  listSeedOn,
  type StorageId,
  signGrant,
  toReadCap,
} from "@holdfast/protocol"
import type { Collector, RegisterKeys } from "@holdfast/store"
import type { Secrets } from "../profile/secrets.ts"

/** The part of a profile's secrets that says which account it belongs to. */
export interface AccountSecrets {
  accountSeed?: Secrets["accountSeed"]
  accountDevice?: Secrets["accountDevice"]
}

/** The account of a profile. */
export interface Account {
  readonly id: AccountId
  /** The collect key. */
  readonly publicKey: Uint8Array
  /** From it follow the registers where this device lists roots, one for each volume: the account's lists, or lists of its own. */
  readonly listSecret: Uint8Array
  /** Of a full device. */
  readonly keys?: AccountKeys
  /** Of an append-only device: what it shows to places. */
  readonly grant?: Uint8Array
}

/** True when the secrets name an account. */
export function hasAccount({ accountSeed, accountDevice }: AccountSecrets): boolean {
  return accountSeed !== undefined || accountDevice !== undefined
}

/** The account that the secrets name. */
export async function openAccount({ accountSeed, accountDevice }: AccountSecrets): Promise<Account> {
  if (accountSeed !== undefined) {
    const keys = await accountKeysOf(crypto, fromHex(accountSeed))
    return { id: keys.id, publicKey: keys.publicKey, listSecret: keys.listSecret, keys }
  }
  if (accountDevice === undefined)
    throw new HoldfastError("ERR_NOT_FOUND", "This profile has no account yet. Make one with `holdfast account show`.")
  const publicKey = fromHex(accountDevice.publicKey)
  const { listSecret, grant } = accountDevice
  return { id: accountIdOf(publicKey), publicKey, listSecret: fromHex(listSecret), grant: fromHex(grant) }
}

/** Who signs for the account. Throws ERR_REFUSED on an append-only device. */
export function collectorOf({ keys }: Account): Collector {
  if (!keys) throw appendOnly("take anything away")
  return { publicKey: keys.publicKey, sign: (bytes) => crypto.sign(keys.collectSeed, bytes) }
}

/** Rights of a device: what is put is always the account's, and a full device may take it away again. */
export function accessOf({ id, keys }: Account): AccountAccess {
  return { account: id, roles: keys ? accountRoles : appendOnlyRoles }
}

/** Roles of a device that cannot take anything away. */
export const appendOnlyRoles: readonly AccountRole[] = ["read", "append"]

/**
 * What the holder of an identity shows to places. A full device signs its own grant: it could sign any. The epoch is above that
 * of every record, so that no list of other devices has to name it.
 */
export async function grantFor({ keys, grant }: Account, identity: Pick<Identity, "certPem">): Promise<Uint8Array> {
  if (!keys) return grant!
  const deviceKey = deviceKeyOf(identity)
  return signGrant(crypto, keys.collectSeed, { epoch: fullDeviceEpoch, deviceKey, roles: accountRoles, name: "device" })
}

/** SHA-256 of the public key of a certificate, as grants name devices. */
export function deviceKeyOf({ certPem }: Pick<Identity, "certPem">): Uint8Array {
  return new Uint8Array(Buffer.from(keyIdOf(certPem), "base64url"))
}

const fullDeviceEpoch = 2 ** 48

/** Keys of the register that holds the list of an account, or of a device of it, on a volume or grid. */
export async function listKeysOn(
  lists: Pick<Account, "listSecret">,
  storage: StorageId,
): Promise<Required<RegisterKeys>> {
  const seed = listSeedOn(lists, storage)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "fw", seed })
  return { publicKey, readKey, seed }
}

/** The error for what only a full device may do. */
export function appendOnly(what: string): HoldfastError {
  return new HoldfastError(
    "ERR_REFUSED",
    `This device may only add to its account, not ${what}. Do it on a device that has the whole account.`,
  )
}
