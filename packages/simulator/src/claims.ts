/** What must hold after every step, seen from all disks at once, and in the end when the faults have stopped. */
import type { SimulatedClient } from "./client.ts"
import { keysBelow } from "./operations.ts"
import { describe, nameOf } from "./oracle.ts"
import type { World } from "./world.ts"

/** Messages under way at once, above which something does not end. */
const mostEvents = 20_000

/** Quorums that are tried at a time. */
const readers = 4

/** Checks the newest roots and all that they need. With `verify`, shares are read and hashed, not only counted. */
export async function checkStep(world: World, verify: boolean): Promise<void> {
  const { oracle, shape, model, history, time } = world
  if (time.pending > mostEvents) world.fail("memory is bounded", `${time.pending} events are waiting`)
  try {
    const { sequence, contents } = await oracle.newest()
    if (sequence < history.newest)
      world.fail("acknowledged writes are kept", `disks hold ${sequence} at most; ${history.newest} was acknowledged`)
    for (const id of await oracle.live(contents)) {
      const shares = await oracle.sharesOf(id, verify)
      if (shares < shape.coding.k)
        world.fail("no tree refers to a missing chunk", `chunk ${nameOf(id)} has ${shares} good shares on honest disks`)
      if (world.failure) return
    }
    const present = new Set<string>()
    for (const { root } of contents) for (const key of await keysBelow(oracle, root)) present.add(key)
    for (const { id, path } of model.missing(present, time.nowMs))
      world.fail("acknowledged writes are kept", `#${id} ${path} is in no newest root`)
    await checkSnapshots(world)
    if (contents.length > 1 || verify) await checkReaders(world)
    await checkPromises(world, verify)
  } catch (error) {
    world.fail("no tree refers to a missing chunk", describe(error))
  }
}

/** Whatever quorum a reader hears, it is shown what was acknowledged. */
async function checkReaders({ probe, model, time, random, step, fail }: World): Promise<void> {
  const chance = random.fork(`readers ${step}`)
  for (let i = 0; i < readers; i++) {
    const { tree, content, heard } = await probe.read(chance)
    for (const { id, path } of model.missing(await keysBelow(tree, content.root), time.nowMs))
      fail("acknowledged writes are readable", `who hears ${heard} reads the tree without #${id} ${path}`)
  }
}

/** Of servers that crashed, or of all. */
async function checkPromises(world: World, all: boolean): Promise<void> {
  for (const server of world.servers) {
    if (world.faulty.has(server.id) || !(all || world.hasCrashed(server))) continue
    const broken = await server.brokenPromise()
    if (broken) world.fail("a node keeps what it has acknowledged", `${server.id}: ${broken}`)
  }
}

async function checkSnapshots({ oracle, model, fail }: World): Promise<void> {
  const { contents } = await oracle.newest()
  const names = new Set<string>()
  for (const { snapshots } of contents)
    if (snapshots) for (const item of (await oracle.io.readNode(snapshots)).items) names.add(item.name)
  for (const name of model.snapshots.keys())
    if (!names.has(name)) fail("acknowledged writes are kept", `snapshot ${name} is gone`)
}

/** What the product says of every live chunk is true: how many places have a good share of their own. */
export async function checkTruth(world: World, client: SimulatedClient): Promise<void> {
  const { oracle } = world
  for (const id of await oracle.live((await oracle.newest()).contents)) {
    const { distinctServers } = await client.store.checkChunk(id, { verify: true })
    const spread = await oracle.spread(id)
    if (distinctServers !== spread)
      world.fail(
        "a check tells the truth",
        `chunk ${nameOf(id)} has ${spread} places, the check says ${distinctServers}`,
      )
  }
}

/** Full health: every share of every live chunk, each on a server of its own, and the newest root everywhere. */
export async function checkHealth(world: World): Promise<void> {
  const { oracle, shape } = world
  for (const id of await oracle.live((await oracle.newest()).contents)) {
    const spread = await oracle.spread(id)
    if (spread < shape.coding.n)
      world.fail("repair gives full health", `chunk ${nameOf(id)} has ${spread} of ${shape.coding.n} places`)
  }
  const behind = await oracle.behind()
  if (behind.length > 0) world.fail("repair gives full health", `${behind.join(", ")} hold an older root`)
}
