/** A new, empty tree under a new alias. */
import { HoldfastError } from "@holdfast/core"
import { encodeCap } from "@holdfast/protocol"
import { createTree } from "@holdfast/tree"
import type { Session } from "./session.ts"
import { keysOfCap } from "./tree-keys.ts"

/** Makes the tree on the grid and keeps its write capability as `alias`. Throws ERR_ALREADY_EXISTS. */
export async function createAliasTree(session: Session, alias: string): Promise<void> {
  if (session.profile.aliases.has(alias))
    throw new HoldfastError("ERR_ALREADY_EXISTS", `The alias "${alias}" exists already.`)
  const { env, store, profile } = session
  const cap = { kind: "dw", seed: env.crypto.random(32) } as const
  await createTree({ chunks: store.chunks, registers: store.registers, env, keys: await keysOfCap(env.crypto, cap) })
  await profile.setAlias(alias, encodeCap(cap))
}
