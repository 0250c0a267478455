/**
 * The keys of an account: all follow from its seed, each for one purpose. Lists have keys of their own on each volume, so that
 * each has one history, no place can show a list of another volume, and places of two volumes cannot tell that they serve one
 * account by it. Specification: docs/formats/account-list.md.
 */
import { type CryptoProvider, deriveKey, macSmall, utf8 } from "@holdfast/core"
import { accountIdOf } from "./account.ts"
import type { AccountId } from "./ids.ts"

/** What the holder of an account's seed knows. */
export interface AccountKeys {
  readonly id: AccountId
  /** The collect key, which signs grants and orders to unmark. */
  readonly publicKey: Uint8Array
  readonly collectSeed: Uint8Array
  /** From it and a volume the key of the register follows that holds the account's list there. */
  readonly listSecret: Uint8Array
}

/** A volume by the id in its description, or a grid by its own: both stay the same wherever it moves and whoever signs for it. */
export type StorageId = `volume/${string}` | `grid/${string}`

/** The keys that follow from an account's seed, 32 bytes. */
export async function accountKeysOf(crypto: CryptoProvider, accountSeed: Uint8Array): Promise<AccountKeys> {
  const collectSeed = deriveKey(accountSeed, "holdfast/account-collect-key/1")
  const publicKey = await crypto.publicKeyOf(collectSeed)
  const listSecret = deriveKey(accountSeed, "holdfast/account-list-secret/1")
  return { id: accountIdOf(publicKey), publicKey, collectSeed, listSecret }
}

/** What a device without the account's seed has instead of the account's list secret; the collector knows it too. */
export function deviceListSecret({ listSecret }: Pick<AccountKeys, "listSecret">, deviceKey: Uint8Array): Uint8Array {
  return macSmall(listSecret, "holdfast/account-device-list-secret/1", deviceKey)
}

/** Seed of the register that holds a list on one volume or grid. */
export function listSeedOn({ listSecret }: Pick<AccountKeys, "listSecret">, storage: StorageId): Uint8Array {
  return macSmall(listSecret, "holdfast/account-list-key/1", utf8(storage))
}
