/** The registers of a profile in a volume: what moves with it to other places. */
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { decodeCap, toVerifyCap } from "@holdfast/protocol"
import type { RegisterKeys, Store } from "@holdfast/store"
import { deviceRegisters, readableList } from "../account/absorb.ts"
import { listKeysOn } from "../account/account.ts"
import { readAccountList } from "../account/list.ts"
import { gridName } from "./choose.ts"
import type { Session } from "./session.ts"

/** Where the profile's registers are. */
export interface KnownIn extends Pick<Session, "profile" | "volume" | "storage"> {
  readonly store: Pick<Store, "registers">
}

/**
 * Public keys of the registers that the profile has in a volume: those of its aliases and of what the account's list names, also
 * of trees that other devices listed or that are linked in others; the list itself, without which the next collection would
 * not know what the account keeps there; and the lists of devices that may only append. Recovery kits do not move: each
 * place has a part of its own. Throws ERR_NO_QUORUM.
 */
export async function knownRegisters({ profile, volume, storage, store }: KnownIn): Promise<Uint8Array[]> {
  const account = await profile.account()
  const { roots, linked, grants } = await readAccountList({ profile, storage, store })
  const isHere = (alias: string) => (profile.volumeOf(alias) ?? gridName) === volume
  const aliases = [...profile.aliases].filter(([alias]) => isHere(alias)).map(([, cap]) => cap)
  const devices = account.keys ? await deviceRegisters(account, { storage }, grants) : []
  const appended = await Promise.all(devices.map(({ keys }) => rootsOf(store, keys)))
  const caps = new Set([...aliases, ...[...roots.values()].map(({ cap }) => cap), ...linked, ...appended.flat()])
  const own = [await listKeysOn(account, storage), ...devices.map(({ keys }) => keys)]
  const trees = await Promise.all([...caps].map(publicKeyOf))
  return [...own.map(({ publicKey }) => publicKey), ...trees.filter((key) => key !== undefined)]
}

/** What a device that may only append listed, and no collection took over yet. Of a list that cannot be read nothing moves but itself. */
async function rootsOf({ registers }: Pick<Store, "registers">, keys: RegisterKeys): Promise<string[]> {
  const value = await registers.read(keys).catch((error: unknown) => {
    if (isHoldfastError(error) && !["ERR_NO_QUORUM", "ERR_REFUSED"].includes(error.code)) return undefined // a thief wrote it
    throw error
  })
  const contents = value ? [value, ...(value.siblings ?? [])].map(({ content }) => content) : []
  return contents.flatMap((content) => [...(readableList(content)?.roots.values() ?? [])].map(({ cap }) => cap))
}

/** Of what never changes there is no register. */
async function publicKeyOf(text: string): Promise<Uint8Array | undefined> {
  const cap = decodeCap(text)
  if (cap.kind === "lit" || cap.kind === "ci" || cap.kind === "cv") return undefined
  return cap.kind === "dv" || cap.kind === "fv" ? cap.publicKey : (await toVerifyCap(nodeCrypto, cap)).publicKey
}
