/** Those who mean harm, as they act while others work: what they do ends, in bounds, with success or an error of ours. */
import { isHoldfastError } from "@holdfast/core"
import type { SimulatedClient } from "./client.ts"
import { createHoarder } from "./hoarder.ts"
import { createHostileWriter } from "./hostile-writer.ts"
import { createIntruder } from "./intruder.ts"
import { describe } from "./oracle.ts"
import type { Random } from "./random.ts"
import type { RoleKind } from "./roles.ts"
import { plays, type World } from "./world.ts"

/** One of them. */
export interface Role {
  /** Something it does now; what it gives is told. */
  act(random: Random): Promise<string>
  /** What must hold after each step. */
  check?(): Promise<void>
  /** The faults have stopped, and the last of the run begins. */
  calm?(random: Random): Promise<string>
  /** Places tell the truth from now on. */
  stop?(): void
  /** All else is over but what attacks on history and content try. */
  end?(driver: Driver): Promise<void>
}

/** Lets time pass at the end of a run. */
export interface Driver {
  /** Until some work is done. */
  readonly wait: (what: string, work: Promise<unknown>) => Promise<unknown>
  readonly pass: (ms: number) => Promise<void>
}

/** How often each of them acts. */
const actChance = 0.3

const makers: Partial<Record<RoleKind, (world: World) => Promise<Role>>> = {
  writer: createHostileWriter,
  hoarder: createHoarder,
  intruder: createIntruder,
}

/** The roles of one run. */
export class Cast {
  readonly #world: World
  readonly #roles: readonly (readonly [RoleKind, Role])[]
  readonly #busy = new Set<RoleKind>()

  private constructor(world: World, roles: readonly (readonly [RoleKind, Role])[]) {
    this.#world = world
    this.#roles = roles
  }

  /** Those that a world has. */
  static async of(world: World): Promise<Cast> {
    const roles: (readonly [RoleKind, Role])[] = []
    for (const [kind, make] of Object.entries(makers) as [RoleKind, (typeof makers)[RoleKind] & object][])
      if (plays(world.shape, kind)) roles.push([kind, await make(world)])
    return new Cast(world, roles)
  }

  /** False while one of them is at it. */
  get isIdle(): boolean {
    return this.#busy.size === 0
  }

  /** Some of them begin something. */
  act(random: Random): void {
    for (const [kind, role] of this.#roles) {
      const own = random.fork(kind)
      if (own.chance(actChance) && !this.#busy.has(kind)) void this.#run(kind, () => role.act(own))
    }
  }

  async check(): Promise<void> {
    for (const [, role] of this.#roles) await role.check?.()
  }

  async calm(random: Random): Promise<void> {
    for (const [kind, role] of this.#roles) if (role.calm) await this.#run(kind, () => role.calm!(random.fork(kind)))
  }

  stop(): void {
    for (const [, role] of this.#roles) role.stop?.()
  }

  async end(driver: Driver): Promise<void> {
    for (const [, role] of this.#roles) if (!this.#world.failure) await role.end?.(driver)
  }

  async #run(kind: RoleKind, work: () => Promise<string>): Promise<void> {
    const { time } = this.#world
    this.#busy.add(kind)
    try {
      time.tell(`${kind}: ${await work()}`)
    } catch (error) {
      this.#world.time.tell(`${kind} failed: ${describe(error).split("\n")[0]}`)
      if (!isHoldfastError(error)) this.#world.fail("errors are of known kinds", `${kind}: ${describe(error)}`)
    }
    this.#busy.delete(kind)
  }
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
