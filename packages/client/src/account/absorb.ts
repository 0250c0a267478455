/**
 * What devices that may only append have listed, taken into the account's list. A thief of such a device can neither take anything
 * back nor bring back what its owner removed. Specification: docs/formats/account-list.md.
 */
import { isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountList,
  decodeAccountList,
  decodeGrant,
  deviceListSecret,
  type RegisterId,
  registerIdOf,
  removedKeyOf,
} from "@holdfast/protocol"
import type { Collection, RegisterKeys } from "@holdfast/store"
import type { Session } from "../volumes/session.ts"
import { type Account, listKeysOn } from "./account.ts"
import { withKits } from "./kits.ts"
import { changeAccountList, freeName, readAccountList } from "./list.ts"

/** The list of a device that may only append. */
export interface DeviceRegister {
  readonly name: string
  readonly keys: RegisterKeys
  readonly register: RegisterId
}

/** Where devices that may only append, those with `grants`, list their roots. */
export async function deviceRegisters(
  account: Pick<Account, "listSecret">,
  session: Pick<Session, "storage">,
  grants: readonly Uint8Array[],
): Promise<DeviceRegister[]> {
  return Promise.all(
    grants.map(async (grant) => {
      const { deviceKey, name } = await decodeGrant(crypto, grant)
      return deviceRegister(account, session, { deviceKey, name })
    }),
  )
}

/** The list of one device on the session's volume. */
export async function deviceRegister(
  account: Pick<Account, "listSecret">,
  { storage }: Pick<Session, "storage">,
  { deviceKey, name }: { readonly deviceKey: Uint8Array; readonly name: string },
): Promise<DeviceRegister> {
  const keys = await listKeysOn({ listSecret: deviceListSecret(account, deviceKey) }, storage)
  return { name, keys, register: registerIdOf(keys.publicKey) }
}

/**
 * Takes the roots of append-only devices into the account's list, also those that the newest value of a device's list does not
 * name any more: a thief of such a device cannot take anything back. Nor can one say how long old versions are kept, or stop the
 * account from collecting with a list that cannot be read or does not fit.
 */
export async function absorb(session: Session, { collection, devices, dryRun, warn }: Absorbing): Promise<AccountList> {
  const found: Found[] = []
  for (const { name, keys } of devices) {
    const values = await collection.ownValues(keys)
    const newest = new Set([...values.values()].flatMap(([first]) => (first ? [first.content] : [])))
    for (const { content } of [...values.values()].flat()) {
      const list = content && readableList(content)
      if (list) found.push({ name, list, isNewest: newest.has(content) })
      else warn(`the list of the append-only device "${name}" cannot be read in part: that part is left out`)
    }
  }
  const offered = await Promise.all(
    found
      .flatMap(({ name: device, isNewest, list }) => [...list.roots].map((root) => ({ device, isNewest, root })))
      .map(async ({ root: [name, { cap }], ...by }) => ({
        ...{ ...by, name, cap },
        key: toHex(await removedKeyOf(crypto, cap)),
      })),
  )
  const denied = new Set<string>()
  const absorbed = (list: AccountList): AccountList => {
    const roots = new Map(list.roots)
    const known = new Set([...roots.values()].map(({ cap }) => cap))
    const removed = new Set(list.removed.map(toHex))
    denied.clear()
    for (const { name, cap, key, device, isNewest } of offered) {
      if (known.has(cap)) continue
      if (removed.has(key)) {
        // What its owner removed does not come back; a device that goes on storing for it should be told.
        if (isNewest) denied.add(`the append-only device "${device}" lists ${name}: still, which was removed here`)
        continue
      }
      known.add(cap)
      roots.set(freeName(roots, name), { cap })
    }
    return withKits(
      { ...list, roots, ...(list.grants.length === 0 && { removed: [] }) },
      found.flatMap(({ list: { kits } }) => kits),
    )
  }
  const list = dryRun ? absorbed(await readAccountList(session)) : await write(session, absorbed, warn)
  for (const what of denied) warn(`${what}: what it stores there is not kept.`)
  return list
}

async function write(
  session: Session,
  absorbed: (list: AccountList) => AccountList,
  warn: Absorbing["warn"],
): Promise<AccountList> {
  try {
    // Written also when it is the same: so each place has just said by its own clock when that was.
    return await changeAccountList(session, absorbed)
  } catch (error) {
    if (!isHoldfastError(error, "ERR_LIMIT")) throw error
    warn(
      `append-only devices list more trees than the account's list can take; they stay where they are: ${error.message}`,
    )
    return absorbed(await changeAccountList(session, (list) => ({ ...list })))
  }
}

/** A value of a device's list at a place. */
interface Found {
  /** The device's. */
  readonly name: string
  readonly list: AccountList
  /** Not one that the place kept behind a newer one. */
  readonly isNewest: boolean
}

/** The list in a value of a device's register; undefined when it is none: whoever has the device's keys may write anything there. */
export function readableList(content: Uint8Array): AccountList | undefined {
  try {
    return decodeAccountList(content)
  } catch (error) {
    if (isHoldfastError(error)) return undefined
    throw error
  }
}

interface Absorbing {
  readonly collection: Collection
  readonly devices: readonly DeviceRegister[]
  readonly dryRun: boolean
  readonly warn: (text: string) => void
}
