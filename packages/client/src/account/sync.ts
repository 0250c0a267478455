/**
 * The account's list and the profile's cache of it: aliases that the profile has and the list not yet are listed, those that
 * another device listed appear here, those that another device removed go. Aliases of this profile alone stay as they are.
 */
import { equal, isHoldfastError } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import { type AccountList, type AccountRoot, decodeCap, removedKeyOf } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { Tree } from "@holdfast/tree"
import type { AliasState, Profile } from "../profile/profile.ts"
import { gridName } from "../volumes/choose.ts"
import type { Session } from "../volumes/session.ts"
import type { Account } from "./account.ts"
import { ownKits, withKits } from "./kits.ts"
import { changeAccountList, freeName } from "./list.ts"

/** What became of aliases, for people. */
export interface Synced {
  readonly list: AccountList
  /** Aliases that were listed now, came from another device, went, or were renamed as another device has one of that name. */
  readonly notes: readonly string[]
}

type Cache = Pick<
  Profile,
  "aliases" | "aliasState" | "volumeOf" | "setAlias" | "removeAlias" | "account" | "recoveryKits"
>

/** Brings list and cache of the session's volume together; resolves when the list is acknowledged. */
export async function syncAccount(session: SyncSession): Promise<Synced> {
  const { profile, volume, store } = session
  const own = aliasesOf(profile, volume)
  const kits = await ownKits(profile, volume)
  let unlisted = new Map<string, string>()
  const list = await changeAccountList(session, (before, isFirst) => {
    // Where there is no list at all, no device took an alias out of it.
    const isUnlisted = (state: AliasState | undefined) => state === undefined || (isFirst && state === "listed")
    unlisted = new Map([...own].filter(([alias]) => isUnlisted(profile.aliasState(alias))))
    return withKits(listing(before, unlisted), kits)
  })
  const notes: string[] = []
  for (const cap of unlisted.values()) await holdFor(store, cap, await profile.account())
  const where = { volume: volume === gridName ? undefined : volume }
  for (const [alias, cap] of unlisted) {
    const name = nameOf(list, cap)!
    if (name !== alias) notes.push(`${alias}: is another tree on your other device, so this one is now called ${name}:`)
  }
  for (const [alias] of own)
    if (profile.aliasState(alias) !== "local" && !list.roots.has(alias)) {
      if (profile.aliasState(alias) === "listed") notes.push(`${alias}: was removed on another device of yours`)
      await profile.removeAlias(alias)
    }
  for (const [alias, { cap }] of list.roots) {
    const state = profile.aliasState(alias)
    const isElsewhere = profile.aliases.has(alias) && !own.has(alias)
    if (state === "local" || isElsewhere) {
      if (profile.aliases.get(alias) !== cap)
        notes.push(`your other device has a tree called ${alias}:, which means another one here and is not shown`)
    } else if (state !== "listed" || profile.aliases.get(alias) !== cap)
      await profile.setAlias(alias, cap, { ...where, state: "listed" })
  }
  return { list, notes }
}

/** What syncing needs of a session. */
export type SyncSession = Pick<Session, "volume" | "storage" | "store"> & { readonly profile: Cache }

/** True while the profile has aliases of the volume that the account's list lacks: nothing is put for them before. */
function hasUnlisted(profile: Pick<Cache, "aliases" | "aliasState" | "volumeOf">, volume: string): boolean {
  return [...aliasesOf(profile, volume).keys()].some((alias) => profile.aliasState(alias) === undefined)
}

/** Adds a root; when this resolves the list is acknowledged, and chunks may be put for it. Gives the name it got. */
export async function addRoot(session: SyncSession, name: string, root: AccountRoot): Promise<AccountList> {
  return changeAccountList(session, (list) =>
    list.roots.get(name)?.cap === root.cap ? list : { ...list, roots: new Map([...list.roots, [name, root]]) },
  )
}

/**
 * Has others who write into a tree hold that for the account too, if this device may write into it. What fails is left to the
 * next collection: until then the account's own marks hold what was there.
 */
export async function holdFor(store: Session["store"], text: string, { id }: Pick<Account, "id">): Promise<void> {
  const cap = decodeCap(text)
  if (cap.kind !== "dw" && cap.kind !== "fw") return
  const { chunks, registers } = store
  const tree = new Tree({ chunks, registers, env: nodeEnv, keys: await keysOfCap(nodeEnv.crypto, cap) })
  await tree.holdFor(id).catch((error: unknown) => {
    if (!isHoldfastError(error)) throw error
  })
}

/**
 * Takes a root out of the list, if it still stands for `cap`. While devices that may only append have lists of their own, it is
 * remembered that it was removed: they, and older values of their lists, may name it still.
 */
export async function removeRoot(session: SyncSession, name: string, cap: string): Promise<void> {
  const key = await removedKeyOf(nodeEnv.crypto, cap)
  await changeAccountList(session, (list) => {
    if (list.roots.get(name)?.cap !== cap) return list
    const isRemembered = list.grants.length === 0 || list.removed.some((other) => equal(other, key))
    const removed = isRemembered ? list.removed : [...list.removed, key]
    return { ...list, roots: new Map([...list.roots].filter(([other]) => other !== name)), removed }
  })
}

/** The profile's aliases in a volume, with their capabilities. */
function aliasesOf({ aliases, volumeOf }: Pick<Cache, "aliases" | "volumeOf">, volume: string): Map<string, string> {
  return new Map([...aliases].filter(([alias]) => (volumeOf(alias) ?? gridName) === volume))
}

function listing(list: AccountList, unlisted: ReadonlyMap<string, string>): AccountList {
  const roots = new Map(list.roots)
  for (const [alias, cap] of unlisted) {
    if (nameOf({ roots }, cap) !== undefined) continue
    roots.set(freeName(roots, alias), { cap })
  }
  return roots.size === list.roots.size ? list : { ...list, roots }
}

function nameOf({ roots }: Pick<AccountList, "roots">, cap: string): string | undefined {
  return [...roots].find(([, root]) => root.cap === cap)?.[0]
}
