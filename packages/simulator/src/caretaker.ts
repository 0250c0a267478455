/**
 * Somebody who looks after the trees of all accounts by their verify capabilities alone, with an account of its own: the rounds of
 * maintenance of the package `fs`, with what they remember on a disk, beside those who write, repair and collect. Its process is killed in
 * the middle now and then. It takes nothing away from anybody, and once faults are over its rounds make all whole by themselves.
 */
import { toHex } from "@holdfast/core"
import {
  decodeMemory,
  emptyMemory,
  encodeMemory,
  footingOfCap,
  type MaintainedTree,
  type MaintenanceDeps,
  type MaintenanceFolder,
  maintainVolumes,
  type RoundReport,
  type Schedule,
} from "@holdfast/fs/care"
import { registerIdOf } from "@holdfast/protocol"
import { createAccount } from "./accounts.ts"
import { checkHealth } from "./claims.ts"
import type { SimulatedClient } from "./client.ts"
import type { Random } from "./random.ts"
import { occupy, type Role } from "./role.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

const hourMs = 3_600_000
const mostCalls = 200_000
/** Rounds after which all is whole: what one mends, the next one verifies. */
const roundsToMend = 3

const volume = "volume/world"

/** The role of a caretaker in a world. */
export async function createCaretaker(world: World): Promise<Role> {
  const chance = world.random.fork("caretaker")
  const crypto = { ...world.env.crypto, random: (length: number) => chance.bytes(length) }
  const account = await createAccount(crypto, "caretaker")
  const client = await world.newClient("caretaker", account, { crypto })
  const disk = { memory: encodeMemory(emptyMemory) }
  const round = (trees: readonly SimulatedTree[], schedule: Schedule) =>
    runRound(world, { client: client.process(), disk, trees, schedule })
  return {
    async act(random) {
      const schedule = scheduleBy(random)
      if (random.chance(0.2)) forgetPlaces(disk)
      const trees = random.some(world.trees, 1)
      if (random.chance(0.2)) world.time.after(random.delayMs(5000), () => void killed(client))
      const ended = occupy(world, client, { name: "round", mostCalls }, async () =>
        reportText(await round(trees, schedule)),
      )
      return ended
    },
    async mend({ wait }) {
      const before = heldByOthers(world, account.id)
      const schedule = { ...scheduleBy(chance), everyMs: 0, waitMs: 0 }
      let last: RoundReport | undefined
      for (let i = 0; i < roundsToMend && !world.failure; i++) {
        client.allow(mostCalls)
        await wait(
          "the caretaker's round",
          round(world.trees, schedule).then((report) => {
            last = report
            world.time.tell(`caretaker mends: ${reportText(report)}`)
          }),
        )
      }
      if (world.failure || !last) return
      checkTaken(world, before)
      const isFull = last.volumes.some(({ refusing }) => refusing.length > 0)
      if (isFull) return // what it mends counts for its own account, which a hoarder's world has a limit for
      const { trees } = last
      const bad = trees.filter(({ below, broken, error }) => below + broken > 0 || error)
      if (bad.length > 0) world.fail("maintenance gives full health", `its own word: ${reportText(last)}`)
      for (const tree of world.trees)
        if (!world.failure) await checkHealth(world, tree, "maintenance gives full health")
    },
  }
}

/** The process ends, as by a power cut; what it remembers is as it was last written. */
async function killed(client: SimulatedClient): Promise<void> {
  if (client.task !== undefined) await client.restart()
}

interface RoundParts {
  /** As the process of the round: once it was killed, it is refused everything. */
  readonly client: SimulatedClient
  readonly disk: { memory: string }
  readonly trees: readonly SimulatedTree[]
  readonly schedule: Schedule
}

function runRound(world: World, { client, disk, trees, schedule }: RoundParts): Promise<RoundReport> {
  const { store, env } = client
  const folder: MaintenanceFolder = {
    load: async () => decodeMemory(disk.memory),
    async save(memory) {
      if (client.env) disk.memory = encodeMemory(memory) // a killed process writes nothing: asking it throws
    },
    takeSuspects: async () => new Map(),
    keepSuspects: async () => undefined,
  }
  const deps: MaintenanceDeps = { env, folder, schedule, minuteOfDay: () => 0 }
  const treeOf = ({ name, careKeys, keys }: SimulatedTree): MaintainedTree => ({
    key: `${volume}/${toHex(registerIdOf(keys.publicKey))}`,
    label: name,
    footing: async () => footingOfCap(store, { kind: "dv", ...careKeys }),
  })
  const { happy } = world.shape.coding
  const account = toHex(client.account.id)
  const maintained = { key: volume, name: "world", account, happy, store, trees: trees.map(treeOf) }
  return maintainVolumes([maintained], deps)
}

function scheduleBy(random: Random): Schedule {
  return {
    everyMs: random.pick([0, hourMs, 24 * hourMs]),
    sampleBlocks: random.pick([0, 3]),
    waitMs: random.pick([0, hourMs, 24 * hourMs]),
    collectEveryMs: 24 * hourMs,
    sweepEveryMs: random.pick([0, hourMs]),
    labelsMs: 0,
    roundMs: hourMs,
  }
}

/** As if the volume had had other places: all is swept and rebalanced. */
function forgetPlaces(disk: { memory: string }): void {
  const { volumes, ...memory } = decodeMemory(disk.memory)
  const changed = Object.entries(volumes).map(([key, known]) => [key, { ...known, places: ["gone"] }] as const)
  disk.memory = encodeMemory({ ...memory, volumes: Object.fromEntries(changed) })
}

/** What honest places hold for accounts other than the caretaker's: `PLACE CHUNK ACCOUNT`. */
function heldByOthers({ servers, faulty }: World, own: Uint8Array): Set<string> {
  const held = new Set<string>()
  for (const server of servers)
    if (!faulty.has(server.id))
      for (const [chunk, { marks }] of server.holdings())
        for (const account of marks.keys()) if (account !== toHex(own)) held.add(`${server.id} ${chunk} ${account}`)
  return held
}

function checkTaken(world: World, before: ReadonlySet<string>): void {
  const now = heldByOthers(world, new Uint8Array())
  const gone = [...before].find((mark) => !now.has(mark))
  if (gone !== undefined) world.fail("maintenance takes nothing away", gone)
}

function reportText({ trees, volumes }: RoundReport): string {
  const away = volumes.flatMap((one) => one.away.map(({ server }) => server))
  const refusing = volumes.flatMap((one) => one.refusing.map(({ server }) => server))
  const told = trees.map(
    ({ tree, mended, below, broken, sweep, verify, rebalance, error }) =>
      `${tree} ${error ? error.message.split("\n")[0] : `${mended} mended, ${below} below, ${broken} broken, ${sweep?.chunks ?? 0} swept, ${verify?.chunks ?? 0} verified, ${rebalance?.moved ?? 0} moved`}`,
  )
  return `${told.join("; ")}; away: ${away.join(" ") || "none"}${refusing.length > 0 ? `; refusing: ${refusing.join(" ")}` : ""}`
}
