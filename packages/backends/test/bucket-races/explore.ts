/**
 * Runs the real code of several clients of one bucket in every order of their requests, up to a number of times that a client is
 * interrupted. What was tried is told apart by what lies in the bucket and what each client has been answered, so that orders which
 * come to the same are followed once.
 */
import { createHash } from "node:crypto"
import type { CryptoProvider } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { MemoryBucket, type Request } from "../memory-bucket.ts"

/** One that asks the bucket; `run` may take any number of requests. */
export interface Client {
  readonly name: string
  run(world: World): Promise<void>
}

/** What a run happens in. */
export interface World {
  readonly bucket: MemoryBucket
  /** A step of a client that is no request. */
  step(client: string, what: string): Promise<void>
  /** Deterministic, each client its own. */
  cryptoOf(client: string): CryptoProvider
}

/** What is explored. */
export interface Scenario {
  readonly name: string
  /** Fills the bucket before anybody begins. */
  prepare(world: World): Promise<void>
  clients(): readonly Client[]
  /** What clients were told. */
  outcome(): string
  /** Why the end of a run is wrong; undefined when it is not. */
  verdict(world: World): Promise<string | undefined>
}

/** How far. */
export interface Bounds {
  /** Times that a client may be interrupted while it could go on. */
  readonly interruptions: number
  readonly mostRuns: number
  /** What a client asks at once is answered last first. */
  readonly isBackward?: boolean
}

/** Runs a scenario in orders that a seed picks, with any number of interruptions. */
export async function sample(scenario: Scenario, { runs, seed }: { runs: number; seed: number }): Promise<Explored> {
  let state = seed
  const pick = (most: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * most)
  }
  for (let run = 1; run <= runs; run++) {
    const plan = { schedule: [], interruptions: 1e9, seen: new Map(), schedules: [], isBackward: run % 2 === 0, pick }
    const failure = await runOnce(scenario, plan)
    if (failure) return { runs: run, states: 0, isComplete: false, failure }
  }
  return { runs, states: 0, isComplete: false }
}

/** What was found. */
export interface Explored {
  readonly runs: number
  readonly states: number
  readonly isComplete: boolean
  readonly failure?: { readonly why: string; readonly steps: readonly string[] }
}

interface Waiting {
  readonly client: string
  readonly what: string
  go(): void
}

/** Explores a scenario. */
export async function explore(
  scenario: Scenario,
  { interruptions, mostRuns, isBackward = false }: Bounds,
): Promise<Explored> {
  const seen = new Map<string, number>()
  const schedules: number[][] = [[]]
  let runs = 0
  while (schedules.length > 0) {
    if (runs === mostRuns) return { runs, states: seen.size, isComplete: false }
    runs++
    const failure = await runOnce(scenario, {
      ...{ schedule: schedules.pop()!, interruptions, seen, schedules, isBackward },
    })
    if (failure) return { runs, states: seen.size, isComplete: false, failure }
  }
  return { runs, states: seen.size, isComplete: true }
}

interface Plan {
  readonly schedule: readonly number[]
  readonly interruptions: number
  /** States that were left, with the most interruptions still allowed. */
  readonly seen: Map<string, number>
  readonly schedules: number[][]
  readonly isBackward: boolean
  /** Picks who is next, by chance. */
  readonly pick?: (most: number) => number
}

async function runOnce(scenario: Scenario, { schedule, interruptions, seen, schedules, isBackward, pick }: Plan) {
  const waiting: Waiting[] = []
  const histories = new Map<string, string>()
  let isOpen = false
  const wait = (client: string, what: string) =>
    isOpen
      ? new Promise<void>((resolve) => {
          waiting.push({ client, what, go: resolve })
        })
      : Promise.resolve()
  const bucket = new MemoryBucket({
    before: (client, { kind, key }: Request) => wait(client, `${kind} ${key}`),
    after: (client, answer) => {
      const history = histories.get(client) ?? ""
      histories.set(client, digest(`${history}${JSON.stringify(answer, asHex) ?? ""}`))
    },
    stepwise: (prefix) => isOpen && prefix.startsWith("marks/"),
  })
  const world: World = { bucket, step: wait, cryptoOf: deterministicCrypto() }
  await scenario.prepare(world)
  isOpen = true
  const clients = scenario.clients()
  const failures: unknown[] = []
  const open = new Set(clients.map(({ name }) => name))
  for (const client of clients)
    client
      .run(world)
      .catch((error: unknown) => failures.push(error))
      .finally(() => open.delete(client.name))
  const steps: string[] = []
  const taken: number[] = []
  let running = ""
  let left = interruptions
  while (open.size > 0) {
    await settle()
    if (failures.length > 0) return { why: String((failures[0] as Error).stack), steps }
    if (waiting.length === 0) {
      if (open.size === 0) break
      throw new Error(`nobody can go on: ${[...open].join()}`)
    }
    waiting.sort((a, b) => (a.client < b.client ? -1 : a.client > b.client ? 1 : 0))
    // What one client asks at once is answered in one order or the other, not in all.
    const isNext = (i: number) => waiting[i]!.client !== waiting[isBackward ? i + 1 : i - 1]?.client
    const goesOn = waiting.some(({ client }) => client === running)
    const cost = ({ client }: Waiting) => (goesOn && client !== running ? 1 : 0)
    const allowed = waiting.map((_, i) => i).filter((i) => isNext(i) && cost(waiting[i]!) <= left)
    allowed.sort((a, b) => cost(waiting[a]!) - cost(waiting[b]!))
    let chosen = allowed[0]!
    if (pick) chosen = allowed[pick(allowed.length)]!
    else if (taken.length < schedule.length) chosen = schedule[taken.length]!
    else {
      const state = stateOf(bucket, histories, waiting, running)
      if ((seen.get(state) ?? -1) >= left) {
        isOpen = false
        return undefined // the others wait for ever: nobody holds them
      }
      seen.set(state, left)
      for (const other of allowed.slice(1)) schedules.push([...taken, other])
    }
    const [next] = waiting.splice(chosen, 1)
    left -= cost(next!)
    running = next!.client
    steps.push(`${next!.client}: ${next!.what}`)
    taken.push(chosen)
    next!.go()
  }
  isOpen = false
  const end = stateOf(bucket, new Map(), [], scenario.outcome())
  if (seen.has(end)) return undefined
  seen.set(end, 0)
  const why = await scenario.verdict(world)
  return why === undefined ? undefined : { why, steps }
}

function stateOf(
  bucket: MemoryBucket,
  histories: ReadonlyMap<string, string>,
  waiting: readonly Waiting[],
  running: string,
) {
  const objects = [...bucket.objects]
    .map(([key, { bytes, modifiedMs }]) => `${key} ${modifiedMs} ${bytes.length > 200 ? bytes.length : digest(bytes)}`)
    .sort()
  const clients = [...histories].map(([name, history]) => `${name} ${history}`).sort()
  const asked = waiting.map(({ client, what }) => `${client} ${what}`)
  return digest([...objects, ...clients, ...asked, running, bucket.nowMs].join("\n"))
}

/** All that can happen without the bucket has happened: nothing here waits for threads or timers. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function digest(data: string | Uint8Array): string {
  return createHash("sha1").update(data).digest("base64")
}

function asHex(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? digest(value) : value
}

const verified = new Map<string, Promise<boolean>>()

/** Signatures come again in each run. */
function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const key = [publicKey, message, signature].map(digest).join()
  const known = verified.get(key) ?? nodeCrypto.verify(publicKey, message, signature)
  verified.set(key, known)
  return known
}

/** The platform's cryptography, with random bytes that come again in each run. */
function deterministicCrypto() {
  const providers = new Map<string, CryptoProvider>()
  return (client: string): CryptoProvider => {
    let count = 0
    const random = (length: number) =>
      new Uint8Array(createHash("sha512").update(`${client} ${count++}`).digest().subarray(0, length))
    const provider = providers.get(client) ?? { ...nodeCrypto, verify, random }
    providers.set(client, provider)
    return provider
  }
}
