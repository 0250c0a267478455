/**
 * A world made from a seed: servers, clients, a network, one tree, and the claims that are checked while all of it runs. The
 * seed decides everything; leaving out kinds of faults leaves the rest as it is.
 */
import type { CryptoProvider, Env } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { quorumOf, type RegisterKeys } from "@holdfast/store"
import { createTree } from "@holdfast/tree"
import { SimulatedBucket } from "./bucket.ts"
import { SimulatedClient } from "./client.ts"
import { type FaultContext, type FaultKind, faultKinds } from "./faults.ts"
import { RegisterHistory } from "./history.ts"
import { Liar } from "./lies.ts"
import { Model } from "./model.ts"
import { type Caller, SimulatedNetwork } from "./network.ts"
import { describe, Oracle } from "./oracle.ts"
import { Probe } from "./probe.ts"
import { Random } from "./random.ts"
import { SimulatedServer } from "./server.ts"
import type { Storage } from "./storage.ts"
import { SimulatedTime } from "./time.ts"

/** A claim that did not hold. */
export interface Failure {
  readonly claim: string
  readonly details: string
  readonly atMs: number
  readonly step: number
}

/** How large and how bad a world is. */
export interface Shape {
  /** What each server is. */
  readonly places: readonly ("node" | "bucket")[]
  readonly mode: "crash" | "byzantine"
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly clients: number
  /** Servers at once that may be faulty or away while everything acknowledged stays readable. */
  readonly tolerated: number
  /** Servers whose disks rot, or that lie. */
  readonly faulty: readonly string[]
  /** What the seed mixes. */
  readonly faults: readonly FaultKind[]
  /** What is left out of it. */
  readonly without: ReadonlySet<FaultKind>
}

/** True when faults of a kind happen in a world. */
export function happens({ faults, without }: Shape, kind: FaultKind): boolean {
  return faults.includes(kind) && !without.has(kind)
}

/** A shape by chance. */
export function shapeOf(random: Random, without: ReadonlySet<FaultKind>): Shape {
  const mode = random.chance(0.5) ? "crash" : "byzantine"
  const servers = random.pick(mode === "crash" ? [3, 4, 5, 5, 7] : [4, 4, 5, 7])
  const away = servers - quorumOf(servers, mode)
  const n = random.between(Math.max(2, servers - 1), servers)
  const happy = random.between(1 + away, Math.min(n, servers - away))
  const k = random.between(1, happy - away)
  const tolerated = Math.min(away, happy - k)
  const buckets = random.pick([0, 0, 0, 0.5, 1])
  const places = Array.from({ length: servers }, () => (random.chance(buckets) ? "bucket" : "node"))
  const faulty = random.some(
    Array.from({ length: servers }, (_, i) => `n${i}`),
    random.between(0, tolerated),
  )
  const faults = faultKinds.filter(() => random.chance(0.6))
  return { places, mode, coding: { k, happy, n }, clients: random.between(2, 5), tolerated, faulty, faults, without }
}

/** Everything of one run. */
export interface World extends FaultContext {
  readonly random: Random
  readonly time: SimulatedTime
  readonly shape: Shape
  readonly env: Env
  readonly clients: readonly SimulatedClient[]
  readonly liars: ReadonlyMap<string, Liar>
  readonly history: RegisterHistory
  readonly model: Model
  readonly oracle: Oracle
  readonly probe: Probe
  /** Another client of the same owner that knows nothing yet. */
  newClient(id: string): Promise<SimulatedClient>
  readonly failure: Failure | undefined
  fail(claim: string, details: string): void
  /** True when a server has crashed since this was last asked. */
  hasCrashed(server: Storage): boolean
  /** The step being done, for messages. */
  step: number
}

const secret = new Uint8Array(32).fill(5)

/** Makes a world with an empty tree in it. */
export async function createWorld(seed: string, without: ReadonlySet<FaultKind>, verbose = false): Promise<World> {
  const random = new Random(seed)
  const time = new SimulatedTime()
  time.verbose = verbose
  const shape = shapeOf(random.fork("shape"), without)
  time.tell(`${describeShape(shape)}`)
  let failure: Failure | undefined
  const fail = (claim: string, details: string) => {
    time.tell(`FAILED ${claim}: ${details}`)
    failure ??= { claim, details, atMs: time.elapsedMs, step: world?.step ?? 0 }
  }
  const onBug = (error: unknown) => fail("servers fail in known ways only", describe(error))
  const chance = random.fork("crypto")
  const crypto: CryptoProvider = { ...nodeCrypto, random: (length) => chance.bytes(length) }
  const env: Env = { crypto, clock: { nowMs: () => time.nowMs, sleep: () => new Promise(() => undefined) } }
  const isSkewed = happens(shape, "skew")
  const skew = (name: string) => {
    const from = random.fork(`skew ${name}`)
    return {
      skewMs: isSkewed ? from.between(-600_000, 600_000) : 0,
      drift: isSkewed ? (from.fraction() - 0.5) / 500 : 0,
    }
  }
  const isLying = shape.mode === "byzantine" && happens(shape, "lies")
  const liars = new Map(
    (isLying ? shape.faulty : []).map((id) => {
      const own = random.fork(`liar ${id}`)
      return [id, new Liar(own, crypto, own.pick([0.1, 0.5, 1]))] as const
    }),
  )
  const onExcess = ({ id }: Caller) => fail("retries are bounded", `${id} makes more calls than its operation may need`)
  const network = new SimulatedNetwork({ time, random: random.fork("network"), onBug, onExcess })
  const servers = shape.places.map((kind, i): Storage => {
    const id = `n${i}`
    const parts = { id, time, random: random.fork(id), crypto, network, liar: liars.get(id), onBug, ...skew(id) }
    return kind === "node" ? new SimulatedServer(parts) : new SimulatedBucket(parts)
  })
  const history = new RegisterHistory(time, fail)
  const keys = await newKeys(crypto)
  const newClient = (id: string) =>
    SimulatedClient.create({
      id,
      time,
      crypto,
      servers,
      coding: shape.coding,
      mode: shape.mode,
      keys,
      secret,
      history,
      ...skew(id),
    })
  const clients: SimulatedClient[] = []
  for (let i = 0; i < shape.clients; i++) clients.push(await newClient(`c${i}`))
  const faulty = new Set(shape.faulty)
  const seers = { env, servers, faulty, coding: shape.coding, keys, secret, mode: shape.mode }
  const [oracle, probe] = [await Oracle.create(seers), await Probe.create(seers)]
  const model = new Model()
  history.onAcknowledged = (sequence) => model.acknowledged(sequence, time.nowMs)
  const crashes = new Map<string, number>()
  const world: World = {
    ...{
      random,
      time,
      shape,
      env,
      servers,
      clients,
      network,
      faulty,
      liars,
      history,
      model,
      oracle,
      probe,
      newClient,
      fail,
    },
    isByzantine: shape.mode === "byzantine",
    step: 0,
    hasCrashed(server) {
      const before = crashes.get(server.id) ?? 0
      crashes.set(server.id, server.crashes)
      return server.crashes > before
    },
    get failure() {
      return failure
    },
  }
  await begin(world)
  return world
}

/** Starts the servers and makes the tree, before anything goes wrong. */
async function begin(world: World): Promise<void> {
  const { servers, clients, time, liars } = world
  for (const server of servers) server.start()
  await time.run(() => servers.every(({ isReady }) => isReady))
  const rates = [...liars.values()].map((liar) => [liar, liar.rate] as const)
  for (const [liar] of rates) liar.rate = 0
  let isMade = false
  clients[0]!.allow(1000)
  createTree(clients[0]!.treeOptions()).then(
    () => {
      isMade = true
    },
    (error: unknown) => world.fail("a tree can be made", describe(error)),
  )
  await time.run(() => isMade || world.failure !== undefined)
  for (const [liar, rate] of rates) liar.rate = rate
}

async function newKeys(crypto: CryptoProvider): Promise<RegisterKeys> {
  const seed = crypto.random(32)
  return { seed, publicKey: await crypto.publicKeyOf(seed), readKey: crypto.random(32) }
}

function describeShape(shape: Shape): string {
  const { places, mode, coding, clients, tolerated, faulty } = shape
  const faults = shape.faults.filter((kind) => happens(shape, kind))
  const { k, happy, n } = coding
  return (
    `${places.length} places (${mode}; ${places.filter((kind) => kind === "bucket").length} buckets), coding ${k}/${happy}/${n}, ${clients} clients, ${tolerated} faults tolerated, ` +
    `faulty: ${faulty.join(" ") || "none"}, faults: ${faults.join(" ") || "none"}`
  )
}
