/** What operations are about: which tree, and by what chance. */
import type { SimulatedClient } from "./client.ts"
import type { OperationContext } from "./operation.ts"
import type { Random } from "./random.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

/** What an operation is about. */
export interface Task {
  readonly tree: SimulatedTree
  readonly random: Random
  readonly sleep?: OperationContext["sleep"]
  /** Nothing of the past is kept. */
  readonly isLast?: boolean
}

/** The trees that a client's account owns. */
export function treesOf({ trees }: World, { account }: SimulatedClient): readonly SimulatedTree[] {
  return trees.filter(({ owners }) => owners.includes(account))
}

/** Mostly the one that all share. */
export function someTree(world: World, client: SimulatedClient, random: Random): SimulatedTree {
  const [shared, ...own] = treesOf(world, client)
  return own.length > 0 && random.chance(0.35) ? random.pick(own) : shared!
}
