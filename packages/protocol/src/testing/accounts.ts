/** Accounts for tests: a collect key and what its holder may do. */
import type { CryptoProvider } from "@holdfast/core"
import {
  type AccountAccess,
  type AccountRole,
  accountIdOf,
  accountRoles,
  type SignedUnmark,
  signUnmark,
  type UnmarkOrder,
} from "../account.ts"
import type { Backend, MarkOptions } from "../backend.ts"

/** An account with its key. */
export interface TestAccount extends AccountAccess {
  readonly seed: Uint8Array
  readonly publicKey: Uint8Array
}

/** A new account, whose caller has all roles unless told otherwise. */
export async function makeAccount(
  crypto: CryptoProvider,
  roles: readonly AccountRole[] = accountRoles,
): Promise<TestAccount> {
  const seed = crypto.random(32)
  const publicKey = await crypto.publicKeyOf(seed)
  return { seed, publicKey, account: accountIdOf(publicKey), roles }
}

/** A batch of its own, for a test that does not care. */
export function newBatch(crypto: CryptoProvider, accounts: readonly Uint8Array[] = []): MarkOptions {
  return { batch: crypto.random(16), accounts }
}

/** An order of `account` for `backend`; what is not given is empty, and the token is taken now. */
export async function makeOrder(
  crypto: CryptoProvider,
  backend: Backend,
  { seed, ...order }: Partial<UnmarkOrder> & Pick<TestAccount, "seed">,
): Promise<SignedUnmark> {
  const token = order.token ?? (await backend.collectToken())
  const lists = { chunks: [], registers: [], trims: [] }
  const { publicKey: _, ...given } = order
  return signUnmark(crypto, seed, { place: backend.id, graceMs: 0, ...lists, ...given, token })
}
