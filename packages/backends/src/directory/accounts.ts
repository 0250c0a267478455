/** The accounts of a directory, for whoever may open it: that is who administers it. */
import { HoldfastError } from "@holdfast/core"
import { type AccountId, legacyAccount, signAccountsRequest, signStatement } from "@holdfast/protocol"
import type { PlaceAccounts } from "../place-accounts.ts"
import { type EngineOptions, openEngine } from "./engine.ts"

const tenant = "local"
const pageSize = 1024

/** Opens them, beside others who have the directory open. */
export async function openDirectoryAccounts(options: EngineOptions & { readonly id: string }): Promise<PlaceAccounts> {
  const { id, crypto, clock } = options
  const engine = await openEngine({ isShared: true, ...options })
  // The engine takes signed statements alone; that its folder could be opened is all the authority there is.
  const seed = crypto.random(32)
  const administrator = await crypto.publicKeyOf(seed)
  const namespace = await engine.tenant(tenant, { placeId: id, administrator: () => administrator })
  const caller = namespace.backendOf({ account: legacyAccount, roles: [] })
  const list = async () => {
    const all = []
    for (let after: AccountId | undefined; ; ) {
      const request = { tenant, place: id, token: caller.requestToken(), limit: pageSize, ...(after && { after }) }
      const page = await caller.listAccounts(await signAccountsRequest(crypto, seed, request))
      all.push(...page)
      after = page.at(-1)?.account
      if (page.length < pageSize) return all
    }
  }
  const state = async (account: AccountId, drops: boolean) => {
    await caller.takeStatement(await signStatement(crypto, seed, { tenant, account, serial: clock.nowMs(), drops }))
    const roles = [] as const
    const isDropped = namespace.backendOf({ account, roles }).droppedAtMs() !== undefined
    if (isDropped !== drops)
      throw new HoldfastError(
        "ERR_CONFLICT",
        `${id}: something else was said of this account later, by this machine's clock. Set the clock right, then repeat.`,
        { server: id },
      )
  }
  return {
    list,
    drop: (account) => state(account, true),
    keep: (account) => state(account, false),
    close: () => engine.close(),
  }
}
