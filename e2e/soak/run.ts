/**
 * Two people, two machines, one grid and one volume over Ceph's buckets: share, copy, collect, revoke, recover, all at once.
 * Whatever was acknowledged is remembered here and read back; nothing of anybody may be missing.
 */
import { setTimeout as delay } from "node:timers/promises"
import { pick, randomFrom } from "../random.ts"
import { jumpClocks, revokeAndInvite, strike } from "./chaos.ts"
import { collect } from "./collect.ts"
import { Exchange } from "./exchange.ts"
import { checkAll, removeAll, verifyAll } from "./finish.ts"
import { History } from "./history.ts"
import { workInFolder } from "./operations.ts"
import { type People, startPeople } from "./people.ts"
import { Recovery } from "./recover.ts"
import { verifyWorkers } from "./verify.ts"
import { makeFolders, Worker } from "./worker.ts"
import { startWorld, type World } from "./world.ts"

/** How a run is made. */
export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  /** Where the history is written, a JSON value a line. */
  readonly file: string
  readonly say: (line: string) => void
  /** Told of the servers, for who may have to end them before the end. */
  readonly onStarted?: (world: World) => void
}

/** Makes a run; its failures are in the history. */
export async function soak({ minutes, seed, file, say, onStarted }: SoakOptions): Promise<History> {
  const history = new History(file, say)
  const world = await startWorld()
  onStarted?.(world)
  let people: People | undefined
  history.say(`servers are up; seed ${seed}`)
  try {
    people = await startPeople(world, history)
    const devices = { a1: people.annA, a2: people.annA, a3: people.annB, b1: people.benB, b2: people.benB }
    const { trees: all } = people
    const workers = Object.entries(devices).map(([name, device], i) => {
      const random = randomFrom(seed * 31 + i)
      return new Worker(name, device, all[device.person as "ann" | "ben"], { history, random })
    })
    await makeFolders(workers)
    await Promise.all(workers.map((worker) => worker.begin()))
    history.say("everybody is in")
    const ending = { world, people, workers, history, random: randomFrom(seed) }
    const end = performance.now() + minutes * 60_000
    await playAll(ending, { end, seed })
    await verifyAll(ending)
    await checkAll(ending)
    await removeAll(ending)
    history.say("done")
  } catch (error) {
    history.fail(`the run stopped: ${error instanceof Error ? error.stack : String(error)}`)
  } finally {
    for (const device of people ? [people.annA, people.annB, people.benB] : []) device.close()
    await world.close()
  }
  return history
}

type Parts = Parameters<typeof verifyAll>[0]

/** All at once, until the end. */
async function playAll(parts: Parts, { end, seed }: { end: number; seed: number }): Promise<void> {
  const { world, people, workers, history } = parts
  const { annA, annB, benB } = people
  const exchange = new Exchange()
  const recovery = new Recovery(world, history)
  const spanMs = end - performance.now()
  const isOver = () => performance.now() >= end
  let lanes = 0
  /** Repeats `work` until the end, with pauses of `fromMs` to twice that. */
  const lane = async (fromMs: number, work: (random: ReturnType<typeof randomFrom>) => Promise<unknown>) => {
    const random = randomFrom(seed * 131 + lanes++)
    while (!isOver()) {
      await Promise.race([delay(fromMs + random(fromMs + 1)), delay(end - performance.now())])
      if (!isOver()) await work(random)
    }
  }
  const annWorkers = workers.filter(({ device }) => device.person === "ann")
  const ownAndOther = (worker: Worker) => (worker.device.person === "ann" ? [annA, annB] : [benB])
  await Promise.all([
    ...workers.map((worker) =>
      lane(0, async (random) => {
        const roll = random(100)
        await worker.turn.take(async () => {
          if (roll < 70) await workInFolder(worker)
          else if (roll < 95) await exchange.trade(worker)
          else await verifyWorkers([worker], pick(random, ownAndOther(worker)))
        })
      }),
    ),
    lane(15_000, (random) => collect(pick(random, [annA, annB]), history)),
    lane(15_000, () => collect(benB, history)),
    lane(Math.min(12_000, spanMs / 6), (random) => jumpClocks(world, random)),
    lane(Math.min(15_000, spanMs / 5), (random) => strike(world, history, random)),
    lane(Math.min(70_000, spanMs / 3), (random) => revokeAndInvite(world, history, random(2) === 0 ? annB : benB)),
    lane(Math.min(70_000, spanMs / 3), () => recovery.run(people, annWorkers)),
    lane(30_000, async (random) => {
      const time = ["none", "2d", "usual"][random(3)]!
      await (random(2) === 0 ? annA : benB).call(["keep", "home:", time])
    }),
  ])
}
