/**
 * The account's list on one volume: read and changed by quorum, like every root. What is changed by two devices at once is
 * joined: nothing that either listed is lost.
 */
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountList,
  decodeAccountList,
  emptyAccountList,
  encodeAccountList,
  joinAccountLists,
} from "@holdfast/protocol"
import type { RegisterKeys, Store } from "@holdfast/store"
import { emptyCare, encodeCare } from "@holdfast/tree"
import type { Profile } from "../profile/profile.ts"
import type { Session } from "../volumes/session.ts"
import { listKeysOn } from "./account.ts"

const maxAttempts = 20

/** What is needed of a session to read and change the list on its volume. */
export interface ListSession extends Pick<Session, "storage"> {
  readonly profile: Pick<Profile, "account">
  readonly store: Pick<Store, "registers">
}

/** The list of the session's volume; empty when there is none yet. Throws ERR_NO_QUORUM. */
export async function readAccountList(session: ListSession): Promise<AccountList> {
  return (await read(session, await keysOf(session))).list
}

/**
 * Makes `change` of the list, which is told whether there is none yet; resolves when it is acknowledged. Gives the new list.
 * Nothing is written when `change` gives back what it was given. Throws ERR_NO_QUORUM, ERR_CONFLICT, ERR_LIMIT.
 */
export async function changeAccountList(
  session: ListSession,
  change: (list: AccountList, isFirst: boolean) => AccountList,
): Promise<AccountList> {
  const keys = await keysOf(session)
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const { sequence, list, raced } = await read(session, keys)
    const next = change(list, sequence === 0)
    if (next === list && !raced) return list
    const parts = { content: encodeAccountList(next), care: encodeCare(emptyCare) }
    if (await session.store.registers.write(keys, sequence, parts)) return next
  }
  throw new HoldfastError(
    "ERR_CONFLICT",
    `Other devices changed the account's list ${maxAttempts} times in a row. Nothing was changed; try again when they are done.`,
  )
}

/** `name`, or one like it that no root has. */
export function freeName(roots: ReadonlyMap<string, unknown>, name: string): string {
  let free = name
  for (let number = 2; roots.has(free); number++) free = `${name.slice(0, 60)}-${number}`
  return free
}

async function keysOf({ profile, storage }: ListSession): Promise<Required<RegisterKeys>> {
  return listKeysOn(await profile.account(), storage)
}

async function read({ store }: ListSession, keys: RegisterKeys) {
  const value = await store.registers.read(keys)
  if (!value) return { sequence: 0, list: emptyAccountList, raced: false }
  const { content, siblings = [], sequence } = value
  const lists = [content, ...siblings.map((sibling) => sibling.content)].map(decodeAccountList)
  return { sequence, list: await joinAccountLists(crypto, lists), raced: siblings.length > 0 }
}
