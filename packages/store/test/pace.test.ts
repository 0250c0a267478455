import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"
import type { Clock } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import type { Backend, ShareQuery } from "@holdfast/protocol"
import { type ChunkRef, createMemorySeen, createStore, type Store } from "@holdfast/store"
import { createPace, hedgeAfterMs, slowLast } from "../src/pace.ts"
import { switchedServer } from "./fixture.ts"

/** Time that passes only when told to. */
class HandClock implements Clock {
  #nowMs = 1_000_000
  readonly #sleepers = new Set<{ untilMs: number; wake: () => void }>()

  nowMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { untilMs: this.#nowMs + ms, wake: resolve }
      this.#sleepers.add(sleeper)
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper)
        reject(new Error("woken"))
      })
    })
  }

  pass(ms: number): void {
    this.#nowMs += ms
    for (const sleeper of this.#sleepers)
      if (sleeper.untilMs <= this.#nowMs && this.#sleepers.delete(sleeper)) sleeper.wake()
  }

  /** Lets time pass until the promise is settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false
    const settled = promise.finally(() => {
      isSettled = true
    })
    settled.catch(() => undefined)
    for (;;) {
      await setImmediate()
      if (isSettled) return settled
      this.pass(1)
    }
  }
}

interface PacedServer {
  readonly backend: Backend
  /** What it was asked for. */
  readonly asked: ShareQuery[]
  delayMs: number
  isFailing: boolean
}

function pacedServer(id: string, clock: Clock): PacedServer {
  const { backend } = switchedServer(id)
  const server: PacedServer = {
    asked: [],
    delayMs: 0,
    isFailing: false,
    backend: {
      ...backend,
      async getShares(queries) {
        server.asked.push(...queries)
        if (server.isFailing) throw new Error(`${id} fails`)
        if (server.delayMs > 0) await clock.sleep(server.delayMs)
        return backend.getShares(queries)
      },
    },
  }
  return server
}

interface World {
  readonly clock: HandClock
  readonly servers: readonly [PacedServer, ...PacedServer[]]
  readonly store: Store
  readonly refs: readonly ChunkRef[]
  /** Reads chunks one after another; gives how many shares were asked for. */
  read(refs?: readonly ChunkRef[]): Promise<number>
}

const never = Number.MAX_SAFE_INTEGER

/** Four servers at 2 of 4 and forty chunks on them. */
async function world(): Promise<World> {
  const clock = new HandClock()
  const names = ["n2", "n3", "n4"]
  const servers: [PacedServer, ...PacedServer[]] = [
    pacedServer("n1", clock),
    ...names.map((id) => pacedServer(id, clock)),
  ]
  const store = await createStore({
    env: { ...nodeEnv, clock },
    servers: servers.map(({ backend }) => ({ backend, weight: 1 })),
    coding: { k: 2, happy: 3, n: 4 },
    registerMode: "crash",
    seen: createMemorySeen(),
  })
  const refs: ChunkRef[] = []
  for (let i = 0; i < 40; i++) refs.push(await store.chunks.putChunk(new Uint8Array(1000).fill(i)))
  const count = () => servers.reduce((sum, { asked }) => sum + asked.length, 0)
  const read = async (wanted: readonly ChunkRef[] = refs) => {
    const before = count()
    for (const ref of wanted) await clock.until(store.chunks.getChunk(ref))
    return count() - before
  }
  return { clock, servers, store, refs, read }
}

test("reads ask k servers once each, for the share that placement gave them", async () => {
  const { servers, refs, read } = await world()
  assert.equal(await read(), 2 * refs.length)
  for (const { asked } of servers) {
    assert.ok(asked.length > 0)
    assert.ok(asked.every(({ likely }) => likely === 0 || likely === 1))
  }
})

test("no read waits for a server that hangs, and no more than two requests are made because of it", async () => {
  const { servers, refs, read } = await world()
  const [slow] = servers
  slow.delayMs = never
  assert.ok((await read()) <= 2 * refs.length + 2)
  assert.ok(slow.asked.length <= 2)
})

test("a server that takes 200 ms longer is asked once in five seconds, beside the others", async () => {
  const { clock, servers, refs, read } = await world()
  const [slow] = servers
  await read()
  slow.delayMs = 200
  await read()
  await clock.until(clock.sleep(200))
  slow.asked.length = 0
  const startMs = clock.nowMs()
  const asked = await read()
  const mostProbes = Math.ceil((clock.nowMs() - startMs) / 5000)
  assert.ok(slow.asked.length <= mostProbes, `${slow.asked.length} probes`)
  assert.equal(asked, 2 * refs.length + slow.asked.length)
  clock.pass(5000)
  assert.equal(await read(), 2 * refs.length + 1)
})

test("a server that recovers is asked again, and then no more than before", async () => {
  const { clock, servers, refs, read } = await world()
  const [slow] = servers
  await read()
  const usual = slow.asked.length
  slow.delayMs = 200
  await read()
  await clock.until(clock.sleep(200))
  slow.delayMs = 0
  clock.pass(5000)
  await read(refs.slice(0, 2))
  slow.asked.length = 0
  assert.equal(await read(), 2 * refs.length)
  assert.equal(slow.asked.length, usual)
})

test("a server that fails is asked last", async () => {
  const { servers, refs, read } = await world()
  const [failing] = servers
  failing.isFailing = true
  assert.equal(await read(), 2 * refs.length + 1)
  assert.equal(failing.asked.length, 1)
})

test("slow servers are asked all the same where the quick ones are too few", async () => {
  const { servers, refs, store, read } = await world()
  for (const server of servers.slice(0, 3)) server.delayMs = 200
  await read()
  for (const server of servers.slice(1, 3)) server.isFailing = true
  await read()
  servers[0].isFailing = true
  await assert.rejects(store.chunks.getChunk(refs[0]!), { code: "ERR_NOT_ENOUGH_SHARES" })
})

test("the pace is an average of answer times in which the newest counts most, and all after a pause", async () => {
  const clock = new HandClock()
  const pace = createPace(clock)
  const take = (ms: number) => pace.time(async () => clock.pass(ms))
  assert.equal(pace.expectedMs(), undefined)
  await take(10)
  assert.equal(pace.expectedMs(), 10)
  await take(20)
  assert.equal(pace.expectedMs(), 13)
  clock.pass(5000)
  assert.equal(pace.isStale(), true)
  await take(50)
  assert.equal(pace.expectedMs(), 50)
  const waiting = pace.time(() => clock.sleep(300))
  clock.pass(49)
  assert.equal(pace.expectedMs(), 50)
  clock.pass(101)
  assert.deepEqual([pace.expectedMs(), pace.usualMs(), pace.isStale()], [150, 50, false])
  clock.pass(150)
  await waiting
  await assert.rejects(pace.time(() => Promise.reject(new Error("no"))))
  assert.ok(pace.usualMs()! > 300)
})

test("slow is what takes more than twice the median and 20 ms more; what is unknown is not slow", () => {
  const server = (name: string, ms: number | undefined, stale = false) => ({
    name,
    pace: { time: never as never, usualMs: () => ms, expectedMs: () => ms, isStale: () => stale },
  })
  const servers = [server("a", 41, true), server("b", 31), server("c", undefined), server("d", 10), server("e", 5)]
  const { order, probes } = slowLast(servers)
  assert.equal(order.map(({ name }) => name).join(""), "bcdea")
  assert.deepEqual(probes, [servers[0]])
  assert.equal(hedgeAfterMs([servers[1]!], servers, 400), 93)
  assert.equal(hedgeAfterMs([servers[2]!], servers, 400), 30)
  assert.equal(hedgeAfterMs([servers[4]!], servers, 400), 20)
  assert.equal(hedgeAfterMs([servers[0]!, servers[4]!], servers, 100), 100)
  assert.equal(hedgeAfterMs([servers[2]!], [], 400), 400)
})
