/** The keys of an account: all follow from its seed, each for one purpose. Specification: docs/formats/account.md. */
import { type CryptoProvider, deriveKey, macSmall } from "@holdfast/core"
import { type AccountId, accountIdOf } from "./account.ts"

/** What the holder of an account's seed knows. */
export interface AccountKeys {
  readonly id: AccountId
  /** The collect key, which signs grants and orders to unmark. */
  readonly publicKey: Uint8Array
  readonly collectSeed: Uint8Array
  /** Seed of the register that holds the account's list. */
  readonly listSeed: Uint8Array
}

/** The keys that follow from an account's seed, 32 bytes. */
export async function accountKeysOf(crypto: CryptoProvider, accountSeed: Uint8Array): Promise<AccountKeys> {
  const collectSeed = deriveKey(accountSeed, "holdfast/account-collect-key/1")
  const publicKey = await crypto.publicKeyOf(collectSeed)
  const listSeed = deriveKey(accountSeed, "holdfast/account-list-key/1")
  return { id: accountIdOf(publicKey), publicKey, collectSeed, listSeed }
}

/** Seed of the register in which a device without the account's seed lists its roots; the collector knows it too. */
export function deviceListSeed({ listSeed }: Pick<AccountKeys, "listSeed">, deviceKey: Uint8Array): Uint8Array {
  return macSmall(listSeed, "holdfast/account-device-list-key/1", deviceKey)
}
