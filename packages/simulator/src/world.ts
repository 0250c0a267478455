/**
 * A world made from a seed: servers, accounts with clients, a network, trees, and the claims that are checked while all of it
 * runs. The seed decides everything; leaving out kinds of faults leaves the rest as it is.
 */
import { createHash } from "node:crypto"
import type { CryptoProvider, Env } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { accountRoles } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { createTree, plainAttributes } from "@holdfast/tree"
import { addToList, appendRoles, createAccount, type SimulatedAccount } from "./accounts.ts"
import { SimulatedBucket } from "./bucket.ts"
import { type ClientParts, SimulatedClient } from "./client.ts"
import { type FaultContext, type FaultKind, faultKinds } from "./faults.ts"
import { Liar } from "./lies.ts"
import { type Caller, SimulatedNetwork } from "./network.ts"
import { describe } from "./oracle.ts"
import { Random } from "./random.ts"
import { accountQuotaBytes, administratorSeed, type Omission, type RoleKind, rolesOf } from "./roles.ts"
import { SimulatedServer } from "./server.ts"
import type { Storage } from "./storage.ts"
import { SimulatedTime } from "./time.ts"
import { newTree, type SimulatedTree, type TreeParts } from "./trees.ts"

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
  readonly accounts: number
  readonly clients: number
  /** How old must be what places take away. */
  readonly graceMs: number
  /** Versions that the shared tree has at the start: so many that levels of its history lie in chunks. */
  readonly versions: number
  /** Servers at once that may be faulty or away while everything acknowledged stays readable. */
  readonly tolerated: number
  /** Servers whose disks rot, or that lie. */
  readonly faulty: readonly string[]
  /** What the seed mixes. */
  readonly faults: readonly FaultKind[]
  /** Who means harm. */
  readonly roles: readonly RoleKind[]
  /** What is left out of it. */
  readonly without: ReadonlySet<Omission>
  /** The server that keeps registers and never shares, if there is one. */
  readonly witness?: string
  /** Somebody looks after the trees of all. */
  readonly hasCaretaker?: boolean
}

/** True when somebody has a role in a world. */
export function plays({ roles, without }: Pick<Shape, "roles" | "without">, role: RoleKind): boolean {
  return roles.includes(role) && !without.has(role)
}

/** True when faults of a kind happen in a world. */
export function happens({ faults, without }: Shape, kind: FaultKind): boolean {
  return faults.includes(kind) && !without.has(kind)
}

const hourMs = 3_600_000
/** Trees that are made while other things happen. */
const mostPlanted = 2
const yearMs = 365 * 24 * hourMs

/** Roles that need a place that may be faulty. */
const owning: readonly RoleKind[] = ["writer", "intruder", "glut"]

/** A shape by chance; its last server may be a witness, who then is none of the `n` of the coding. */
export function shapeOf(random: Random, without: ReadonlySet<Omission>, hasWitness = false): Shape {
  const mode = random.chance(0.5) ? "crash" : "byzantine"
  const servers = random.pick(mode === "crash" ? [3, 4, 5, 5, 7] : [4, 4, 5, 7])
  const away = servers - quorumOf(servers, mode)
  const holders = hasWitness ? servers - 1 : servers
  const n = random.between(Math.max(2, holders - 1), holders)
  const mostHappy = Math.min(n, holders - away)
  const happy = random.between(Math.min(1 + away, mostHappy), mostHappy)
  const k = random.between(1, Math.max(1, happy - away))
  const tolerated = Math.min(away, happy - k)
  const buckets = random.pick([0, 0, 0, 0.5, 1, 1])
  const places = Array.from({ length: servers }, () => (random.chance(buckets) ? "bucket" : "node"))
  const ids = Array.from({ length: servers }, (_, i) => `n${i}`)
  const bad = random.some(ids, random.between(0, tolerated))
  const mixed = faultKinds.filter((kind) => kind !== "lag" && random.chance(0.6))
  // From a stream of its own, so that what a seed did before lists lagged it does still without.
  const faults: FaultKind[] = random.fork("lag").chance(0.3) ? [...mixed, "lag"] : mixed
  const accounts = random.pick([1, 2, 2, 3])
  const roles = rolesOf(random.fork("roles"))
  // Who has places of his own, or changes them, has one at least where it may be.
  const needsOne = mode === "byzantine" && tolerated > 0 && owning.some((role) => plays({ roles, without }, role))
  const faulty = bad.length === 0 && needsOne ? random.fork("faulty").some(ids, 1) : bad
  // Where lists lag, everything waits a day at least.
  const lags = faults.includes("lag") && !without.has("lag") && places.includes("bucket")
  const spare = (graceMs: number) => (lags ? 24 * hourMs : graceMs)
  return {
    ...{ places, mode, coding: { k, happy, n }, accounts, clients: random.between(Math.max(2, accounts), 5) },
    versions: random.chance(0.06) ? random.between(70, 300) : 1,
    ...{ graceMs: spare(random.pick([1, 1, 2, 24]) * hourMs), tolerated, faulty, faults, without, roles },
    ...(hasWitness && { witness: ids.at(-1)! }),
  }
}

/** Everything of one run. */
export interface World extends FaultContext {
  readonly random: Random
  readonly time: SimulatedTime
  readonly shape: Shape
  readonly env: Env
  readonly clients: readonly SimulatedClient[]
  readonly liars: ReadonlyMap<string, Liar>
  readonly accounts: readonly SimulatedAccount[]
  /** The first is shared by all accounts; each has one of its own besides. */
  readonly trees: readonly SimulatedTree[]
  /** What trees are made of. */
  readonly seers: TreeParts
  /** The contents of files that a malicious writer made, by foreignKey: they are in honest trees when somebody copied them. */
  readonly foreign: Set<string>
  /** Another tree of an account, which is none of `trees` until it is kept; undefined when there are enough. */
  newTree(owner: SimulatedAccount): Promise<{ readonly tree: SimulatedTree; readonly keep: () => void } | undefined>
  /** Another client of an account that knows nothing yet. */
  newClient(id: string, account: SimulatedAccount, more?: Partial<ClientParts>): Promise<SimulatedClient>
  readonly failure: Failure | undefined
  fail(claim: string, details: string): void
  /** True when a server has crashed since this was last asked. */
  hasCrashed(server: Storage): boolean
  /** The step being done, for messages. */
  step: number
}

/** The servers that lie, or serve a hostile writer. */
function liarsOf(shape: Shape, random: Random, crypto: CryptoProvider): Map<string, Liar> {
  const isLying = shape.mode === "byzantine" && happens(shape, "lies")
  const isAlly = shape.mode === "byzantine" && plays(shape, "writer")
  return new Map(
    (isLying ? shape.faulty : isAlly ? shape.faulty.slice(0, 1) : []).map((id) => {
      const own = random.fork(`liar ${id}`)
      const liar = new Liar(own, crypto, isLying ? own.pick([0.1, 0.5, 1]) : 0)
      liar.isBulky = plays(shape, "glut")
      return [id, liar] as const
    }),
  )
}

/** How wrong a clock is, and gets. */
function skewOf(
  from: Random,
  isSkewed: boolean,
  mostYears: number,
): { readonly skewMs: number; readonly drift: number } {
  const mostMs = from.chance(0.3) ? mostYears * yearMs : 0
  return {
    skewMs: isSkewed ? from.between(-600_000 - mostMs, 600_000 + mostMs) : 0,
    drift: isSkewed ? (from.fraction() - 0.5) / 500 : 0,
  }
}

/** Where all that is by chance follows from the seed, and time stands until it is passed. */
function envOf(chance: Random, time: SimulatedTime): Env {
  const crypto: CryptoProvider = {
    ...nodeCrypto,
    random: (length) => chance.bytes(length),
    verify: rememberVerified(nodeCrypto.verify),
  }
  return { crypto, clock: { nowMs: () => time.nowMs, sleep: () => new Promise(() => undefined) } }
}

/** Makes a world with empty trees in it. */
export async function createWorld(
  seed: string,
  without: ReadonlySet<Omission>,
  {
    verbose = false,
    witness = false,
    caretaker = false,
  }: { readonly verbose?: boolean; readonly witness?: boolean; readonly caretaker?: boolean } = {},
): Promise<World> {
  const random = new Random(seed)
  const time = new SimulatedTime()
  time.verbose = verbose
  const shape = { ...shapeOf(random.fork("shape"), without, witness), ...(caretaker && { hasCaretaker: true }) }
  time.tell(`${describeShape(shape)}`)
  let failure: Failure | undefined
  const fail = (claim: string, details: string) => {
    time.tell(`FAILED ${claim}: ${details}`)
    failure ??= { claim, details, atMs: time.elapsedMs, step: world?.step ?? 0 }
  }
  const onBug = (error: unknown) => fail("servers fail in known ways only", describe(error))
  const env = envOf(random.fork("crypto"), time)
  const { crypto } = env
  const isSkewed = happens(shape, "skew")
  const skew = (name: string, mostYears = 0) => skewOf(random.fork(`skew ${name}`), isSkewed, mostYears)
  const liars = liarsOf(shape, random, crypto)
  const onExcess = ({ id }: Caller) => fail("retries are bounded", `${id} makes more calls than its operation may need`)
  const network = new SimulatedNetwork({ time, random: random.fork("network"), onBug, onExcess })
  const administrator = await nodeCrypto.publicKeyOf(administratorSeed(random))
  const servers = shape.places.map((kind, i): Storage => {
    const id = `n${i}`
    const { graceMs } = shape
    const own = random.fork(`lag ${id}`)
    const mostMs = own.pick([5000, 60_000, hourMs, 12 * hourMs])
    const lag = { mostMs, registers: shape.mode === "byzantine" && shape.faulty.includes(id) }
    const parts = {
      ...(happens(shape, "lag") && own.chance(0.7) && { lag }),
      id,
      time,
      random: random.fork(id),
      crypto,
      network,
      liar: liars.get(id),
      onBug,
      graceMs,
      ...skew(id),
      ...(plays(shape, "hoarder") && { accounts: { quotaBytes: accountQuotaBytes, administrator } }),
    }
    return kind === "node" ? new SimulatedServer(parts) : new SimulatedBucket(parts)
  })
  const accounts: SimulatedAccount[] = []
  for (let i = 0; i < shape.accounts; i++) accounts.push(await createAccount(crypto, `a${i}`))
  const newClient = (id: string, account: SimulatedAccount, more: Partial<ClientParts> = {}) =>
    SimulatedClient.create({
      ...{ id, time, crypto, servers, account, random: random.fork(id) },
      ...{ coding: shape.coding, mode: shape.mode, witness: shape.witness, ...skew(id, 3), ...more },
    })
  const clients: SimulatedClient[] = []
  for (let i = 0; i < shape.clients; i++) {
    const isFirst = i < accounts.length
    const roles = !isFirst && random.fork(`roles ${i}`).chance(0.3) ? appendRoles : accountRoles
    clients.push(await newClient(`c${i}`, accounts[i % accounts.length]!, { roles }))
  }
  const faulty = new Set(shape.faulty)
  const seers = { env, crypto, time, fail, servers, faulty, coding: shape.coding, mode: shape.mode }
  const trees = [await newTree(seers, { name: "shared", owners: accounts })]
  for (const account of accounts) trees.push(await newTree(seers, { name: account.name, owners: [account] }))
  let planted = 0
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
      accounts,
      trees,
      seers,
      foreign: new Set<string>(),
      newTree: async (owner) => {
        if (trees.length > accounts.length + mostPlanted) return undefined
        const tree = await newTree(seers, { name: `t${planted++}`, owners: [owner] })
        return { tree, keep: () => void trees.push(tree) }
      },
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

/** Starts the servers and makes the trees, before anything goes wrong. */
async function begin(world: World): Promise<void> {
  const { servers, time, liars } = world
  for (const server of servers) server.start()
  await time.run(() => servers.every(({ isReady }) => isReady))
  const rates = [...liars.values()].map((liar) => [liar, liar.rate] as const)
  for (const [liar] of rates) liar.rate = 0
  let isMade = false
  makeTrees(world).then(
    () => {
      isMade = true
    },
    (error: unknown) => world.fail("trees can be made", describe(error)),
  )
  await time.run(() => isMade || world.failure !== undefined)
  for (const [liar, rate] of rates) liar.rate = rate
}

/** Each account lists a tree before anything is stored for it. */
async function makeTrees({ trees, clients, shape }: World): Promise<void> {
  for (const tree of trees)
    for (const [i, owner] of tree.owners.entries()) {
      const client = clients.find(({ account }) => account === owner)!
      client.allow(1000)
      await addToList(client.store.registers, client.listKeys, [tree.name])
      if (i === 0) await createTree(client.treeOptions(tree))
      else await client.tree(tree).holdFor(owner.id)
    }
  const [writer, shared] = [clients[0]!, trees[0]!]
  writer.allow(200 * shape.versions)
  for (let version = 2; version <= shape.versions; version++)
    await writer.tree(shared).commit(async (session) => {
      await session.mkdir([`v${version % 20}`], plainAttributes(0o755, version), { parents: true })
      if (version > 20) session.remove([`v${(version + 1) % 20}`])
    })
}

/** Signatures are verified again and again by places, clients and claims: one answer of each is enough. */
function rememberVerified(verify: CryptoProvider["verify"]): CryptoProvider["verify"] {
  const known = new Map<string, Promise<boolean>>()
  return (publicKey, message, signature) => {
    const hash = createHash("sha256").update(publicKey).update(signature).update(message).digest("base64")
    const answer = known.get(hash) ?? verify(publicKey, message, signature)
    known.set(hash, answer)
    return answer
  }
}

function describeShape(shape: Shape): string {
  const { places, mode, coding, accounts, clients, graceMs, versions, tolerated, faulty, witness } = shape
  const roles = shape.roles.filter((role) => plays(shape, role))
  const faults = shape.faults.filter((kind) => happens(shape, kind))
  const { k, happy, n } = coding
  return (
    `${places.length} places (${mode}; ${places.filter((kind) => kind === "bucket").length} buckets), coding ${k}/${happy}/${n}, ` +
    `${clients} clients of ${accounts} accounts, grace ${graceMs / hourMs} h, ${versions} versions, ${tolerated} faults tolerated, ` +
    `faulty: ${faulty.join(" ") || "none"}, faults: ${faults.join(" ") || "none"}` +
    (witness === undefined ? "" : `, witness: ${witness}`) +
    (shape.hasCaretaker ? ", a caretaker" : "") +
    (roles.length > 0 ? `, roles: ${roles.join(" ")}` : "")
  )
}
