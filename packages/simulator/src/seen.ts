/** What a client remembers of registers, on a disk that takes a while: a crash leaves what was written before it. */
import type { Seen } from "@holdfast/store"
import type { DurableSeen } from "./history.ts"
import type { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"

/** Typical time that a write takes. */
const writeMs = 2

/** The memory of one client. */
export function createDiskSeen(time: SimulatedTime, random: Random): DurableSeen {
  const durable = new Map<string, Seen>()
  let last: Promise<unknown> = Promise.resolve()
  const get = async (id: string) => durable.get(id)
  return {
    get,
    durable: get,
    update(id, change) {
      const work = last.then(async () => {
        const next = await change(durable.get(id))
        await time.sleep(random.delayMs(writeMs))
        durable.set(id, next)
      })
      last = work.catch(() => undefined)
      return work
    },
  }
}
