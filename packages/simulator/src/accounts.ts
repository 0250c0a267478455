/**
 * The accounts of a world: each has several clients (its devices), a list register that names its trees, and a key that alone
 * takes its marks away.
 */
import { type CryptoProvider, equal, fromHex, fromUtf8, HoldfastError, toHex, utf8 } from "@holdfast/core"
import {
  type AccountAccess,
  type AccountId,
  type AccountKeys,
  type AccountRole,
  accountKeysOf,
  accountRoles,
  listSeedOn,
  type RegisterId,
  registerIdOf,
  signGrant,
} from "@holdfast/protocol"
import type { Collector, RegisterKeys, RegisterStore } from "@holdfast/store"
import { emptyCare, encodeCare } from "@holdfast/tree"

/** One account. */
export interface SimulatedAccount {
  readonly name: string
  readonly id: AccountId
  readonly seed: Uint8Array
  readonly keys: AccountKeys
  readonly access: AccountAccess
  readonly collector: Collector
  /** Of the register that names its trees. */
  readonly listKeys: RegisterKeys
  /** The registers in which devices that may only append name their trees, for whoever collects to take over. */
  readonly deviceLists: RegisterKeys[]
}

/** What devices may do that can neither remove anything nor drop history. */
export const appendRoles: readonly AccountRole[] = ["read", "append", "repair"]

/** What a device shows to nodes. */
export interface DeviceGrant {
  readonly grant: Uint8Array
  /** As in the certificate of its connection. */
  readonly keyId: string
}

/** A new account. */
export async function createAccount(crypto: CryptoProvider, name: string): Promise<SimulatedAccount> {
  const seed = crypto.random(32)
  const keys = await accountKeysOf(crypto, seed)
  const listSeed = listSeedOn(keys, "grid/world")
  return {
    ...{ name, id: keys.id, seed, keys },
    access: { account: keys.id, roles: accountRoles },
    collector: { publicKey: keys.publicKey, sign: (bytes) => crypto.sign(keys.collectSeed, bytes) },
    listKeys: {
      seed: listSeed,
      publicKey: await crypto.publicKeyOf(listSeed),
      readKey: crypto.random(32),
    },
    deviceLists: [],
  }
}

/** Keys of a list of a device's own. */
export async function addDeviceList(crypto: CryptoProvider, account: SimulatedAccount): Promise<RegisterKeys> {
  const seed = crypto.random(32)
  const keys = { seed, publicKey: await crypto.publicKeyOf(seed), readKey: crypto.random(32) }
  account.deviceLists.push(keys)
  return keys
}

/** The grant of an account to one of its devices. */
export async function grantTo(
  crypto: CryptoProvider,
  account: SimulatedAccount,
  { device, roles }: { readonly device: string; readonly roles: readonly AccountRole[] },
): Promise<DeviceGrant> {
  const deviceKey = await crypto.sha256(utf8(device))
  const grant = await signGrant(crypto, account.keys.collectSeed, {
    ...{ epoch: 1, deviceKey, roles, name: device },
  })
  return { grant, keyId: Buffer.from(deviceKey).toString("base64url") }
}

const mostAttempts = 20

/** Names trees in a list; written even when it is there, so that every place has just said what it holds. */
export function addToList(
  registers: RegisterStore,
  listKeys: RegisterKeys,
  added: readonly string[],
): Promise<readonly string[]> {
  return changeList(registers, listKeys, { add: added })
}

/** Names trees and kits in a list, and takes others out. */
export async function changeList(
  registers: RegisterStore,
  listKeys: RegisterKeys,
  { add, remove = [] }: { readonly add: readonly string[]; readonly remove?: readonly string[] },
): Promise<readonly string[]> {
  for (let attempt = 1; attempt <= mostAttempts; attempt++) {
    const { sequence, names } = await read(registers, listKeys)
    const next = [...new Set([...names.filter((name) => !remove.includes(name)), ...add])].sort()
    if (await registers.write(listKeys, sequence, { content: utf8(next.join(" ")), care: encodeCare(emptyCare) }))
      return next
  }
  throw new HoldfastError("ERR_CONFLICT", "Other devices changed the account's list again and again.")
}

async function read(registers: RegisterStore, keys: RegisterKeys) {
  const value = await registers.read(keys)
  const contents = value ? [value.content, ...(value.siblings ?? []).map(({ content }) => content)] : []
  const names = contents.flatMap(namesIn)
  return { sequence: value?.sequence ?? 0, names: [...new Set(names)].sort() }
}

const kitPrefix = "kit:"

/** How a list names the register of a recovery kit. */
export function kitWord(publicKey: Uint8Array): string {
  return kitPrefix + toHex(registerIdOf(publicKey))
}

/** The register of a recovery kit that a name in a list stands for; undefined for a tree's. */
export function kitOfWord(name: string): RegisterId | undefined {
  return name.startsWith(kitPrefix) ? fromHex(name.slice(kitPrefix.length)) : undefined
}

/** The trees and kits that a value of a list names. */
export function namesIn(content: Uint8Array): string[] {
  return fromUtf8(content).split(" ").filter(Boolean)
}

/** The account of a world with this id; undefined when it is none of them. */
function accountWith(accounts: readonly SimulatedAccount[], id: Uint8Array): SimulatedAccount | undefined {
  return accounts.find((account) => equal(account.id, id))
}

/** An account's id as the claims name it. */
function accountName(id: AccountId): string {
  return toHex(id).slice(0, 12)
}
