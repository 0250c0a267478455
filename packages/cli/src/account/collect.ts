/**
 * `gc`: takes away what the account marked and none of its roots needs. The steps come in the order that makes it safe beside
 * anything: tokens, the account's list, its roots by quorum and at each place, marks that are missing, then signed orders.
 */
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountList,
  decodeAccountList,
  decodeGrant,
  deviceListSecret,
  type RegisterId,
  registerIdOf,
  verifyKeyOf,
} from "@holdfast/protocol"
import type { Collected, Collection, RegisterKeys } from "@holdfast/store"
import type { Session } from "../session.ts"
import { type Account, collectorOf, listKeysOn } from "./account.ts"
import { withKits } from "./kits.ts"
import { changeAccountList, freeName, readAccountList } from "./list.ts"
import { gather, type Needed, type NeededRoot } from "./needed.ts"
import { syncAccount } from "./sync.ts"

/** How to collect. */
export interface CollectAccountOptions {
  readonly graceMs: number
  readonly dryRun: boolean
  /** Capabilities of trees that stay besides those of the account. */
  readonly keep: readonly { readonly label: string; readonly cap: string }[]
  readonly warn: (text: string) => void
}

/** What was collected on a volume. */
export interface CollectReport extends Pick<Needed, "problems" | "lost"> {
  readonly places: ReadonlyMap<string, Collected>
  readonly leftOut: ReadonlyMap<string, string>
  readonly liveChunks: number
}

/** Collects on the session's volume. Throws ERR_REFUSED on an append-only device, and when it cannot be known what a root needs. */
export async function collectAccount(session: Session, options: CollectAccountOptions): Promise<CollectReport> {
  const { store, profile } = session
  const account = await profile.account()
  const collector = collectorOf(account)
  const collection = await store.beginCollection()
  const { notes } = await syncAccount(session)
  for (const note of notes) options.warn(note)
  const devices = await deviceRegisters(account, session)
  const list = await absorb(session, { collection, devices, dryRun: options.dryRun, warn: options.warn })
  const listKeys = await listKeysOn(account, session.storage)
  const roots = [...list.roots].map(
    ([name, root]): NeededRoot => ({
      label: `${name}:`,
      cap: root.cap,
      keepMs: root.keepMs ?? list.keepMs,
      isOwn: true,
    }),
  )
  const needed = await gather({
    ...{ session, account: account.id, collection, linked: list.linked, warn: options.warn, trim: !options.dryRun },
    roots: [...roots, ...options.keep],
    registers: [
      registerIdOf(listKeys.publicKey),
      ...devices.map(({ register }) => register),
      ...list.kits.map(({ register }) => register),
    ],
    clocks: await clocksOf(collection, listKeys),
  })
  if (!options.dryRun) await noteLinked(session, needed)
  const places = await collection.run({
    ...{ collector, ...needed, list: registerIdOf(listKeys.publicKey) },
    ...{ graceMs: options.graceMs, dryRun: options.dryRun },
  })
  return {
    places,
    leftOut: collection.leftOut,
    problems: needed.problems,
    lost: needed.lost,
    liveChunks: needed.live.size,
  }
}

interface DeviceRegister {
  readonly name: string
  readonly keys: RegisterKeys
  readonly register: RegisterId
}

/** Where devices that may only append list their roots. */
async function deviceRegisters(account: Account, session: Session): Promise<DeviceRegister[]> {
  const { grants } = await readAccountList(session)
  return Promise.all(
    grants.map(async (grant) => {
      const { deviceKey, name } = await decodeGrant(crypto, grant)
      const listSecret = deviceListSecret(account, deviceKey)
      const keys = await listKeysOn({ listSecret }, session.storage)
      return { name, keys, register: registerIdOf(keys.publicKey) }
    }),
  )
}

/**
 * Takes the roots of append-only devices into the account's list, also those that the newest value of a device's list does not
 * name any more: a thief of such a device cannot take anything back. Nor can one say how long old versions are kept, or stop the
 * account from collecting with a list that cannot be read or does not fit.
 */
async function absorb(session: Session, { collection, devices, dryRun, warn }: Absorbing): Promise<AccountList> {
  const found: AccountList[] = []
  for (const { name, keys } of devices) {
    const values = await collection.ownValues(keys)
    for (const { content } of [...values.values()].flat()) {
      const list = content && readableList(content)
      if (list) found.push(list)
      else if (content)
        warn(`the list of the append-only device "${name}" cannot be read in part: that part is left out`)
    }
  }
  const absorbed = (list: AccountList): AccountList => {
    const roots = new Map(list.roots)
    const known = new Set([...roots.values()].map(({ cap }) => cap))
    for (const [name, { cap }] of found.flatMap((one) => [...one.roots])) {
      if (known.has(cap)) continue
      known.add(cap)
      roots.set(freeName(roots, name), { cap })
    }
    return withKits(
      { ...list, roots },
      found.flatMap((one) => one.kits),
    )
  }
  if (dryRun) return absorbed(await readAccountList(session))
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

/** Undefined for what is no list: whoever has the keys of a device may write anything there. */
function readableList(content: Uint8Array): AccountList | undefined {
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
  readonly warn: CollectAccountOptions["warn"]
}

/** What time it is at each place: when it took the newest value of the account's list. */
async function clocksOf(collection: Collection, keys: Required<RegisterKeys>): Promise<Map<string, number>> {
  const values = await collection.ownValues({ publicKey: keys.publicKey, verifyKey: verifyKeyOf(keys.readKey) })
  return new Map([...values].flatMap(([place, [newest]]) => (newest ? [[place, newest.receivedMs] as const] : [])))
}

/** Remembers which trees are linked in the roots, for when a node that links one cannot be read. */
async function noteLinked(session: Session, { linked, isWhole }: Needed): Promise<void> {
  await changeAccountList(session, (list) => {
    const next = isWhole ? [...linked].sort() : [...new Set([...list.linked, ...linked])].sort()
    const isSame = next.length === list.linked.length && next.every((cap, i) => cap === [...list.linked].sort()[i])
    return isSame ? list : { ...list, linked: next }
  })
}
