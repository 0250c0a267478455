/**
 * A malicious writer while others work: it has a tree that they read, write and copy from, writes there what no client of ours
 * would, races itself, shows places different values, and may have a place on its side, which says that it holds all it is asked for.
 * Who meets that ends with an error of ours, in bounded calls, time and entries; the trees of others stay whole.
 */
import { isHoldfastError, toHex } from "@holdfast/core"
import { createMemorySeen, createRegisterStore } from "@holdfast/store"
import type { Reference } from "@holdfast/tree"
import { createAccount } from "./accounts.ts"
import type { SimulatedClient } from "./client.ts"
import { type Crafted, craft } from "./hostile-nodes.ts"
import type { Random } from "./random.ts"
import { occupy, type Role } from "./role.ts"
import { newTree, type SimulatedTree } from "./trees.ts"
import { type VisitKind, visit, visitWeights } from "./visits.ts"
import type { World } from "./world.ts"

/** Calls of one visit, and of what the writer does. */
const mostCalls = 6000
/** Versions that it shows when nothing fails any more. */
const calmRounds = 8
/** Roots and things of others that it remembers. */
const mostKnown = 40

/** The role `writer` of a world. */
export async function createHostileWriter(world: World): Promise<Role> {
  const random = world.random.fork("hostile writer")
  const crypto = { ...world.env.crypto, random: (length: number) => random.bytes(length) }
  const account = await createAccount(crypto, "mallory")
  const writers = [
    await world.newClient("mallory", account, { crypto }),
    await world.newClient("mallory too", account, { crypto }),
  ]
  const owners = [account, ...world.accounts]
  // What is claimed of registers is claimed of those who keep to the protocol.
  const tree = await newTree({ ...world.seers, crypto, fail: () => undefined }, { name: "hostile", owners })
  const writer = new HostileWriter(world, { tree, writers })
  return { act: (own) => writer.act(own), calm: (own) => writer.showAll(own) }
}

class HostileWriter {
  readonly #world: World
  readonly #tree: SimulatedTree
  readonly #writers: readonly SimulatedClient[]
  readonly #past: Reference[] = []

  constructor(world: World, { tree, writers }: { tree: SimulatedTree; writers: readonly SimulatedClient[] }) {
    this.#world = world
    this.#tree = tree
    this.#writers = writers
  }

  /** Writes something, or somebody comes by. */
  async act(random: Random): Promise<string> {
    const idle = this.#world.clients.filter(({ task }) => task === undefined)
    if (this.#past.length === 0 || idle.length === 0 || random.chance(0.35)) return this.#write(random)
    const visitors = random.some(idle, random.between(1, 3))
    return (await Promise.all(visitors.map((client) => this.#visit(client, random.fork(client.id))))).join("; ")
  }

  /** One version after another, each of which all clients come to see. */
  async showAll(random: Random): Promise<string> {
    const { time } = this.#world
    const told: string[] = []
    for (let round = 0; round < calmRounds && !this.#world.failure; round++) {
      const own = random.fork(round)
      time.tell(`writer: ${await this.#write(own)}`)
      const visits = this.#world.clients.map((client, i) =>
        this.#visit(client, own.fork(client.id), i === 0 ? "get" : undefined),
      )
      told.push(...(await Promise.all(visits)))
    }
    return told.join("; ")
  }

  #visit(client: SimulatedClient, random: Random, wanted?: VisitKind): Promise<string> {
    const kind: VisitKind = wanted ?? random.weighted(visitWeights)
    if (random.chance(0.3)) client.forget()
    return occupy(this.#world, client, { name: `visit ${kind}`, mostCalls }, () =>
      visit(kind, { world: this.#world, client, random, tree: this.#tree }),
    )
  }

  async #write(random: Random): Promise<string> {
    for (const writer of this.#writers) writer.allow(mostCalls)
    const [first, second] = this.#writers as [SimulatedClient, SimulatedClient]
    const how = random.weighted({ alone: 3, raced: 2, divided: 1.5 })
    const one = await this.#craft(first, random)
    if (how === "alone") return `${one.kind}: ${await this.#commit(first, one)}`
    const two = await this.#craft(second, random)
    const told = `${one.kind} and ${two.kind}, ${how}`
    if (how === "raced")
      return `${told}: ${(await Promise.all([this.#commit(first, one), this.#commit(second, two)])).join(", ")}`
    return `${told}: ${await this.#divide(random, [one, two])}`
  }

  async #craft({ store }: SimulatedClient, random: Random): Promise<Crafted> {
    const put = async (bytes: Uint8Array): Promise<Reference> => {
      const { length } = bytes
      const { id, key } = await store.chunks.putChunk(Uint8Array.from(bytes))
      return { chunk: { id, key }, offset: 0, length }
    }
    const others = (await this.#others(random)).map(
      (id): Reference => ({
        chunk: { id, key: random.bytes(32) },
        offset: random.pick([0, 0, 100]),
        length: random.pick([1, 500, 4000, 100_000]),
      }),
    )
    const crafted = await craft({ random, put, others, past: this.#past })
    if (crafted.root) this.#past.push(crafted.root)
    if (this.#past.length > mostKnown) this.#past.shift()
    if (crafted.root) this.#favour(crafted.root)
    return crafted
  }

  /** Ids of chunks that others need: whoever may check a tree knows them. */
  async #others(random: Random): Promise<readonly Uint8Array[]> {
    try {
      return random.some(await random.pick(this.#world.trees).oracle.live(), mostKnown)
    } catch {
      return [] // while a register moves on a disk
    }
  }

  /** A place on the writer's side says that it holds what is not there. */
  #favour({ chunk }: Reference): void {
    for (const liar of this.#world.liars.values()) liar.favour(chunk.id)
  }

  async #commit(writer: SimulatedClient, { content, care }: Crafted): Promise<string> {
    const { registers } = writer.store
    const { keys } = this.#tree
    try {
      const sequence = (await registers.read(keys))?.sequence ?? 0
      return (await registers.write(keys, sequence, { content, care })) ? `is ${sequence + 1}` : "lost the race"
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      return error.code
    }
  }

  /** Some places are given one value, and others another of the same sequence. */
  async #divide(random: Random, crafted: readonly [Crafted, Crafted]): Promise<string> {
    const [{ store, env }] = this.#writers as [SimulatedClient]
    const { keys } = this.#tree
    const told: string[] = []
    for (const backend of store.backends) {
      const { content, care } = random.pick(crafted)
      const alone = createRegisterStore({
        ...{ env, backends: [backend], mode: "crash", seen: createMemorySeen(), chunks: store.chunks },
      })
      try {
        const sequence = (await alone.read(keys))?.sequence ?? 0
        await alone.write(keys, sequence, { content, care })
        told.push(`${backend.id} ${sequence + 1} ${toHex(content).slice(-4)}`)
      } catch (error) {
        if (!isHoldfastError(error)) throw error
        told.push(`${backend.id} ${error.code}`)
      }
    }
    return told.join(", ")
  }
}
