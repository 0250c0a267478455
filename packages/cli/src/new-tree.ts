/** A new, empty tree or mutable file under a new alias. */
import { HoldfastError } from "@holdfast/core"
import { encodeCap, type WriteCap } from "@holdfast/protocol"
import { createMutableFile, createTree } from "@holdfast/tree"
import type { Session } from "./session.ts"
import { keysOfCap } from "./tree-keys.ts"
import { gridName } from "./volumes/choose.ts"

/** Makes it on the grid and keeps its write capability as `alias`. Throws ERR_ALREADY_EXISTS. */
export async function createAliasTree(session: Session, alias: string, kind: WriteCap["kind"] = "dw"): Promise<void> {
  if (session.profile.aliases.has(alias))
    throw new HoldfastError("ERR_ALREADY_EXISTS", `The alias "${alias}" exists already.`)
  const { env, store, profile, volume } = session
  const cap: WriteCap = { kind, seed: env.crypto.random(32) }
  const create = kind === "fw" ? createMutableFile : createTree
  await create({ chunks: store.chunks, registers: store.registers, env, keys: await keysOfCap(env.crypto, cap) })
  await profile.setAlias(alias, encodeCap(cap), volume === gridName ? undefined : volume)
}
