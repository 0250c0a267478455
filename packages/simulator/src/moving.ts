/**
 * A volume of buckets moves on to a new description while devices that know only the old one write. The mover seals the places and
 * then reads; so he sees what an old device writes, or it sees the seal. Nobody is acknowledged into nothing: see
 * docs/formats/volume.md, "Moving".
 */
import { isHoldfastError } from "@holdfast/core"
import { quorumOf } from "@holdfast/store"
import { plainAttributes, type Tree } from "@holdfast/tree"
import { SimulatedBucket } from "./bucket.ts"
import type { SimulatedClient } from "./client.ts"
import type { Random } from "./random.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

/** Errors by which a device of the old description may stop. */
const stops: ReadonlySet<string> = new Set(["ERR_NO_QUORUM", "ERR_NOT_ENOUGH_SERVERS", "ERR_CONFLICT", "ERR_MOVED"])

/** Seals the places of the first epoch beside writers, and looks what they are told. Only of worlds whose places are all buckets. */
export async function checkMove(world: World, random: Random): Promise<void> {
  const { servers, clients, trees, shape, time, fail } = world
  const tree = trees[0]!
  const buckets = servers.filter((server): server is SimulatedBucket => server instanceof SimulatedBucket)
  if (buckets.length < servers.length) return
  const writers = clients.filter(({ account }) => tree.owners.includes(account))
  const written = writers.map(async (client) => {
    await time.sleep(random.delayMs(20))
    return write(client, tree)
  })
  const mover = await world.newClient("mover", tree.owners[0]!, { epoch: 2, coding: otherCoding(world, random) })
  mover.allow(20_000)
  const late = new Set(random.some(buckets, servers.length - quorumOf(servers.length, shape.mode)))
  for (const bucket of buckets) {
    if (late.has(bucket)) continue
    await time.sleep(random.delayMs(5))
    bucket.seal(2)
  }
  const { sequence } = (await mover.tree(tree).versions())[0]!
  time.tell(`${buckets.length - late.size} places are sealed for another description; the mover reads ${sequence}`)
  const acknowledged = (await Promise.all(written)).flatMap((told) => told ?? [])
  const lost = acknowledged.find((told) => told > sequence)
  if (lost !== undefined)
    fail("nobody is acknowledged into nothing", `${lost} was acknowledged; the mover has read ${sequence} since`)
  for (const client of writers) {
    const told = await write(client, tree)
    if (told !== undefined)
      fail("nobody is acknowledged into nothing", `${client.id} wrote ${told} with the old description`)
  }
  // Who knows the new description goes on, with a coding of its own.
  const told = await mover.tree(tree).commit((session) => make(session, "moved"))
  if (told.sequence <= sequence) fail("who knows the new description goes on", `${told.sequence} follows ${sequence}`)
}

/** The sequence that was acknowledged; undefined of who was told that it was not. */
async function write(client: SimulatedClient, tree: SimulatedTree): Promise<number | undefined> {
  client.allow(20_000)
  try {
    return (await client.tree(tree).commit((session) => make(session, `by ${client.id} ${client.calls}`))).sequence
  } catch (error) {
    if (isHoldfastError(error) && stops.has(error.code)) return undefined
    throw error
  }
}

async function make(session: Parameters<Parameters<Tree["commit"]>[0]>[0], name: string): Promise<void> {
  await session.mkdir([name], plainAttributes(0o755, 0))
}

/** Another k and n over the same places. */
function otherCoding({ servers, shape }: World, random: Random) {
  const away = servers.length - quorumOf(servers.length, shape.mode)
  const holders = servers.filter(({ id }) => id !== shape.witness).length
  const happy = Math.max(1, holders - away)
  return { k: random.between(1, Math.max(1, happy - away)), happy, n: holders }
}
