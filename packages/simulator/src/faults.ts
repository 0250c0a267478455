/** What goes wrong in the world: which faults a seed mixes, and how each happens and ends. */
import type { Liar } from "./lies.ts"
import type { SimulatedNetwork } from "./network.ts"
import type { Random } from "./random.ts"
import type { Storage } from "./storage.ts"

/** Every kind of fault. A run can be told to leave some out. */
export const faultKinds = [
  "crash",
  "full",
  "slow",
  "rot",
  "loss",
  "lies",
  "weather",
  "partition",
  "clientCrash",
  "skew",
  "night",
  "sleep",
  "jump",
  "restore",
  "lag",
] as const

/** A kind of fault. */
export type FaultKind = (typeof faultKinds)[number]

/** What faults act on. */
export interface FaultContext {
  readonly servers: readonly Storage[]
  readonly clients: readonly { readonly id: string }[]
  readonly network: SimulatedNetwork
  /** Servers whose disks may change or lose what they hold. */
  readonly faulty: ReadonlySet<string>
  readonly isByzantine: boolean
}

/** Faults that begin at some moment; the others are there from the start or done by the driver. */
export type MomentaryFault = Exclude<FaultKind, "lies" | "skew" | "clientCrash" | "night" | "sleep" | "lag">

/** Lets a fault happen, or end; tells what it was. */
export function strike(kind: MomentaryFault, random: Random, context: FaultContext): string {
  return strikes[kind](random, context)
}

const strikes: Record<MomentaryFault, (random: Random, context: FaultContext) => string> = {
  crash(random, { servers }) {
    const server = random.pick(servers)
    if (!server.isRunning) {
      server.start()
      return `${server.id} is started again`
    }
    const steps = random.between(0, 12)
    server.crashAfter(steps)
    return `${server.id} will crash after ${steps} steps`
  },
  full(random, { servers }) {
    const server = random.pick(servers)
    server.isFull = !server.isFull
    return `the disk of ${server.id} is ${server.isFull ? "full" : "no longer full"}`
  },
  slow(random, { servers }) {
    const server = random.pick(servers)
    server.operationMs = server.operationMs > 1 ? 0.2 : random.pick([20, 400])
    return `the disk of ${server.id} takes ${server.operationMs} ms`
  },
  rot(random, { servers, faulty, isByzantine }) {
    const candidates = servers.filter(({ id }) => faulty.has(id))
    if (candidates.length === 0) return "nothing rots"
    const server = random.pick(candidates)
    server.rot(isByzantine)
    return `something rots on ${server.id}`
  },
  loss(random, { servers, faulty, isByzantine }) {
    const candidates = isByzantine ? servers.filter(({ id }) => faulty.has(id)) : []
    if (candidates.length === 0) return "nothing is lost"
    const server = random.pick(candidates)
    server.lose()
    server.start()
    return `all that ${server.id} held is lost`
  },
  restore(random, { servers, faulty, isByzantine }) {
    const candidates = isByzantine ? servers.filter(({ id }) => faulty.has(id)) : []
    if (candidates.length === 0) return "nothing is restored"
    const server = random.pick(candidates)
    if (random.chance(0.5)) {
      server.backUp()
      return `all that ${server.id} holds is copied`
    }
    server.restore()
    server.start()
    return `${server.id} is as when it was copied`
  },
  jump(random, { servers, faulty }) {
    // Of a bucket's own time a margin depends (O14): see docs/protocols/marks.md.
    const server = random.pick(servers.filter(({ id, kind }) => kind === "node" || faulty.has(id)).concat(servers[0]!))
    if (server.kind === "bucket" && !faulty.has(server.id)) return "no clock jumps"
    const days = random.pick([30, 30, 1, -1, -30])
    server.jump(days * 86_400_000)
    return `the clock of ${server.id} jumps by ${days} days`
  },
  weather(random, { network }) {
    network.weather = {
      delayMs: random.pick([1, 5, 50, 500]),
      loss: random.pick([0, 0, 0.01, 0.1]),
      duplication: random.pick([0, 0.05, 0.3]),
    }
    return `messages take ${network.weather.delayMs} ms, ${network.weather.loss} lost, ${network.weather.duplication} doubled`
  },
  partition(random, { servers, clients, network }) {
    if (random.chance(0.4)) {
      network.mend()
      return "all links are mended"
    }
    const cut = random.some(servers, random.chance(0.7) ? 1 : random.between(2, servers.length)).map(({ id }) => id)
    const client = random.chance(0.5) ? undefined : random.pick(clients).id
    for (const { id } of clients)
      if (client === undefined || client === id) for (const server of cut) network.setCut(id, server, true)
    return `${cut.join(" ")} cut off from ${client ?? "all"}`
  },
}

/** All that can end ends: links, disks, processes, lies. What was lost or rotten stays so. */
export function calm({ servers, network }: FaultContext, liars: Iterable<Liar> = []): void {
  network.mend()
  network.weather = { delayMs: 2, loss: 0, duplication: 0 }
  for (const liar of liars) liar.stop()
  for (const server of servers) {
    server.isFull = false
    server.operationMs = 0.2
    server.crashAfter(Number.POSITIVE_INFINITY)
    server.catchUp?.()
    server.start()
  }
}
