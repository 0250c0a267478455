/**
 * One run: a world, some hundred steps of clients and faults in it, then calm and the claims about what comes after the
 * faults. The same seed, steps and faults give the same run, event by event.
 */
import { isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import type { FileEntry } from "@holdfast/tree"
import { checkForkIsSeen, checkOnePlaintext, type OldValue } from "./adversary.ts"
import { dropHistory } from "./appending.ts"
import { checkMemory, checkTime } from "./budgets.ts"
import { Cast } from "./cast.ts"
import { checkHealth, checkSpace, checkStep, checkTruth, neverCodes } from "./claims.ts"
import type { SimulatedClient } from "./client.ts"
import { collect } from "./collecting.ts"
import { calm, type MomentaryFault, strike } from "./faults.ts"
import { foreignKey } from "./hostile-nodes.ts"
import { checkMove } from "./moving.ts"
import type { OperationContext } from "./operation.ts"
import { type OperationKind, operate, operationWeights } from "./operations.ts"
import { describe } from "./oracle.ts"
import type { Random } from "./random.ts"
import type { RunOptions, RunResult } from "./run.ts"
import { someTree, type Task, treesOf } from "./tasks.ts"
import type { SimulatedTree } from "./trees.ts"
import { createWorld, happens, type World } from "./world.ts"

const minuteMs = 60_000
const hourMs = 60 * minuteMs
/** No operation takes longer, whatever fails, beside what its machine sleeps. */
const longestMs = 2 * hourMs
/** More calls than any operation of these small trees needs. */
const mostCalls = 20_000

/** A seed that nobody used before. */
export function freshSeed(): string {
  return toHex(nodeCrypto.random(6))
}

/** Runs `seed`. */
export async function simulate(options: RunOptions): Promise<RunResult> {
  const world = await createWorld(options.seed, new Set(options.without), options)
  const run = new Run(world, await Cast.of(world))
  const skip = new Set(options.skip)
  for (let step = 1; step <= options.steps && !world.failure; step++) if (!skip.has(step)) await run.step(step)
  if (!world.failure) await run.finish()
  const { time } = world
  return {
    options,
    failure: world.failure,
    faults: [...world.shape.faults, ...world.shape.roles],
    traceHash: time.traceHash(),
    recent: time.recent(),
    history: time.history(),
    simulatedMs: time.elapsedMs,
    done: run.done,
    crashes: world.servers.reduce((sum, { crashes }) => sum + crashes, 0),
    mostCalls: run.mostCalls,
    mostBytes: run.mostBytes,
    longestCalmMs: run.longestCalmMs,
  }
}

class Run {
  readonly #world: World
  readonly #cast: Cast
  readonly done: Record<string, number> = {}
  mostCalls = 0
  mostBytes = 0
  longestCalmMs = 0
  #isEnding = false
  readonly #old: OldValue[] = []

  constructor(world: World, cast: Cast) {
    this.#world = world
    this.#cast = cast
  }

  /** Something begins, and some time passes. */
  async step(step: number): Promise<void> {
    const world = this.#world
    world.step = step
    const random = world.random.fork(step)
    const kind = random.weighted({ operation: 66, rush: 8, fault: 25, scrub: 2, night: 3, sleep: 8 })
    let waitMs = random.delayMs(random.pick([5, 100, 2000, 12_000]))
    if (kind === "operation") this.#start(random)
    else if (kind === "rush") await this.#rush(random)
    else if (kind === "fault") await this.#strike(random)
    else if (kind === "scrub") this.#scrub(random)
    else if (kind === "sleep") await this.#oversleep(random)
    else if (happens(world.shape, "night")) waitMs = random.between(1, 8) * hourMs
    this.#cast.act(random.fork("roles"))
    await world.time.run(() => world.failure !== undefined, world.time.elapsedMs + waitMs)
    await checkStep(world, step % 8 === 0)
    await this.#cast.check()
    this.#keep(random.fork("keep"))
  }

  /** The faults stop: all that was under way ends, all that was acknowledged is there, and repair mends the rest. */
  async finish(): Promise<void> {
    const world = this.#world
    const random = world.random.fork("finish")
    this.#isEnding = true
    calm(world)
    await this.#until("every operation ends", () => this.#isQuiet)
    await checkStep(world, true)
    await this.#pass(3 * minuteMs)
    await this.#wait("those who mean harm", this.#cast.calm(random.fork("roles")))
    const sound = world.servers.filter(({ id }) => !world.faulty.has(id))
    const away = random.some(sound, world.shape.tolerated - world.shape.faulty.length)
    for (const { id } of away)
      for (const client of [...world.clients, ...world.accounts.map(({ name }) => ({ id: `fresh ${name}` }))])
        world.network.setCut(client.id, id, true)
    world.time.tell(`calm; away: ${away.map(({ id }) => id).join(" ") || "none"}`)
    for (const client of world.clients)
      for (const tree of treesOf(world, client))
        await this.#must("put", client, { tree, random: random.fork(`${client.id} ${tree.name}`) })
    const fresh: SimulatedClient[] = []
    for (const account of world.accounts) fresh.push(await world.newClient(`fresh ${account.name}`, account))
    await this.#mustAll("list", fresh, random)
    await this.#mustAll("readAll", fresh, random)
    this.#cast.stop()
    calm(world, world.liars.values())
    await this.#pass(3 * minuteMs)
    if (random.chance(0.3)) for (const server of world.servers) await this.#wait(`${server.id} scrubs`, server.scrub())
    await this.#checkTruth(fresh)
    const driver = { wait: this.#wait.bind(this), pass: this.#pass.bind(this) }
    if (!world.failure) await this.#cast.mend(driver)
    await this.#mustAll("repair", fresh, random)
    await this.#mustAll("put", fresh, random)
    if (world.failure) return
    await this.#mustAll("repair", fresh, random.fork("again"))
    await this.#checkTruth(fresh)
    await checkStep(world, true)
    if (!world.failure) for (const tree of world.trees) await checkHealth(world, tree)
    if (!world.failure) await this.#cast.end(driver)
    if (!world.failure && random.chance(0.4)) await this.#reclaim(fresh, random)
    if (!world.failure) await this.#cast.check()
    if (!world.failure) await this.#attack(fresh[0]!, random)
  }

  get #isQuiet(): boolean {
    return this.#cast.isIdle && this.#world.clients.every(({ task }) => task === undefined)
  }

  /** What malicious writers try when all else is over. */
  async #attack(client: SimulatedClient, random: Random): Promise<void> {
    const world = this.#world
    client.allow(mostCalls)
    await this.#wait("one plaintext", checkOnePlaintext(world, client, random.fork("faces")))
    const old = this.#old.length > 0 ? random.pick(this.#old) : undefined
    if (old && random.chance(0.5)) {
      await this.#wait("a fork", checkForkIsSeen(world, world.trees[0]!, { old, client }))
      return
    }
    const tree = world.trees[1]!
    const look = await this.#wait("a thief who appends", dropHistory(world, tree))
    const owner = await world.newClient("owner", tree.owners[0]!)
    for (let round = 1; look && round <= 2; round++) {
      await this.#pass(2 * world.shape.graceMs + hourMs)
      owner.allow(mostCalls)
      await this.#wait("owner collects", collect(owner, { trees: world.trees, graceMs: 0, keepsHistory: true }))
      if (!world.failure) look()
    }
    await this.#wait("the volume moves on", checkMove(world, random.fork("move")))
  }

  /** A writer keeps a value for later. */
  #keep(random: Random): void {
    const { servers, trees, faulty } = this.#world
    const server = servers.find(({ id }) => !faulty.has(id))!
    const { sequence, bytes } = trees[0]!.oracle.heldBy(server) ?? {}
    if (sequence !== undefined && random.chance(0.05)) this.#old.push({ sequence, bytes: bytes!.slice() })
  }

  /** All accounts collect, a grace apart; then nothing is left but what is needed. */
  async #reclaim(clients: readonly SimulatedClient[], random: Random): Promise<void> {
    const world = this.#world
    await this.#pass(Math.max(...world.servers.map(({ behindMs }) => behindMs)))
    // Where lists lag a collection takes two runs, and one more each time that a list still shows a word that has done its work.
    for (let round = 1; round <= (happens(world.shape, "lag") ? 12 : 4); round++) {
      await this.#pass(2 * world.shape.graceMs + hourMs)
      for (const client of clients) {
        const tree = world.trees[0]!
        await this.#must("gc", client, { tree, random: random.fork(`reclaim ${round}`), isLast: true })
      }
    }
    await checkStep(world, true)
    if (!world.failure) await checkSpace(world)
  }

  async #mustAll(kind: OperationKind, clients: readonly SimulatedClient[], random: Random): Promise<void> {
    for (const [client, tree] of this.#eachTree(clients))
      await this.#must(kind, client, { tree, random: random.fork(`${kind} ${tree.name}`) })
  }

  async #checkTruth(clients: readonly SimulatedClient[]): Promise<void> {
    for (const [client, tree] of this.#eachTree(clients))
      await this.#wait("check", checkTruth(this.#world, client, tree))
  }

  /** Every tree, with the client of an account that owns it. */
  #eachTree(clients: readonly SimulatedClient[]): (readonly [SimulatedClient, SimulatedTree])[] {
    return this.#world.trees.map((tree) => [clients.find(({ account }) => tree.owners.includes(account))!, tree])
  }

  /** A client that has nothing to do begins something. */
  #start(random: Random): void {
    const idle = this.#world.clients.filter(({ task }) => task === undefined)
    if (idle.length === 0) return
    const client = random.pick(idle)
    const tree = someTree(this.#world, client, random)
    void this.#operate(random.weighted(operationWeights), client, { tree, random })
  }

  /**
   * A machine sleeps between what it stored and its commit, for longer than places spare what nobody needs; when it wakes, and may
   * believe that no time has passed, its account or another collects.
   */
  async #oversleep(random: Random): Promise<void> {
    const { shape, clients, time, network } = this.#world
    const idle = clients.filter(({ task }) => task === undefined)
    if (!happens(shape, "sleep") || idle.length === 0) return
    const sleeper = random.pick(idle)
    const others = clients.filter((one) => one !== sleeper)
    const collectors = [...others.filter(({ account }) => account === sleeper.account), ...others]
    const sleep = { ms: shape.graceMs + random.between(1, 60) * minuteMs, isNoticed: random.chance(0.3) }
    const kind = random.pick(["put", "put", "put", "put", "copyAcross", "undo", "restore", "plant"] as const)
    const tree = random.chance(0.7) ? treesOf(this.#world, sleeper).at(-1)! : someTree(this.#world, sleeper, random)
    const own = random.fork("collector")
    void this.#operate(kind, sleeper, { tree, random, sleep })
    // Either it is over before, or both run at once.
    const beforeMs = random.pick([1500, 0.3 * 240, 0]) - random.fraction() * 0.5 * 240
    const untilMs = Math.max(0, sleep.ms - beforeMs * network.weather.delayMs)
    time.after(untilMs, () => {
      const collector = own.chance(0.8) ? collectors[0]! : own.pick(collectors)
      if (collector.task === undefined && !this.#isEnding)
        void this.#operate("gc", collector, { tree: someTree(this.#world, collector, own), random: own })
    })
    await time.run(() => this.#world.failure !== undefined, time.elapsedMs + untilMs + random.delayMs(1000))
  }

  /**
   * All who have nothing to do begin something, mostly a write, at about the same time. One of them may not come to its end, and
   * places may be out of reach for who looks next.
   */
  async #rush(random: Random): Promise<void> {
    const { clients, trees, time, network, shape } = this.#world
    const sweeper = random.chance(0.3) ? random.pick(clients) : undefined
    for (const client of clients) {
      const own = random.fork(client.id)
      const kind = client === sweeper ? "gc" : own.chance(0.5) ? "put" : own.weighted(operationWeights)
      time.after(own.delayMs(own.pick([0, 5, 50]) * network.weather.delayMs), () => {
        if (client.task === undefined && !this.#isEnding)
          void this.#operate(kind, client, {
            tree: own.chance(0.7) ? trees[0]! : someTree(this.#world, client, own),
            random: own,
          })
      })
    }
    if (!random.chance(0.5) || !happens(shape, "clientCrash")) return
    await this.#pass(random.delayMs(10 * network.weather.delayMs))
    await this.#crashClient(random)
    if (!happens(shape, "partition")) return
    await this.#pass(random.delayMs(5 * network.weather.delayMs))
    for (const { id } of random.some(this.#world.servers, random.between(1, shape.tolerated)))
      for (const client of clients) network.setCut(client.id, id, true)
    for (const client of clients)
      if (client.task === undefined)
        void this.#operate("list", client, { tree: trees[0]!, random: random.fork(`look ${client.id}`) })
  }

  async #crashClient(random: Random): Promise<void> {
    const { clients, time } = this.#world
    const busy = clients.filter(({ task }) => task !== undefined)
    const client = random.pick(busy.length > 0 ? busy : clients)
    time.tell(`${client.id} crashes during ${client.task ?? "nothing"}`)
    await client.restart()
  }

  async #strike(random: Random): Promise<void> {
    const world = this.#world
    const kinds = world.shape.faults.filter((kind) => !["lies", "skew", "night", "sleep", "lag"].includes(kind))
    if (kinds.length === 0) return
    const kind = random.pick(kinds)
    if (!happens(world.shape, kind)) return
    if (kind === "clientCrash") await this.#crashClient(random)
    else world.time.tell(strike(kind as MomentaryFault, random, world))
  }

  #scrub(random: Random): void {
    const server = random.pick(this.#world.servers)
    server.scrub().catch((error: unknown) => this.#world.time.tell(`scrub of ${server.id} failed: ${describe(error)}`))
  }

  /** Does an operation and takes down how it ended; gives the error. */
  async #operate(kind: OperationKind, client: SimulatedClient, task: Task): Promise<unknown> {
    const world = this.#world
    const { time, trees, shape } = world
    const { tree, random, sleep } = task
    const { model } = tree
    const span = model.begin(time.nowMs)
    const isAlive = client.lifeline()
    const { calls } = client
    client.allow(mostCalls)
    client.task = kind
    time.tell(
      `${client.id} ${kind} in ${tree.name} begins${sleep ? `, and will sleep ${sleep.ms / minuteMs} minutes` : ""}`,
    )
    client.onWrite = (sequence) => {
      span.lastSequence = Math.max(span.lastSequence ?? 0, sequence)
    }
    client.onCrash = () => model.end(span, false, time.nowMs)
    time.after(longestMs + (sleep?.ms ?? 0), () => {
      if (span.endMs === Number.POSITIVE_INFINITY && isAlive() && client.task === kind && client.span === span)
        world.fail("operations end", `${client.id} ${kind} takes more than ${longestMs / minuteMs} minutes`)
    })
    client.span = span
    const ended = new Promise<never>(() => undefined) // of a process that crashed nothing is heard any more
    let failure: unknown
    const context: OperationContext = {
      ...{
        client: client.process(),
        random,
        target: tree,
        model,
        trees,
        newTree: () => world.newTree(client.account),
        isForeign: (entry: FileEntry) => world.foreign.has(foreignKey(entry)),
        time,
        span,
        sleep,
        graceMs: shape.graceMs,
      },
      ...{ isLast: task.isLast ?? false, k: shape.coding.k },
      fail: world.fail,
    }
    try {
      const result = await operate(kind, context)
      if (!isAlive()) await ended
      time.tell(`${client.id} ${kind} done: ${result}`)
      this.done[kind] = (this.done[kind] ?? 0) + 1
    } catch (error) {
      if (!isAlive()) await ended
      failure = error
      time.tell(`${client.id} ${kind} failed: ${describe(error).split("\n")[0]}`)
      if (!isHoldfastError(error)) world.fail("errors are of known kinds", describe(error))
      else if (neverCodes.has(error.code)) world.fail("no fault looks like damage or a rollback", describe(error))
    }
    model.end(span, failure === undefined, time.nowMs)
    this.mostCalls = Math.max(this.mostCalls, client.calls - calls)
    this.mostBytes = Math.max(this.mostBytes, client.memory.most)
    checkMemory(world, client)
    client.task = undefined
    client.span = undefined
    return failure
  }

  /** An operation that has no reason to fail. */
  async #must(kind: OperationKind, client: SimulatedClient, task: Task): Promise<void> {
    if (this.#world.failure) return
    const startMs = this.#world.time.elapsedMs - client.pausedMs
    const failure = await this.#wait(`${client.id} ${kind}`, this.#operate(kind, client, task))
    const tookMs = this.#world.time.elapsedMs - client.pausedMs - startMs
    this.longestCalmMs = Math.max(this.longestCalmMs, tookMs)
    checkTime(this.#world, `${client.id} ${kind}`, tookMs)
    if (failure)
      this.#world.fail(
        "without faults everything works",
        `${client.id} ${kind} in ${task.tree.name}: ${describe(failure)}`,
      )
  }

  async #wait<T>(what: string, work: Promise<T>): Promise<T | undefined> {
    if (this.#world.failure) return undefined
    let result: T | undefined
    let isDone = false
    work.then(
      (value) => {
        result = value
        isDone = true
      },
      (error: unknown) => this.#world.fail("without faults everything works", `${what}: ${describe(error)}`),
    )
    await this.#until(what, () => isDone)
    return result
  }

  async #until(what: string, isDone: () => boolean): Promise<void> {
    const { time } = this.#world
    const end = time.elapsedMs + 2 * longestMs
    await time.run(() => isDone() || this.#world.failure !== undefined, end)
    if (!isDone() && !this.#world.failure) this.#world.fail("operations end", what)
  }

  async #pass(ms: number): Promise<void> {
    const { time } = this.#world
    await time.run(() => this.#world.failure !== undefined, time.elapsedMs + ms)
  }
}
