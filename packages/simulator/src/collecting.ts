/**
 * What `gc` does, over the store alone: tokens, the account's list, its trees by quorum and at each place, marks that are
 * missing, orders, and the sweep of buckets.
 */
import { equal, isHoldfastError } from "@holdfast/core"
import { rankOf, registerIdOf } from "@holdfast/protocol"
import { type Collection, IdSet, type Trim } from "@holdfast/store"
import { type CareList, careIds, decodeCare, emptyCare, type Tree, withLevels } from "@holdfast/tree"
import { addToList, kitOfWord, namesIn } from "./accounts.ts"
import type { SimulatedClient } from "./client.ts"
import type { SimulatedTree } from "./trees.ts"

/** How to collect. */
export interface CollectingOptions {
  readonly trees: readonly SimulatedTree[]
  /** Marks younger than this stay; places spare more. */
  readonly graceMs: number
  /** Old roots and values go too. */
  readonly keepsHistory: boolean
  /** Trees to keep besides those that the account lists. */
  readonly more?: readonly SimulatedTree[]
}

/** Collects for the client's account; what it gives is for the trace. */
export async function collect(client: SimulatedClient, options: CollectingOptions): Promise<string> {
  const { store, account, env } = client
  const collection = await store.beginCollection()
  const appended = await absorb(client, collection)
  const names = await addToList(store.registers, client.listKeys, appended)
  const needed: Needed = {
    live: new IdSet(env.crypto),
    liveAt: new Map(),
    registers: new IdSet(env.crypto),
    trims: new Map(),
  }
  const list = registerIdOf(account.listKeys.publicKey)
  needed.registers.add(list)
  for (const { publicKey } of account.deviceLists) needed.registers.add(registerIdOf(publicKey))
  for (const name of names) {
    const kit = kitOfWord(name)
    if (kit) needed.registers.add(kit)
    const tree = options.trees.find((one) => one.name === name)
    if (tree) await gatherTree({ client, collection, needed, options }, tree)
  }
  for (const tree of options.more ?? []) await gatherTree({ client, collection, needed, options }, tree)
  const { graceMs } = options
  const places = await collection.run({ ...needed, list, collector: client.collector, graceMs })
  let condemned = 0
  for (const backend of store.backends) {
    const outcome = await backend.sweep?.().catch((error: unknown) => {
      if (!isHoldfastError(error)) throw error
    })
    condemned += outcome?.condemned ?? 0
  }
  const sum = (of: "shares" | "marks" | "young") => [...places.values()].reduce((total, done) => total + done[of], 0)
  return (
    `${sum("marks")} marks removed with ${sum("shares")} shares, ${sum("young")} young, ${condemned} condemned, ` +
    `${needed.live.size} chunks live, without ${[...collection.leftOut].map(([place, why]) => `${place} (${why})`).join(" ") || "nobody"}`
  )
}

/** The trees that devices which may only append have ever listed, as far as places keep what they wrote. */
async function absorb({ account }: SimulatedClient, collection: Collection): Promise<string[]> {
  const names: string[] = []
  for (const keys of account.deviceLists)
    for (const values of (await collection.ownValues(keys)).values())
      for (const { content } of values) if (content) names.push(...namesIn(content))
  return names
}

interface Needed {
  readonly live: IdSet
  readonly liveAt: Map<string, IdSet>
  readonly registers: IdSet
  readonly trims: Map<string, readonly Trim[]>
}

interface Gathering {
  readonly client: SimulatedClient
  readonly collection: Collection
  readonly needed: Needed
  readonly options: CollectingOptions
}

async function gatherTree({ client, collection, needed, options }: Gathering, simulated: SimulatedTree): Promise<void> {
  const { careKeys } = simulated
  const register = registerIdOf(careKeys.publicKey)
  const { registers, chunks } = client.store
  const add = async (list: CareList, set: IdSet) => {
    for await (const id of careIds(chunks, list)) set.add(id)
  }
  needed.registers.add(register)
  await trim(client.tree(simulated), client, options)
  const newest = await registers.readCare(careKeys)
  for (const [i, care] of (newest?.care ?? []).entries())
    await add(withLevels(decodeCare(care), newest?.levels?.[i]), needed.live)
  for (const [place, values] of await collection.ownValues(careKeys)) {
    const set = needed.liveAt.get(place) ?? new IdSet(client.env.crypto)
    needed.liveAt.set(place, set)
    for (const { care, levels, sequence } of values) {
      if (!care) continue // the simulator's writers leave nothing that does not open
      const isListed = newest?.care.some((one) => equal(one, care)) ?? false
      await add(withLevels(isListed ? emptyCare : decodeCare(care), levels), set).catch((error: unknown) => {
        if (!isHoldfastError(error)) throw error
        if (sequence >= (newest ? rankOf({ epoch: 0, ...newest }) : 0)) collection.leaveOut(place, error.message)
      })
    }
    const [first] = values
    if (first && !options.keepsHistory)
      needed.trims.set(place, [...(needed.trims.get(place) ?? []), { register, below: first.sequence }])
  }
}

/** A tree whose list cannot be trimmed keeps all that it lists. */
async function trim(tree: Tree, { account }: SimulatedClient, { keepsHistory }: CollectingOptions): Promise<void> {
  try {
    await tree.holdFor(account.id)
    await tree.trimCare(() => keepsHistory)
  } catch (error) {
    if (!isHoldfastError(error) || stopsAll.has(error.code)) throw error
  }
}

const stopsAll: ReadonlySet<string> = new Set([
  "ERR_ROLLBACK",
  "ERR_FORK",
  "ERR_UNPROVEN",
  "ERR_NO_QUORUM",
  "ERR_REFUSED",
])
