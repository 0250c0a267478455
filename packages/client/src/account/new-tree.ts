/** A new, empty tree or mutable file under a new alias. */
import { HoldfastError } from "@holdfast/core"
import { encodeCap, type WriteCap } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { createMutableFile, createTree } from "@holdfast/tree"
import { gridName } from "../volumes/choose.ts"
import type { Session } from "../volumes/session.ts"
import { addRoot, removeRoot, syncAccount } from "./sync.ts"

/**
 * Makes it on the session's volume and keeps its write capability as `alias`. The account's list has it first: what is put for a
 * tree that is not listed belongs to nobody. Throws ERR_ALREADY_EXISTS.
 */
export async function createAliasTree(session: Session, alias: string, kind: WriteCap["kind"] = "dw"): Promise<void> {
  const { env, store, profile, volume } = session
  await syncAccount(session)
  if (profile.aliases.has(alias)) throw new HoldfastError("ERR_ALREADY_EXISTS", `The alias "${alias}" exists already.`)
  const cap: WriteCap = { kind, seed: env.crypto.random(32) }
  const text = encodeCap(cap)
  const { id: account } = await profile.account()
  await addRoot(session, alias, { cap: text })
  try {
    const create = kind === "fw" ? createMutableFile : createTree
    const { chunks, registers } = store
    await create({ chunks, registers, env, account, keys: await keysOfCap(env.crypto, cap) })
  } catch (error) {
    await removeRoot(session, alias, text).catch(() => undefined) // an empty root costs nothing
    throw error
  }
  await profile.setAlias(alias, text, { volume: volume === gridName ? undefined : volume, state: "listed" })
}
