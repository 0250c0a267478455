/**
 * Devices that hold a grant instead of the account's seed: which there are, telling places so, and taking a grant back. A place
 * that was away when one was taken back hears of it from the next collection. Specification: docs/formats/account.md.
 */
import { equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountList,
  type Backend,
  decodeGrant,
  type RevokedDevice,
  signRecord,
  withoutRevoked,
} from "@holdfast/protocol"
import type { Session } from "../volumes/session.ts"
import { absorb, type DeviceRegister, deviceRegister } from "./absorb.ts"
import { type Account, appendOnly } from "./account.ts"
import { changeAccountList } from "./list.ts"
import { syncAccount } from "./sync.ts"

/** A device that may only append. */
export interface GrantedDevice {
  readonly deviceKey: Uint8Array
  readonly name: string
  readonly epoch: number
  /** The encoded grant. */
  readonly grant: Uint8Array
}

/** The devices that lists let in; of several grants of one the newest. */
export async function grantedDevices(lists: readonly AccountList[]): Promise<GrantedDevice[]> {
  const newest = new Map<string, GrantedDevice>()
  for (const grant of lists.flatMap(({ grants }) => grants)) {
    const { deviceKey, name, epoch } = await decodeGrant(crypto, grant)
    const key = deviceNameOf(deviceKey)
    if (epoch > (newest.get(key)?.epoch ?? 0)) newest.set(key, { deviceKey, name, epoch, grant })
  }
  return [...newest.values()]
}

/** Devices whose grants were taken back, and who were not let in again. */
export async function revokedDevices(lists: readonly AccountList[]): Promise<RevokedDevice[]> {
  const granted = await grantedDevices(lists)
  const revoked = new Map(lists.flatMap((list) => list.revoked).map((one) => [deviceNameOf(one.deviceKey), one]))
  return [...revoked.values()].filter(({ deviceKey }) => !granted.some((one) => equal(one.deviceKey, deviceKey)))
}

/** How commands name a device. */
export function deviceNameOf(deviceKey: Uint8Array): string {
  return Buffer.from(deviceKey).toString("base64url")
}

/** What places said to a record of the account's devices, by their ids; those that cannot tell devices apart are `unable`. */
export interface Published {
  readonly told: readonly string[]
  readonly unable: readonly string[]
  readonly errors: ReadonlyMap<string, string>
}

/** Tells places which devices the account has: who is left out of it may do nothing more there. */
async function publishDevices(
  { keys }: Account,
  places: readonly Backend[],
  { epoch, grants }: { readonly epoch: number; readonly grants: readonly Uint8Array[] },
): Promise<Published> {
  const record = await signRecord(crypto, keys!.collectSeed, { epoch, grants })
  const byId = new Map(places.map((place) => [place.id, place]))
  const [told, unable] = [[] as string[], [] as string[]]
  const errors = new Map<string, string>()
  await Promise.all(
    [...byId.values()].map(async (place) => {
      try {
        if (place.publishRecord) await place.publishRecord(record)
        ;(place.publishRecord ? told : unable).push(place.id)
      } catch (error) {
        if (!isHoldfastError(error)) throw error
        errors.set(place.id, error.message)
      }
    }),
  )
  return { told: told.sort(), unable: unable.sort(), errors }
}

/** Tells places again what the list says; nothing when no device ever had a grant. */
export async function publishListed(account: Account, session: Session, list: AccountList): Promise<void> {
  if (list.epoch === 0) return
  const grants = (await grantedDevices([list])).map(({ grant }) => grant)
  // A place that does not take it now keeps what it has, and is told by the next collection.
  await publishDevices(account, placesOf(session), { epoch: list.epoch, grants })
}

/** What taking a grant back came to. */
export interface Revocation extends Published {
  readonly device: string
  readonly name: string
  /** Volumes whose list could not be changed, and why. */
  readonly unchanged: ReadonlyMap<string, string>
}

/**
 * Takes the grant of a device back. Places are told first, so that it stores nothing more; then what it had listed until now is
 * taken into the account's list, and the device out of it. Done again it tells places that were away. Throws ERR_NOT_FOUND,
 * ERR_REFUSED on an append-only device.
 */
export async function revokeDevice(
  account: Account,
  volumes: ReadonlyMap<string, () => Promise<Session>>,
  { device: text, warn }: { readonly device: string; readonly warn: (text: string) => void },
): Promise<Revocation> {
  if (!account.keys) throw appendOnly("take grants back")
  const opened = new Map<string, { readonly session: Session; readonly list: AccountList }>()
  const unchanged = new Map<string, string>()
  const within = async (name: string, work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      unchanged.set(name, error.message)
    }
  }
  for (const [name, open] of volumes)
    await within(name, async () => {
      const session = await open()
      opened.set(name, { session, list: (await syncAccount(session)).list })
    })
  if (opened.size === 0) throw new HoldfastError("ERR_NO_QUORUM", [...unchanged.values()].join(" "))
  const lists = [...opened.values()].map(({ list }) => list)
  const device = await findDevice(lists, text)
  const stay = (await grantedDevices(lists)).filter(({ deviceKey }) => !equal(deviceKey, device.deviceKey))
  const isNew = lists.some(({ grants, revoked }) => grants.length > 0 && !isRevoked(revoked, device))
  const epoch = Math.max(...lists.map((list) => list.epoch)) + (isNew ? 1 : 0)
  const places = [...opened.values()].flatMap(({ session }) => placesOf(session))
  const published = await publishDevices(account, places, { epoch, grants: stay.map(({ grant }) => grant) })
  const revoked = { deviceKey: device.deviceKey, epoch, name: device.name }
  for (const [name, { session }] of opened)
    await within(name, async () => {
      const register = await deviceRegister(account, session, device)
      const list = await dropDevice(session, { device: register, revoked, warn })
      // Another device of the account changed who belongs to it meanwhile.
      if (list.epoch > epoch) await publishListed(account, session, list)
    })
  return { ...published, device: deviceNameOf(device.deviceKey), name: device.name, unchanged }
}

async function dropDevice(
  session: Session,
  {
    device,
    revoked,
    warn,
  }: { readonly device: DeviceRegister; readonly revoked: RevokedDevice; readonly warn: (text: string) => void },
): Promise<AccountList> {
  const collection = await session.store.beginCollection({ takes: false })
  const before = await absorb(session, { collection, devices: [device], dryRun: false, warn })
  const known = await withoutRevoked(crypto, before.grants, [revoked])
  return changeAccountList(session, (list) => {
    // A grant that was given since is younger, and holds.
    const isMine = (grant: Uint8Array) =>
      before.grants.some((one) => equal(one, grant)) && !known.some((one) => equal(one, grant))
    const grants = list.grants.filter((grant) => !isMine(grant))
    const others = list.revoked.filter(({ deviceKey }) => !equal(deviceKey, revoked.deviceKey))
    if (isRevoked(list.revoked, revoked) && grants.length === list.grants.length) return list
    const isLate = list.epoch >= revoked.epoch
    return {
      ...list,
      epoch: isLate ? list.epoch + 1 : revoked.epoch,
      grants,
      revoked: [...others, revoked],
    }
  })
}

function isRevoked(revoked: readonly RevokedDevice[], { deviceKey, epoch }: { deviceKey: Uint8Array; epoch: number }) {
  return revoked.some((one) => equal(one.deviceKey, deviceKey) && one.epoch >= epoch)
}

/** By its whole name, the first letters of it, or what it was called. Throws ERR_NOT_FOUND, ERR_INVALID_ARGUMENT. */
async function findDevice(lists: readonly AccountList[], text: string) {
  const granted = await grantedDevices(lists)
  const all = [...granted, ...(await revokedDevices(lists))]
  const found = all.filter(
    ({ deviceKey, name }) => name === text || (text.length >= 8 && deviceNameOf(deviceKey).startsWith(text)),
  )
  const [first] = found
  if (found.length === 1) return first!
  const names = found.map(({ deviceKey }) => deviceNameOf(deviceKey)).join(", ")
  throw first
    ? new HoldfastError("ERR_INVALID_ARGUMENT", `${found.length} devices are called "${text}": ${names}.`)
    : new HoldfastError(
        "ERR_NOT_FOUND",
        `No device with a grant of this account is called "${text}"; \`holdfast account show\` lists them. A full device holds the account's seed, which cannot be taken back.`,
      )
}

function placesOf({ backends, voters }: Session): Backend[] {
  return [...new Set([...backends, ...voters])]
}
