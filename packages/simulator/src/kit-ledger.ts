/**
 * What people were told of their recovery kits, and what must hold of it over what lies on all disks: who was told of a kit can
 * restore it or one that came after it, what was erased is gone, and nobody learns anything from the places alone.
 */
import {
  type FoundKit,
  type FoundPart,
  groupParts,
  keyOfKit,
  kitSeed,
  type OpenedKit,
  openKit,
} from "@holdfast/client/kits"
import { equal, isHoldfastError, toHex } from "@holdfast/core"
import { decodeRecoveryPart, decodeRegisterValue, type RegisterId, registerIdOf } from "@holdfast/protocol"
import type { SimulatedAccount } from "./accounts.ts"
import type { Storage } from "./storage.ts"
import type { World } from "./world.ts"

/** One making of a kit. */
export interface Attempt {
  readonly order: number
  readonly account: SimulatedAccount
  readonly lair: Lair
  /** The kit's id, in hexadecimal, once it has one, and what tells its content from others'. */
  id?: string
  mark?: Uint8Array
  /** False when it is over, or its process died. */
  isRunning: boolean
}

/** A register in which kits lie. */
export interface Lair {
  readonly seed: string
  readonly name: string
  readonly register: RegisterId
  readonly master: Uint8Array | undefined
  readonly attempts: Attempt[]
  /** The kits that restore what its owner was told of: the last one, or those that were begun after it; nobody was when empty. */
  owed: readonly Attempt[]
}

/** What somebody has on paper. */
export interface Paper {
  readonly lair: Lair
  readonly account: SimulatedAccount
}

/** Every register that ever held a kit. */
export class KitLedger {
  readonly #world: World
  readonly #lairs = new Map<string, Lair>()
  #order = 0

  constructor(world: World) {
    this.#world = world
  }

  /** Somebody begins to make a kit. */
  async begin(account: SimulatedAccount, name: string, master: Uint8Array | undefined): Promise<Attempt> {
    const lair = await this.#lair(name, kitSeed(name, master), master)
    const attempt = { order: this.#order++, account, lair, isRunning: true }
    lair.attempts.push(attempt)
    if (lair.owed.length > 0) lair.owed = [...lair.owed, attempt]
    return attempt
  }

  /** Its owner is told that it is made. */
  tell(attempt: Attempt): void {
    const { lair, order } = attempt
    lair.owed = [attempt, ...lair.attempts.filter((one) => one !== attempt && (one.order > order || one.isRunning))]
  }

  /** Its owner was told of another since, which lies elsewhere. */
  release({ lair }: Paper): void {
    lair.owed = []
  }

  /** Another takes the place of the kit with these words, or without any: whoever makes one with words erases his own without. */
  async releaseKit(name: string, master: Uint8Array | undefined): Promise<void> {
    const lair = await this.#lair(name, kitSeed(name, master), master)
    lair.owed = []
  }

  /** All that are owed can be restored from honest places; nobody restores one who has no more than what lies there. */
  async check(): Promise<void> {
    for (const lair of this.#lairs.values()) {
      // Of kits without words, which may need most of the places, none may be whole while one is written over another.
      if (lair.owed.length === 1 || (lair.master && lair.owed.length > 0)) await this.#checkOwed(lair)
      if (lair.master) await this.#checkHidden(lair)
    }
  }

  /** What somebody restored is what its owner was told of, or newer. */
  checkRestored({ lair }: Paper, { id, secrets }: OpenedKit, isLast: boolean): void {
    const { fail } = this.#world
    const attempt = lair.attempts.find((one) => one.id === id)
    if (!attempt?.mark || !equal(secrets.convergenceSecret, attempt.mark))
      fail("nobody restores what was never in a kit", `${lair.name} in ${shown(lair)}`)
    else if (isLast && !lair.owed.includes(attempt))
      fail("a kit that its owner was told of restores", `${lair.name} in ${shown(lair)}: an earlier one was restored`)
  }

  /**
   * After a device has made a kit, those that it began before are gone from every place that was not named. `tried` has its last making
   * in each register: one that another device began there since is that one's to erase.
   */
  async checkErased(attempt: Attempt, tried: ReadonlyMap<Lair, Attempt>, named: readonly string[]): Promise<void> {
    for (const [lair, last] of tried) {
      if (lair === attempt.lair || lair.attempts.some((one) => one.order > last.order || one.isRunning)) continue
      for (const server of this.#honest)
        if (!named.includes(server.id) && (await this.#partAt(server, lair)))
          this.#world.fail("a kit that was replaced is erased or its place named", `${server.id} has ${shown(lair)}`)
    }
  }

  /** Of a kit without words no `faults` parties together hold enough. */
  async checkParties({ lair, id }: Attempt, parties: readonly (readonly string[])[], faults: number): Promise<void> {
    for (const some of subsets(parties, faults)) {
      const places = new Set(some.flat())
      const parts = await this.#partsOf(lair, (server) => places.has(server.id))
      for (const kit of groupParts(parts))
        if (kit.id === id && (await keyOfKit(kit)))
          this.#world.fail("no few credentials read a kit", `${[...places].join(" ")} open ${shown(lair)}`)
    }
  }

  /** How many of the parts of the newest kit that is owed lie on these places. */
  async partsOwed({ lair }: Paper, places: readonly string[]): Promise<FoundKit | undefined> {
    const kits = groupParts(await this.#partsOf(lair, (server) => places.includes(server.id)))
    return kits.find(({ id }) => id === lair.owed[0]?.id)
  }

  async #checkOwed(lair: Lair): Promise<void> {
    const ids = new Map(lair.owed.map((attempt) => [attempt.id, attempt]))
    const kits = groupParts(await this.#partsOf(lair, (server) => this.#honest.includes(server)))
    for (const kit of kits) {
      const mark = ids.get(kit.id)?.mark
      const key = mark && (await keyOfKit(kit))
      const secret = lair.master && { master: lair.master }
      const opened = key && (await openKit(this.#world.env.crypto, kit, { key, secret }))
      if (opened && equal(opened.secrets.convergenceSecret, mark)) return
    }
    const found = kits.map(({ id, parts }) => `${parts.size} of ${ids.has(id) ? "one owed" : "another"}`)
    this.#world.fail(
      "a kit that its owner was told of restores",
      `${lair.name} in ${shown(lair)}: honest places hold ${found.join(", ") || "nothing"}`,
    )
  }

  /** All parts together give no secrets without the words, and they do not lie where everybody looks. */
  async #checkHidden(lair: Lair): Promise<void> {
    const { env, fail } = this.#world
    const open = await this.#lair(lair.name, kitSeed(lair.name, undefined), undefined)
    const own = new Set(lair.attempts.map(({ id }) => id))
    for (const { part } of await this.#partsOf(open, () => true))
      if (own.has(toHex(part.kitId))) fail("who reads all places finds no kit", `${lair.name} lies where all look`)
    for (const kit of groupParts(await this.#partsOf(lair, () => true))) {
      const key = await keyOfKit(kit)
      const masters = [undefined, new Uint8Array(32), key]
      for (const master of key ? masters : [])
        if (await openKit(env.crypto, kit, { key: key!, secret: master && { master } }))
          fail("who reads all places finds no kit", `${shown(lair)} opens without its words`)
    }
  }

  async #partsOf(lair: Lair, isAsked: (server: Storage) => boolean): Promise<FoundPart[]> {
    const parts: FoundPart[] = []
    for (const server of this.#world.servers.filter(isAsked)) {
      const part = await this.#partAt(server, lair)
      if (part) parts.push({ place: server.id, part })
    }
    return parts
  }

  async #partAt(server: Storage, { register }: Lair) {
    const bytes = server.storedRegister(register)
    if (!bytes) return undefined
    try {
      return decodeRecoveryPart((await decodeRegisterValue(this.#world.env.crypto, bytes)).sealed)
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      return undefined // erased, or rotten
    }
  }

  get #honest(): readonly Storage[] {
    const { servers, faulty, isByzantine } = this.#world
    return servers.filter(({ id }) => !(isByzantine && faulty.has(id)))
  }

  async #lair(name: string, seed: Uint8Array, master: Uint8Array | undefined): Promise<Lair> {
    const key = toHex(seed)
    const known = this.#lairs.get(key)
    if (known) return known
    const register = registerIdOf(await this.#world.env.crypto.publicKeyOf(seed))
    const begun = this.#lairs.get(key) // by another device, while this one waited
    if (begun) return begun
    const lair: Lair = { seed: key, name, register, master, attempts: [], owed: [] }
    this.#lairs.set(key, lair)
    return lair
  }
}

function shown({ register }: Lair): string {
  return toHex(register).slice(0, 12)
}

function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]]
  if (items.length < size) return []
  const [first, ...rest] = items
  return [...subsets(rest, size - 1).map((some) => [first!, ...some]), ...subsets(rest, size)]
}
