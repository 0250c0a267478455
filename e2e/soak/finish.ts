/**
 * The end of a run: everybody reads everything; then Ann removes all she has and collects, and nothing of Ben is missing; then Ben
 * does, and places are as good as empty.
 */
import type { Random } from "../random.ts"
import { jumpClocks } from "./chaos.ts"
import { collect } from "./collect.ts"
import type { Device } from "./device.ts"
import { forget } from "./exchange.ts"
import type { History } from "./history.ts"
import { dropSnapshot } from "./operations.ts"
import type { People } from "./people.ts"
import { checkTrees, verifyFolders, verifyWorkers } from "./verify.ts"
import type { Worker } from "./worker.ts"
import type { World } from "./world.ts"

/** What a run has at its end. */
export interface Ending {
  readonly world: World
  readonly people: People
  readonly workers: readonly Worker[]
  readonly history: History
  readonly random: Random
}

const aliases = { ann: ["home", "clouds", "team", "cteam"], ben: ["home", "store", "team"] }

/** Reads all that anybody expects, on all devices. */
export async function verifyAll({ people: { annA, annB, benB }, workers, history }: Ending): Promise<void> {
  history.say("everybody reads everything")
  const { ann, ben } = byPerson(workers)
  await Promise.all([
    verifyWorkers(ann, annA).then(() => verifyFolders(ben, annA)),
    verifyWorkers(ann, annB),
    verifyWorkers(ben, benB).then(() => verifyFolders(ann, benB)),
  ])
}

function byPerson(workers: readonly Worker[]): { ann: Worker[]; ben: Worker[] } {
  const of = (person: string) => workers.filter(({ device }) => device.person === person)
  return { ann: of("ann"), ben: of("ben") }
}

/** Mends what nodes missed while they were away, then reads each share of all trees. */
export async function checkAll({ people: { annA, benB }, history }: Ending): Promise<void> {
  history.say("all trees are checked")
  for (const repair of [true, false])
    await Promise.all([checkTrees(annA, aliases.ann, { repair }), checkTrees(benB, aliases.ben, { repair })])
}

/** Removes everything of one after the other, and looks what is left. */
export async function removeAll(ending: Ending): Promise<void> {
  const { people, workers, history } = ending
  const before = await heldBytes(ending)
  const { ann, ben } = byPerson(workers)
  history.say(`held: ${before.nodes} bytes on nodes, ${before.buckets} in buckets; Ann removes all she has`)
  await Promise.all(ann.map(removeWorker))
  await collectOften(ending, [people.annA])
  await verifyWorkers(ben, people.benB)
  await checkTrees(people.benB, ["home", "store"])
  const between = await heldBytes(ending)
  history.say(`held: ${between.nodes} bytes on nodes, ${between.buckets} in buckets; Ben removes all he has`)
  await Promise.all(ben.map(removeWorker))
  await collectOften(ending, [people.annA, people.benB])
  const after = await heldBytes(ending)
  const shares = (await ending.world.listObjects()).filter((key) => key.startsWith("shares/")).length
  history.add("objects with shares in buckets in the end", shares)
  history.say(`held: ${after.nodes} bytes on nodes, ${after.buckets} in buckets, there in ${shares} objects`)
  for (const where of ["nodes", "buckets"] as const) {
    history.add(`bytes held on ${where} with everything`, before[where])
    history.add(`bytes held on ${where} without Ann's`, between[where])
    history.add(`bytes held on ${where} in the end`, after[where])
    if (after[where] > before[where] / 10 + emptyBytes)
      history.fail(
        `${where} hold ${after[where]} of ${before[where]} bytes though everything was removed and collected`,
      )
  }
}

/** Roots, lists and kits of everybody stay. */
const emptyBytes = 1_000_000

async function removeWorker(worker: Worker): Promise<void> {
  for (const snapshot of worker.snapshots.splice(0)) await dropSnapshot(worker, snapshot)
  for (const folder of worker.folders)
    await worker.change(folder, { kind: "rm all", args: ["rm", "-rf", worker.at(folder)], after: new Map() })
  const gone = [...worker.made, ...worker.kept.splice(0).map(({ alias }) => alias)]
  for (const alias of [...gone, ...worker.notes.splice(0).map((note) => note.alias)]) await forget(worker, alias)
}

/** After so many runs, each a day apart, all must be gone: buckets forget old versions first, then condemn, then delete. */
const rounds = 5

/** Collects on devices until only what is needed can be left. */
async function collectOften({ world, history, random }: Ending, devices: readonly Device[]): Promise<void> {
  for (const device of devices) {
    await device.must(["keep", "none"])
    const own = aliases[device.person as keyof typeof aliases]
    await Promise.all(own.map((alias) => device.must(["keep", `${alias}:`, "none"])))
  }
  for (let round = 0; round < rounds; round++) {
    await jumpClocks(world, random)
    await Promise.all(devices.map((device) => collectSurely(device, history)))
  }
}

async function collectSurely(device: Device, history: History): Promise<void> {
  for (let tries = 0; tries < 10; tries++) if (await collect(device, history)) return
  throw new Error(`${device.name}: gc failed ten times`)
}

/** What all places hold, as they say. */
async function heldBytes({ world, people: { annA } }: Ending): Promise<{ nodes: number; buckets: number }> {
  const listed = JSON.parse(await world.operate(["coordinator", "accounts", "list"])) as {
    accounts: { bytes: number }[]
  }
  const shown = (await annA.must(["account", "show"])) as { volumes: { name: string; usedBytes: number }[] }
  return {
    nodes: listed.accounts.reduce((sum, { bytes }) => sum + bytes, 0),
    buckets: shown.volumes.find(({ name }) => name === "clouds")!.usedBytes,
  }
}
