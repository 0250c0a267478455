/**
 * The account's list on one volume: read and changed by quorum, like every root. What is changed by two devices at once is
 * joined: nothing that either listed is lost.
 */
import { HoldfastError } from "@holdfast/core"
import {
  type AccountList,
  decodeAccountList,
  emptyAccountList,
  encodeAccountList,
  joinAccountLists,
} from "@holdfast/protocol"
import type { Store } from "@holdfast/store"
import { emptyCare, encodeCare } from "@holdfast/tree"
import { listKeysOf } from "./account.ts"

const maxAttempts = 20

/** The list in the register with seed `listSeed`; empty when there is none yet. Throws ERR_NO_QUORUM. */
export async function readAccountList(
  { registers }: Pick<Store, "registers">,
  listSeed: Uint8Array,
): Promise<AccountList> {
  return (await read(registers, listSeed)).list
}

/**
 * Makes `change` of the list; resolves when it is acknowledged. Gives the new list. Nothing is written when `change` gives back
 * what it was given. Throws ERR_NO_QUORUM, ERR_CONFLICT, ERR_LIMIT.
 */
export async function changeAccountList(
  { registers }: Pick<Store, "registers">,
  listSeed: Uint8Array,
  change: (list: AccountList) => AccountList,
): Promise<AccountList> {
  const keys = await listKeysOf(listSeed)
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const { sequence, list, raced } = await read(registers, listSeed)
    const next = change(list)
    if (next === list && !raced) return list
    const parts = { content: encodeAccountList(next), care: encodeCare(emptyCare) }
    if (await registers.write(keys, sequence, parts)) return next
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

async function read(registers: Store["registers"], listSeed: Uint8Array) {
  const value = await registers.read(await listKeysOf(listSeed))
  if (!value) return { sequence: 0, list: emptyAccountList, raced: false }
  const { content, siblings = [], sequence } = value
  const lists = [content, ...siblings.map((sibling) => sibling.content)].map(decodeAccountList)
  return { sequence, list: joinAccountLists(lists), raced: siblings.length > 0 }
}
