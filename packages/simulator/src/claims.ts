/** What must hold after every step, seen from all disks at once, and in the end when the faults have stopped. */
import { toHex } from "@holdfast/core"
import type { SimulatedClient } from "./client.ts"
import { describe, nameOf } from "./oracle.ts"
import { keysBelow } from "./reading.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

/** Messages under way at once, above which something does not end. */
const mostEvents = 20_000

/** What no fault may lead to. */
export const neverCodes: ReadonlySet<string> = new Set([
  "ERR_ROLLBACK",
  "ERR_FORK",
  "ERR_CORRUPT",
  "ERR_INCONSISTENT",
  "ERR_BAD_FORMAT",
  "ERR_UNSUPPORTED_VERSION",
])

/** Quorums that are tried at a time. */
const readers = 4

/** Checks the newest roots and all that they need. With `verify`, shares are read and hashed, not only counted. */
export async function checkStep(world: World, verify: boolean): Promise<void> {
  const { time } = world
  if (time.pending > mostEvents) world.fail("memory is bounded", `${time.pending} events are waiting`)
  for (const tree of world.trees)
    try {
      await checkTree(world, tree, verify)
    } catch (error) {
      world.fail("no tree refers to a missing chunk", `${tree.name}: ${describe(error)}`)
    }
  await checkPromises(world, verify)
}

async function checkTree(world: World, tree: SimulatedTree, verify: boolean): Promise<void> {
  const { time } = world
  const { name, oracle, history, model } = tree
  const { sequence, contents } = await oracle.newest()
  if (sequence < history.newest)
    world.fail(
      "acknowledged writes are kept",
      `${name}: disks hold ${sequence} at most; ${history.newest} was acknowledged`,
    )
  await checkChunks(world, tree, verify)
  if (world.failure) return
  const present = new Set<string>()
  for (const { root } of contents) for (const key of await keysBelow(oracle, root)) present.add(key)
  for (const { id, path } of model.missing(present, time.nowMs))
    world.fail("acknowledged writes are kept", `${name}: #${id} ${path} is in no newest root`)
  await checkSnapshots(world, tree)
  if (contents.length > 1 || verify) await checkReaders(world, tree)
}

/** Enough shares of each chunk lie on honest disks, held for each account of the tree. */
async function checkChunks(world: World, { name, oracle, owners }: SimulatedTree, verify: boolean): Promise<void> {
  const { k } = world.shape.coding
  for (const id of await oracle.live()) {
    const shares = await oracle.sharesOf(id, verify)
    if (shares < k)
      world.fail(
        "no tree refers to a missing chunk",
        `${name}: chunk ${nameOf(id)} has ${shares} good shares on honest disks`,
      )
    for (const account of owners)
      if (oracle.marksOf(id, account.id) < k)
        world.fail("what is acknowledged is held for every account", `${name}: chunk ${nameOf(id)}, ${account.name}`)
    if (world.failure) return
  }
}

/** Whatever quorum a reader hears, it is shown what was acknowledged. */
async function checkReaders({ time, random, step, fail }: World, { name, probe, model }: SimulatedTree): Promise<void> {
  const chance = random.fork(`readers ${step} ${name}`)
  for (let i = 0; i < readers; i++) {
    const { tree, content, heard } = await probe.read(chance)
    for (const { id, path } of model.missing(await keysBelow(tree, content.root), time.nowMs))
      fail("acknowledged writes are readable", `who hears ${heard} reads ${name} without #${id} ${path}`)
  }
}

/** Of servers that crashed, or of all. */
async function checkPromises(world: World, all: boolean): Promise<void> {
  for (const server of world.servers) {
    if (server.id === world.shape.witness && [...server.holdings()].length > 0)
      world.fail("a witness holds no share", server.id)
    if (world.faulty.has(server.id) || !(all || world.hasCrashed(server))) continue
    const broken = await server.brokenPromise()
    if (broken) world.fail("a node keeps what it has acknowledged", `${server.id}: ${broken}`)
  }
}

async function checkSnapshots({ fail }: World, { name: tree, oracle, model }: SimulatedTree): Promise<void> {
  const { contents } = await oracle.newest()
  const names = new Set<string>()
  for (const { snapshots } of contents)
    if (snapshots) for (const item of (await oracle.io.readNode(snapshots)).items) names.add(item.name)
  for (const name of model.snapshots.keys())
    if (!names.has(name)) fail("acknowledged writes are kept", `${tree}: snapshot ${name} is gone`)
}

/** What the product says of every live chunk is true: how many places have a good share of their own. */
export async function checkTruth(world: World, client: SimulatedClient, { oracle }: SimulatedTree): Promise<void> {
  for (const id of await oracle.live()) {
    const { distinctServers } = await client.store.checkChunk(id, { verify: true })
    const spread = await oracle.spread(id)
    // What a bucket's sweeper looked at too early is not relied on until it has looked again.
    const lasting = await oracle.spread(id, { lasting: true })
    if (distinctServers > spread || distinctServers < lasting)
      world.fail(
        "a check tells the truth",
        `chunk ${nameOf(id)} has ${spread} places, the check says ${distinctServers}`,
      )
  }
}

/** Full health: every share of every live chunk, each on a server of its own, and the newest root everywhere. */
export async function checkHealth(
  world: World,
  { name, oracle }: SimulatedTree,
  claim = "repair gives full health",
): Promise<void> {
  const { shape } = world
  for (const id of await oracle.live()) {
    const spread = await oracle.spread(id)
    if (spread < shape.coding.n)
      world.fail(claim, `${name}: chunk ${nameOf(id)} has ${spread} of ${shape.coding.n} places`)
  }
  const behind = await oracle.behind()
  if (behind.length > 0) world.fail(claim, `${behind.join(", ")} hold an older root of ${name}`)
}

/** After every account has collected, and each grace is over, nothing is left that no tree needs. */
export async function checkSpace(world: World): Promise<void> {
  const needed = new Set<string>()
  for (const { oracle } of world.trees) for (const id of await oracle.live({ whole: true })) needed.add(toHex(id))
  for (const server of world.servers) {
    if (world.faulty.has(server.id)) continue
    for (const [id, { marks }] of server.holdings()) {
      if (needed.has(id)) continue
      const isOurs = marks.size === 0 || world.accounts.some((account) => marks.has(toHex(account.id)))
      if (isOurs)
        world.fail(
          "space comes back",
          `${server.id} has chunk ${id.slice(0, 12)}, which nobody needs, held for ${[...marks.keys()].map((one) => one.slice(0, 8)).join(" ") || "nobody"}`,
        )
    }
  }
}
