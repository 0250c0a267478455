/** The trees of a world: one that all accounts write into, and one of each account alone. Claims are made for each of them. */
import type { CryptoProvider } from "@holdfast/core"
import { verifyKeyOf } from "@holdfast/protocol"
import { type CareKeys, keysOfCap, type RegisterKeys } from "@holdfast/store"
import type { SimulatedAccount } from "./accounts.ts"
import { type Fail, RegisterHistory } from "./history.ts"
import { Model } from "./model.ts"
import { Oracle, type OracleParts } from "./oracle.ts"
import { Probe } from "./probe.ts"
import type { SimulatedTime } from "./time.ts"

/** One tree and all that is known of it. */
export interface SimulatedTree {
  readonly name: string
  readonly keys: RegisterKeys & { readonly seed: Uint8Array }
  readonly careKeys: CareKeys
  /** The accounts that list it, and write into it; the first makes it. */
  readonly owners: readonly SimulatedAccount[]
  readonly history: RegisterHistory
  readonly model: Model
  readonly oracle: Oracle
  readonly probe: Probe
}

/** What trees are made of. */
export interface TreeParts extends Omit<OracleParts, "keys"> {
  readonly mode: "crash" | "byzantine"
  readonly crypto: CryptoProvider
  readonly time: SimulatedTime
  readonly fail: Fail
}

/** A tree that is not yet written. */
export async function newTree(
  parts: TreeParts,
  { name, owners }: Pick<SimulatedTree, "name" | "owners">,
): Promise<SimulatedTree> {
  const { crypto, time, fail } = parts
  const cap = { kind: "dw", seed: crypto.random(32) } as const
  const keys = { ...(await keysOfCap(crypto, cap)), seed: cap.seed }
  const history = new RegisterHistory(time, (claim, details) => fail(claim, `${name}: ${details}`))
  const model = new Model()
  history.onAcknowledged = (sequence) => model.acknowledged(sequence, time.nowMs)
  const seers = { ...parts, keys }
  return {
    ...{ name, owners, keys, history, model },
    careKeys: { publicKey: keys.publicKey, verifyKey: verifyKeyOf(keys.readKey) },
    oracle: await Oracle.create(seers),
    probe: await Probe.create(seers),
  }
}
