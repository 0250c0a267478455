/**
 * One run: a world, some hundred steps of clients and faults in it, then calm and the claims about what comes after the
 * faults. The same seed, steps and faults give the same run, event by event.
 */
import { isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { checkHealth, checkStep, checkTruth } from "./claims.ts"
import type { SimulatedClient } from "./client.ts"
import { calm, type FaultKind, type MomentaryFault, strike } from "./faults.ts"
import { type OperationContext, type OperationKind, operate, operationWeights } from "./operations.ts"
import { describe } from "./oracle.ts"
import type { Random } from "./random.ts"
import { createWorld, type Failure, happens, type World } from "./world.ts"

/** What to run. */
export interface RunOptions {
  readonly seed: string
  readonly steps: number
  /** Kinds of faults left out. */
  readonly without?: readonly FaultKind[]
  /** Steps that are left out. */
  readonly skip?: readonly number[]
  /** Prints all that happens. */
  readonly verbose?: boolean
}

/** What a run showed. */
export interface RunResult {
  readonly options: RunOptions
  readonly failure: Failure | undefined
  /** Kinds of faults that the seed mixes. */
  readonly faults: readonly FaultKind[]
  /** Equal for equal runs. */
  readonly traceHash: string
  /** The end of the trace: each message. */
  readonly recent: readonly string[]
  /** What clients and faults did. */
  readonly history: readonly string[]
  readonly simulatedMs: number
  /** Operations that ended well, by kind. */
  readonly done: Readonly<Record<string, number>>
  readonly crashes: number
  /** Most calls over the network that one operation made. */
  readonly mostCalls: number
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
/** Collecting garbage spares what was stored or confirmed since. Every operation ends sooner. */
const graceMs = 4 * hourMs
/** No operation takes longer, whatever fails. */
const longestMs = 2 * hourMs
/** More calls than any operation of these small trees needs. */
const mostCalls = 5000

/** What no fault may lead to. */
const neverCodes = new Set([
  "ERR_ROLLBACK",
  "ERR_FORK",
  "ERR_CORRUPT",
  "ERR_INCONSISTENT",
  "ERR_BAD_FORMAT",
  "ERR_UNSUPPORTED_VERSION",
])

/** A seed that nobody used before. */
export function freshSeed(): string {
  return toHex(nodeCrypto.random(6))
}

/** Runs `seed`. */
export async function simulate(options: RunOptions): Promise<RunResult> {
  const world = await createWorld(options.seed, new Set(options.without), options.verbose)
  const run = new Run(world)
  const skip = new Set(options.skip)
  for (let step = 1; step <= options.steps && !world.failure; step++) if (!skip.has(step)) await run.step(step)
  if (!world.failure) await run.finish()
  const { time } = world
  return {
    options,
    failure: world.failure,
    faults: world.shape.faults,
    traceHash: time.traceHash(),
    recent: time.recent(),
    history: time.history(),
    simulatedMs: time.elapsedMs,
    done: run.done,
    crashes: world.servers.reduce((sum, { crashes }) => sum + crashes, 0),
    mostCalls: run.mostCalls,
  }
}

class Run {
  readonly #world: World
  readonly done: Record<string, number> = {}
  mostCalls = 0
  #isEnding = false

  constructor(world: World) {
    this.#world = world
  }

  /** Something begins, and some time passes. */
  async step(step: number): Promise<void> {
    const world = this.#world
    world.step = step
    const random = world.random.fork(step)
    const kind = random.weighted({ operation: 66, rush: 8, fault: 25, scrub: 2, night: 3 })
    let waitMs = random.delayMs(random.pick([5, 100, 2000, 12_000]))
    if (kind === "operation") this.#start(random)
    else if (kind === "rush") await this.#rush(random)
    else if (kind === "fault") await this.#strike(random)
    else if (kind === "scrub") this.#scrub(random)
    else if (happens(world.shape, "night")) waitMs = random.between(1, 8) * hourMs
    await world.time.run(() => world.failure !== undefined, world.time.elapsedMs + waitMs)
    await checkStep(world, step % 8 === 0)
  }

  /** The faults stop: all that was under way ends, all that was acknowledged is there, and repair mends the rest. */
  async finish(): Promise<void> {
    const world = this.#world
    const random = world.random.fork("finish")
    this.#isEnding = true
    calm(world)
    await this.#until("every operation ends", () => world.clients.every(({ task }) => task === undefined))
    await checkStep(world, true)
    await this.#pass(3 * minuteMs)
    const sound = world.servers.filter(({ id }) => !world.faulty.has(id))
    const away = random.some(sound, world.shape.tolerated - world.shape.faulty.length)
    for (const { id } of away)
      for (const client of [...world.clients, { id: "fresh" }]) world.network.setCut(client.id, id, true)
    world.time.tell(`calm; away: ${away.map(({ id }) => id).join(" ") || "none"}`)
    for (const client of world.clients) await this.#must("put", client, random.fork(client.id))
    const fresh = await world.newClient("fresh")
    await this.#must("list", fresh, random.fork("list"))
    await this.#must("readAll", fresh, random.fork("read"))
    calm(world, world.liars.values())
    await this.#pass(3 * minuteMs)
    if (random.chance(0.3)) for (const server of world.servers) await this.#wait(`${server.id} scrubs`, server.scrub())
    await this.#wait("check", checkTruth(world, fresh))
    await this.#must("repair", fresh, random.fork("repair"))
    await this.#must("put", fresh, random.fork("put"))
    if (world.failure) return
    await this.#must("repair", fresh, random.fork("repair again"))
    await this.#wait("check", checkTruth(world, fresh))
    await checkStep(world, true)
    if (!world.failure) await checkHealth(world)
  }

  /** A client that has nothing to do begins something. */
  #start(random: Random): void {
    const idle = this.#world.clients.filter(({ task }) => task === undefined)
    if (idle.length > 0) void this.#operate(random.weighted(operationWeights), random.pick(idle), random)
  }

  /**
   * All who have nothing to do begin something, mostly a write, at about the same time. One of them may not come to its end, and
   * places may be out of reach for who looks next.
   */
  async #rush(random: Random): Promise<void> {
    const { clients, time, network, shape } = this.#world
    const sweeper = random.chance(0.3) ? random.pick(clients) : undefined
    for (const client of clients) {
      const own = random.fork(client.id)
      const kind = client === sweeper ? "gc" : own.chance(0.5) ? "put" : own.weighted(operationWeights)
      time.after(own.delayMs(own.pick([0, 5, 50]) * network.weather.delayMs), () => {
        if (client.task === undefined && !this.#isEnding) void this.#operate(kind, client, own)
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
      if (client.task === undefined) void this.#operate("list", client, random.fork(`look ${client.id}`))
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
    const kinds = world.shape.faults.filter((kind) => !["lies", "skew", "night"].includes(kind))
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
  async #operate(kind: OperationKind, client: SimulatedClient, random: Random): Promise<unknown> {
    const world = this.#world
    const { model, time } = world
    const span = model.begin(time.nowMs)
    const isAlive = client.lifeline()
    const { calls } = client
    client.allow(mostCalls)
    client.task = kind
    time.tell(`${client.id} ${kind} begins`)
    client.onWrite = (sequence) => {
      span.lastSequence = Math.max(span.lastSequence ?? 0, sequence)
    }
    client.onCrash = () => model.end(span, false, time.nowMs)
    time.after(longestMs, () => {
      if (span.endMs === Number.POSITIVE_INFINITY && isAlive() && client.task === kind && client.span === span)
        world.fail("operations end", `${client.id} ${kind} takes more than ${longestMs / minuteMs} minutes`)
    })
    client.span = span
    let failure: unknown
    const context: OperationContext = {
      ...{ client, random, model, time, span, graceMs },
      k: world.shape.coding.k,
      fail: world.fail,
    }
    try {
      const result = await operate(kind, context)
      time.tell(`${client.id} ${kind} done: ${result}`)
      this.done[kind] = (this.done[kind] ?? 0) + 1
    } catch (error) {
      failure = error
      time.tell(`${client.id} ${kind} failed: ${describe(error).split("\n")[0]}`)
      if (!isHoldfastError(error)) world.fail("errors are of known kinds", describe(error))
      else if (neverCodes.has(error.code)) world.fail("no fault looks like damage or a rollback", describe(error))
    }
    model.end(span, failure === undefined, time.nowMs)
    this.mostCalls = Math.max(this.mostCalls, client.calls - calls)
    client.task = undefined
    client.span = undefined
    return failure
  }

  /** An operation that has no reason to fail. */
  async #must(kind: OperationKind, client: SimulatedClient, random: Random): Promise<void> {
    if (this.#world.failure) return
    const failure = await this.#wait(`${client.id} ${kind}`, this.#operate(kind, client, random))
    if (failure) this.#world.fail("without faults everything works", `${client.id} ${kind}: ${describe(failure)}`)
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
