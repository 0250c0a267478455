/** What somebody with a role does in a run, and how honest clients meet it: in bounds of calls and time. */
import { isHoldfastError } from "@holdfast/core"
import type { SimulatedClient } from "./client.ts"
import { describe } from "./oracle.ts"
import type { Random } from "./random.ts"
import type { World } from "./world.ts"

/** Somebody with a role. */
export interface Role {
  /** Something it does now; what it gives is told. */
  act(random: Random): Promise<string>
  /** What must hold after each step. */
  check?(): Promise<void>
  /** The faults have stopped, and the last of the run begins. */
  calm?(random: Random): Promise<string>
  /** Places tell the truth from now on. */
  stop?(): void
  /** Nothing goes wrong any more, and nobody has repaired yet. */
  mend?(driver: Driver): Promise<void>
  /** All else is over but what attacks on history and content try. */
  end?(driver: Driver): Promise<void>
}

/** Lets time pass at the end of a run. */
export interface Driver {
  /** Until some work is done. */
  readonly wait: (what: string, work: Promise<unknown>) => Promise<unknown>
  readonly pass: (ms: number) => Promise<void>
}

/** No visit takes longer, whatever it finds. */
const longestMs = 2 * 3_600_000

/**
 * `work` by a client that has nothing else to do, in bounds of calls and time; how it ended. What a crash of the client cuts off
 * ends then.
 */
export async function occupy(
  { time, fail }: World,
  client: SimulatedClient,
  { name, mostCalls }: { readonly name: string; readonly mostCalls: number },
  work: () => Promise<string>,
): Promise<string> {
  time.tell(`${client.id} ${name} begins`)
  const isAlive = client.lifeline()
  client.allow(mostCalls)
  client.task = name
  client.span = undefined
  client.onWrite = () => undefined
  let isOver = false
  const crashed = new Promise<string>((resolve) => {
    client.onCrash = () => resolve("crashed")
  })
  time.after(longestMs, () => {
    if (!isOver && isAlive())
      fail("operations end", `${client.id} ${name} takes more than ${longestMs / 60_000} minutes`)
  })
  const ended = await Promise.race([work().catch((error: unknown) => endOf(error)), crashed])
  isOver = true
  if (isAlive()) client.task = undefined
  return `${client.id} ${name}: ${ended}`
}

function endOf(error: unknown): string {
  if (!isHoldfastError(error)) throw error
  return describe(error).split("\n")[0]!
}
