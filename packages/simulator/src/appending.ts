/**
 * A thief of a device that may only append: it writes a version of nothing, with no history behind it, and tries to collect. Places
 * keep what it wrote over until the account's own collector lets it go, so nothing is lost that the account keeps.
 */
import { isHoldfastError } from "@holdfast/core"
import { decodeCare, emptyCare, encodeCare, encodeRoot, joinAccounts } from "@holdfast/tree"
import { appendRoles } from "./accounts.ts"
import { collect } from "./collecting.ts"
import { nameOf } from "./oracle.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

/** Lets the thief do its worst; what it gives looks, after collections, whether all is still there. */
export async function dropHistory(world: World, tree: SimulatedTree): Promise<() => void> {
  const [account] = tree.owners
  const before = await tree.oracle.live()
  const thief = await world.newClient(`thief of ${account!.name}`, account!, { roles: appendRoles })
  thief.allow(20_000)
  const value = await thief.store.registers.read(tree.keys)
  const accounts = joinAccounts([decodeCare(value!.care)])
  const parts = {
    content: encodeRoot({ root: null, snapshots: null, history: [], commitTimeMs: Math.floor(world.time.nowMs) }),
    care: encodeCare({ ...emptyCare, accounts }),
  }
  await thief.store.registers.write(tree.keys, value!.sequence, parts)
  const told = await collect(thief, { trees: world.trees, graceMs: 0, keepsHistory: false }).catch((error: unknown) => {
    if (isHoldfastError(error, "ERR_REFUSED")) return "every place refused"
    throw error
  })
  world.time.tell(`${thief.id} wrote nothing over ${tree.name}, and collected: ${told}`)
  return () => {
    for (const id of before)
      if (tree.oracle.marksOf(id, account!.id) < world.shape.coding.k)
        world.fail("a device that may only append drops no history", `${tree.name}: chunk ${nameOf(id)}`)
  }
}
