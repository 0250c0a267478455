/** What befalls the servers and devices of a run: clocks that jump a day, nodes that die, cables that are drawn, devices shut out. */
import { rmSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { pick, type Random } from "../random.ts"
import type { Device } from "./device.ts"
import type { History } from "./history.ts"
import { joinGrid } from "./people.ts"
import type { World } from "./world.ts"

/** More than places spare. */
const jumpSeconds = 25 * 3600

/** Lets places' clocks jump by more than a day: each node by itself, within a second or two. */
export async function jumpClocks(world: World, random: Random): Promise<void> {
  for (const clock of world.nodeClocks.values()) {
    clock.advance(jumpSeconds)
    await delay(random(300))
  }
  world.bucketClock.advance(jumpSeconds)
  await delay(1200) // programs look at their clocks each second
}

/** One misfortune. At most one node is away at a time, as the coding allows. */
export async function strike(world: World, history: History, random: Random): Promise<void> {
  const { members, network } = world
  const node = pick(random, members.nodes)
  const machine = pick(random, network.machines)
  switch (random(5)) {
    case 0:
      history.say(`${node} is killed`)
      history.add("nodes killed", 1)
      await members.kill(node)
      await delay(random(8000))
      await members.revive(node)
      break
    case 1:
      history.say(`${node} is ended`)
      history.add("nodes ended", 1)
      await members.end(node)
      await delay(random(3000))
      await members.revive(node)
      break
    case 2:
      history.say(`${node} hangs`)
      history.add("nodes hung", 1)
      members.signal(node, "SIGSTOP")
      await delay(1000 + random(5000))
      members.signal(node, "SIGCONT")
      break
    case 3:
      history.say("the coordinator is killed")
      history.add("coordinator killed", 1)
      await members.kill("coordinator")
      await delay(random(4000))
      await members.revive("coordinator")
      break
    default:
      history.say(`the cable of machine ${machine.name} is drawn`)
      history.add("cables drawn", 1)
      await machine.cut(500 + random(4000))
  }
}

/** Shuts a device out of the grid, sees that it is out, and invites it anew. */
export async function revokeAndInvite(world: World, history: History, device: Device): Promise<void> {
  history.say(`${device.name} is revoked`)
  history.add("devices revoked", 1)
  const members = JSON.parse(await world.operate(["coordinator", "members"])) as Member[]
  const ours = members.find(({ name, revokedMs }) => name === device.name && revokedMs === null)
  device.isRevoked = true
  await world.operate(["coordinator", "revoke", ours!.id])
  for (const end = performance.now() + 120_000; ; ) {
    const outcome = await device.call(["ls", "home:"], { kind: "ls while revoked" })
    if (outcome.error === "ERR_REFUSED") break
    if (performance.now() > end) return history.fail(`${device.name} is revoked, and still let in after two minutes`)
    await delay(1000)
  }
  rmSync(`${device.client.folder}/config/holdfast/profiles/default/identity`, { recursive: true })
  await joinGrid(world, device)
  for (const end = performance.now() + 120_000; ; ) {
    const outcome = await device.call(["ls", "home:"], { kind: "ls when invited again" })
    if (outcome.isDone) break
    if (performance.now() > end) return history.fail(`${device.name} joined again, and is not let in after two minutes`)
    await delay(1000)
  }
  device.isRevoked = false
  history.say(`${device.name} is in again`)
}

interface Member {
  readonly id: string
  readonly name: string
  readonly revokedMs: number | null
}
