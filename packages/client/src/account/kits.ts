/**
 * Recovery kits in the account's list: whoever of its devices collects, the registers of all kits stay. Like a root a kit is
 * listed before it is written; one that was replaced stays listed until it is erased everywhere, so that nobody frees it half.
 */
import { equal } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type AccountKit, type AccountList, registerIdOf } from "@holdfast/protocol"
import { seedsOf } from "../kits/kit-memory.ts"
import type { Profile } from "../profile/profile.ts"
import type { Session } from "../volumes/session.ts"
import { changeAccountList } from "./list.ts"

/** The kits of this profile on a volume: those that restore, and those that are still to be erased somewhere. */
export async function ownKits(
  { recoveryKits }: Pick<Profile, "recoveryKits">,
  volume: string,
): Promise<readonly AccountKit[]> {
  const seeds = [...recoveryKits].flatMap(([key, { master, erase }]) => {
    const [where, name] = key.split("/") as [string, string]
    if (where !== volume) return []
    return seedsOf(name, { master, erase }).map((seed) => ({ name, seed }))
  })
  return Promise.all(seeds.map(({ name, seed }) => accountKit(name, seed)))
}

/** The kit that lies in the register of `seed`, as a list names it. */
export async function accountKit(name: string, seed: Uint8Array): Promise<AccountKit> {
  return { name, register: registerIdOf(await crypto.publicKeyOf(seed)) }
}

/** `list` with these kits too; the same list when it has them. */
export function withKits(list: AccountList, kits: readonly AccountKit[]): AccountList {
  const fresh = kits.filter((kit, i) => !has(list.kits, kit) && !has(kits.slice(0, i), kit))
  return fresh.length === 0 ? list : { ...list, kits: [...list.kits, ...fresh] }
}

/** Lists kits of the session's volume and takes others out; resolves when that is acknowledged. */
export async function changeKits(
  session: Pick<Session, "profile" | "store" | "storage">,
  { add = [], remove = [] }: { readonly add?: readonly AccountKit[]; readonly remove?: readonly AccountKit[] },
): Promise<void> {
  await changeAccountList(session, (list) => {
    const left = list.kits.filter((kit) => !has(remove, kit))
    return withKits(left.length === list.kits.length ? list : { ...list, kits: left }, add)
  })
}

function has(kits: readonly AccountKit[], { register }: AccountKit): boolean {
  return kits.some((kit) => equal(kit.register, register))
}
