/** Registers under every order of messages that a seed chooses: what readers see is linearizable, and nobody cries fork. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { fromUtf8, isHoldfastError, utf8 } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { type Backend, toReadCap } from "@holdfast/protocol"
import { createMemorySeen, createRegisterStore, type RegisterKeys, type RegisterStore } from "@holdfast/store"
import { Schedule } from "./schedule.ts"

interface Shape {
  readonly servers: number
  readonly mode: "crash" | "byzantine"
  readonly liars: number
  readonly lossRate: number
}

/** What a client did, in the order of the schedule's steps. */
interface Event {
  readonly begin: number
  readonly end: number
  readonly kind: "read" | "write"
  readonly sequence: number
  /** Texts of all values that were read with that sequence, or the one that was written. */
  readonly texts: readonly string[]
}

/** Forgets what it accepts, and answers reads with any value it ever saw. */
function fickle(inner: Backend, random: () => number): Backend {
  const kept: Uint8Array[] = []
  return {
    ...inner,
    readRegisters: async (ids) => ids.map(() => kept[Math.floor(random() * (kept.length + 1))]),
    proposeRegisters: async (values) => {
      kept.push(...values)
      return values.map(() =>
        random() < 0.5
          ? { accepted: true as const, vouches: random() < 0.5 }
          : { accepted: false as const, current: kept[Math.floor(random() * kept.length)]!, message: "no" },
      )
    },
  }
}

async function race(seed: number, { servers, mode, liars, lossRate }: Shape): Promise<Event[]> {
  const schedule = new Schedule(seed)
  const honest = Array.from({ length: servers }, (_, i) => createMemoryBackend(`n${i}`, nodeCrypto))
  const backends = honest.map((backend, i) => (i < liars ? fickle(backend, schedule.random) : backend))
  const write = { kind: "dw", seed: nodeCrypto.random(32) } as const
  const read = await toReadCap(nodeCrypto, write)
  const keys = { seed: write.seed, publicKey: read.publicKey, readKey: read.readKey }
  const events: Event[] = []
  const client = (name: string) =>
    createRegisterStore({
      env: { crypto: nodeCrypto, clock: schedule.clock },
      backends: backends.map((backend) => schedule.reach(backend, name)),
      mode,
      seen: createMemorySeen(),
    })
  await schedule.run(client("first").write(keys, 0, { content: utf8("first"), care: utf8("") }))
  schedule.lossRate = lossRate
  await schedule.run(Promise.all(["a", "b", "c"].map((name) => live(name, client(name), { keys, schedule, events }))))
  schedule.lossRate = 0
  await schedule.run(live("last", client("last"), { keys, schedule, events }))
  return events
}

interface Life {
  readonly keys: RegisterKeys
  readonly schedule: Schedule
  readonly events: Event[]
}

/** Reads and writes some times; a lost race and missing answers are its daily bread, everything else a failure. */
async function live(name: string, registers: RegisterStore, { keys, schedule, events }: Life): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    try {
      const begin = schedule.delivered
      const read = await registers.read(keys)
      assert.ok(read, "the first value is there")
      const texts = [read, ...(read.siblings ?? [])].map(({ content }) => fromUtf8(content))
      events.push({ begin, end: schedule.delivered, kind: "read", sequence: read.sequence, texts })
      const text = `${name}${turn} after ${texts.join("+")}`.slice(0, 60)
      const sequence = read.sequence + 1
      const start = schedule.delivered
      if (await registers.write(keys, read.sequence, { content: utf8(text), care: utf8("") }))
        events.push({ begin: start, end: schedule.delivered, kind: "write", sequence, texts: [text] })
    } catch (error) {
      if (!isHoldfastError(error, "ERR_NO_QUORUM") && !isHoldfastError(error, "ERR_CONFLICT")) throw error
    }
  }
}

/** What begins after something ended sees at least as much; an acknowledged value is among those of its sequence. */
function checkHistory(events: readonly Event[]): void {
  for (const late of events)
    for (const early of events) {
      if (early.end > late.begin || early === late) continue
      const least = late.kind === "write" ? early.sequence + 1 : early.sequence
      assert.ok(late.sequence >= least, `${JSON.stringify(late)} comes after ${JSON.stringify(early)}`)
      if (late.kind === "read" && early.kind === "write" && early.sequence === late.sequence)
        assert.ok(late.texts.includes(early.texts[0]!), `${JSON.stringify(late)} misses ${JSON.stringify(early)}`)
    }
  const written = events.filter(({ kind }) => kind === "write").map(({ sequence }) => sequence)
  assert.equal(new Set(written).size, written.length, "two writes of one sequence were acknowledged")
}

const shapes: readonly Shape[] = [
  { servers: 3, mode: "crash", liars: 0, lossRate: 0.1 },
  { servers: 5, mode: "crash", liars: 0, lossRate: 0.2 },
  { servers: 4, mode: "byzantine", liars: 1, lossRate: 0 },
  { servers: 4, mode: "byzantine", liars: 0, lossRate: 0.15 },
  { servers: 7, mode: "byzantine", liars: 2, lossRate: 0.05 },
]

for (const shape of shapes) {
  const { servers, mode, liars, lossRate } = shape
  const title = `${mode} mode, ${servers} servers, ${liars} lying, ${lossRate * 100} % of messages lost`
  test(`reads and writes are linearizable and honest races are no fork: ${title}`, async () => {
    let writes = 0
    for (let seed = 1; seed <= 60; seed++) {
      const events = await race(seed, shape).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error })
      })
      checkHistory(events)
      writes += events.filter(({ kind }) => kind === "write").length
    }
    assert.ok(writes > 60, `${writes} writes went through`)
  })
}
