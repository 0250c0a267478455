/**
 * The registers that an account needs besides its trees: its list, the lists of devices that may only append, recovery kits.
 * Whoever checks and mends trees looks after these too: without its list an account knows no tree.
 */
import { isHoldfastError } from "@holdfast/core"
import { type ChunkId, type RegisterId, registerIdOf, verifyKeyOf } from "@holdfast/protocol"
import { careIds, decodeCare, withLevels } from "@holdfast/tree"
import type { Session } from "../volumes/session.ts"
import { deviceRegisters } from "./absorb.ts"
import { listKeysOn } from "./account.ts"
import { readAccountList } from "./list.ts"

/** A register and what it is, for messages. */
export interface OwnRegister {
  readonly register: RegisterId
  readonly what: string
}

/** What the account needs of the session's volume for itself; what cannot be read of its list is told to `warn`. */
export async function ownRegisters(
  session: Session,
  warn: (text: string) => void,
): Promise<{ readonly registers: OwnRegister[]; readonly chunks: ChunkId[] }> {
  const { profile, store, storage } = session
  const account = await profile.account()
  const keys = await listKeysOn(account, storage)
  const own = { register: registerIdOf(keys.publicKey), what: "the account's list" }
  try {
    const { kits, grants } = await readAccountList(session)
    const devices = account.keys ? await deviceRegisters(account, session, grants) : []
    const chunks: ChunkId[] = []
    const held = await store.registers.readCare({ publicKey: keys.publicKey, verifyKey: verifyKeyOf(keys.readKey) })
    for (const [i, care] of (held?.care ?? []).entries())
      for await (const id of careIds(store.chunks, withLevels(decodeCare(care), held?.levels?.[i]), () => undefined))
        chunks.push(id)
    if (!held) return { registers: [], chunks } // an account that keeps nothing here yet
    return {
      registers: [
        own,
        ...devices.map(({ name, register }) => ({ register, what: `the list of device ${name}` })),
        ...kits.map(({ name, register }) => ({ register, what: `recovery kit ${name}` })),
      ],
      chunks,
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    warn(`the account's list could not be read, so what it lists besides trees was not checked: ${error.message}`)
    return { registers: [own], chunks: [] }
  }
}
