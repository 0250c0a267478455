/** What `gc` does: the real collection, of an account of the world, and the sweep of buckets. */
import { type CollectingAccount, collectGarbage, type NeededRoot, sweepBuckets } from "@holdfast/fs/care"
import { registerIdOf, verifyKeyOf } from "@holdfast/protocol"
import type { Collection } from "@holdfast/store"
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
  /** Trees to keep besides those that the account lists: no history of them means anything, so they are read unwatched. */
  readonly more?: readonly SimulatedTree[]
}

/** Collects for the client's account; what it gives is for the trace. */
export async function collect(client: SimulatedClient, options: CollectingOptions): Promise<string> {
  const { store, env } = client
  const { trees, graceMs, more = [] } = options
  const how = { graceMs, dryRun: false, keep: more.map((tree) => rootOf(client, tree, options)), warn: () => undefined }
  const files = client.openerOf(trees, more)
  const report = await collectGarbage({ env, store, files }, accountOf(client, options), how)
  const swept = await sweepBuckets(store.backends, () => undefined)
  const condemned = [...swept.values()].reduce((total, outcome) => total + outcome.condemned, 0)
  const { places, leftOut, liveChunks } = report
  const sum = (of: "shares" | "marks" | "young") => [...places.values()].reduce((total, done) => total + done[of], 0)
  return (
    `${sum("marks")} marks removed with ${sum("shares")} shares, ${sum("young")} young, ${condemned} condemned, ` +
    `${liveChunks} chunks live, without ${[...leftOut].map(([place, why]) => `${place} (${why})`).join(" ") || "nobody"}`
  )
}

function accountOf(client: SimulatedClient, options: CollectingOptions): CollectingAccount {
  const { account, store, listKeys, collector } = client
  const { publicKey, readKey } = account.listKeys
  return {
    id: account.id,
    collector,
    async list(collection) {
      const appended = await absorb(client, collection)
      const names = await addToList(store.registers, listKeys, appended)
      const listed = names.flatMap((name) => options.trees.filter((tree) => tree.name === name))
      return {
        roots: listed.map((tree) => rootOf(client, tree, options)),
        linked: [],
        list: { publicKey, verifyKey: verifyKeyOf(readKey) },
        registers: [
          ...account.deviceLists.map((keys) => registerIdOf(keys.publicKey)),
          ...names.map(kitOfWord).filter((kit) => kit !== undefined),
        ],
      }
    },
    noteLinked: async () => undefined, // no tree of the world is linked in another
  }
}

function rootOf(client: SimulatedClient, tree: SimulatedTree, { keepsHistory }: CollectingOptions): NeededRoot {
  const isOwn = tree.owners.includes(client.account)
  return { label: tree.name, cap: client.capOf(tree), isOwn, ...(!keepsHistory && { keepMs: 0 }) }
}

/** The trees that devices which may only append have ever listed, as far as places keep what they wrote. */
async function absorb({ account }: SimulatedClient, collection: Collection): Promise<string[]> {
  const names: string[] = []
  for (const keys of account.deviceLists)
    for (const values of (await collection.ownValues(keys)).values())
      for (const { content } of values) if (content) names.push(...namesIn(content))
  return names
}
