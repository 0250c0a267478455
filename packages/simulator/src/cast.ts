/** Those who mean harm, as they act while others work: what they do ends, in bounds, with success or an error of ours. */
import { isHoldfastError } from "@holdfast/core"
import { createCaretaker } from "./caretaker.ts"
import { createHoarder } from "./hoarder.ts"
import { createHostileWriter } from "./hostile-writer.ts"
import { createIntruder } from "./intruder.ts"
import { createKits } from "./kits.ts"
import { describe } from "./oracle.ts"
import type { Random } from "./random.ts"
import type { Driver, Role } from "./role.ts"
import type { RoleKind } from "./roles.ts"
import { plays, type World } from "./world.ts"

/** Who has a role, and who looks after all. */
type Kind = RoleKind | "caretaker"

/** How often each of them acts; kits are quickly made. */
const actChance = (kind: Kind) => (kind === "kits" ? 0.6 : 0.3)

const makers: Partial<Record<RoleKind, (world: World) => Promise<Role>>> = {
  writer: createHostileWriter,
  hoarder: createHoarder,
  intruder: createIntruder,
  kits: createKits,
}

/** The roles of one run. */
export class Cast {
  readonly #world: World
  readonly #roles: readonly (readonly [Kind, Role])[]
  readonly #busy = new Set<Kind>()

  private constructor(world: World, roles: readonly (readonly [Kind, Role])[]) {
    this.#world = world
    this.#roles = roles
  }

  /** Those that a world has. */
  static async of(world: World): Promise<Cast> {
    const roles: (readonly [Kind, Role])[] = []
    for (const [kind, make] of Object.entries(makers) as [RoleKind, (typeof makers)[RoleKind] & object][])
      if (plays(world.shape, kind)) roles.push([kind, await make(world)])
    if (world.shape.hasCaretaker) roles.push(["caretaker", await createCaretaker(world)])
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
      if (own.chance(actChance(kind)) && !this.#busy.has(kind)) void this.#run(kind, () => role.act(own))
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

  async mend(driver: Driver): Promise<void> {
    for (const [, role] of this.#roles) if (!this.#world.failure) await role.mend?.(driver)
  }

  async end(driver: Driver): Promise<void> {
    for (const [, role] of this.#roles) if (!this.#world.failure) await role.end?.(driver)
  }

  async #run(kind: Kind, work: () => Promise<string>): Promise<void> {
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
