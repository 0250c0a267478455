/**
 * Who meets in a bucket: a writer of account A who puts chunk X, a copier of account B who found it there, a collector of account A
 * on another device, a sweeper, and a clock that jumps by more than a grace at any moment. Whoever was told that his commit stays must
 * find X, marked for his account, whatever the others did and go on to do.
 */
import { toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { accountRoles, signUnmark } from "@holdfast/protocol"
import { makeAccount, makeRegisterValue, randomChunk, type TestAccount } from "@holdfast/protocol/testing"
import { MarkObjects } from "../../src/s3/marks.ts"
import { type BucketBackend, createObjectBackend } from "../../src/s3/objects.ts"
import { Place } from "../../src/s3/place.ts"
import type { Client, Scenario, World } from "./explore.ts"

const hourMs = 3_600_000
const longMs = 25 * hourMs

interface Cast {
  readonly a: TestAccount
  readonly b: TestAccount
  readonly x: Awaited<ReturnType<typeof randomChunk>>
  /** Ids of garbage that A's old marks name too, one for each collection, so that each rewrites them. */
  readonly garbage: readonly Awaited<ReturnType<typeof randomChunk>>[]
  readonly values: Readonly<Record<string, Uint8Array>>
  readonly registerOf: Readonly<Record<string, Uint8Array>>
}

/** Made once: the same in each run. */
export async function makeCast(): Promise<Cast> {
  const seeds = { w: nodeCrypto.random(32), b: nodeCrypto.random(32) }
  const values: Record<string, Uint8Array> = {}
  const registerOf: Record<string, Uint8Array> = {}
  const { registerIdOf } = await import("@holdfast/protocol")
  for (const [name, seed] of Object.entries(seeds)) {
    values[name] = await makeRegisterValue(nodeCrypto, seed, 1, "root")
    registerOf[name] = registerIdOf(await nodeCrypto.publicKeyOf(seed))
  }
  return {
    a: await makeAccount(nodeCrypto),
    b: await makeAccount(nodeCrypto),
    x: await randomChunk(nodeCrypto, 16, 1),
    garbage: [await randomChunk(nodeCrypto, 16, 1), await randomChunk(nodeCrypto, 16, 1)],
    values,
    registerOf,
  }
}

/**
 * Where a scenario begins: X was never there; is garbage that A's old marks name; is garbage that was condemned; is needed by A, whose
 * old marks name it.
 */
export type Start = "new" | "old" | "condemned" | "needed"

/**
 * A scenario with these clients: w, b, c (collects once) or d (twice), s; s passes a grace between its runs; z is a clock that jumps when
 * it likes.
 */
export function scenario(cast: Cast, start: Start, who: string): Scenario {
  const acknowledged = new Set<string>()
  return {
    name: `X is ${start}; ${who}`,
    async prepare(world) {
      acknowledged.clear()
      await prepare(world, cast, start)
      if (start === "needed") acknowledged.add("w")
    },
    clients: () => [
      ...(who.includes("w") ? [writer("w", cast, acknowledged)] : []),
      ...(who.includes("b") ? [writer("b", cast, acknowledged)] : []),
      ...(who.includes("c") ? [collector(cast, 1)] : []),
      ...(who.includes("d") ? [collector(cast, 2)] : []),
      ...(who.includes("s") ? [sweeper(cast, !who.includes("z"))] : []),
      ...(who.includes("z") ? [clock()] : []),
    ],
    outcome: () => [...acknowledged].sort().join(),
    verdict: (world) => verdict(world, cast, acknowledged),
  }
}

function open({ bucket, cryptoOf }: World, client: string, account: TestAccount): BucketBackend {
  const options = { id: "bucket", crypto: cryptoOf(client), conditionalWrites: true }
  return createObjectBackend(bucket.connect(client), { ...options, access: { ...account, roles: accountRoles } })
}

async function prepare(world: World, { a, x, garbage, values }: Cast, start: Start): Promise<void> {
  const device = open(world, "prepare", a)
  const batch = { batch: new Uint8Array(16) }
  const chunks = start === "new" ? garbage : [x, ...garbage]
  await device.putShares(
    chunks.map(({ shares }) => shares[0]!),
    batch,
  )
  if (start === "needed") await device.proposeRegisters([values["w"]!], batch)
  await device.listMarks({ limit: 1 }) // writes them down
  world.bucket.nowMs += longMs
  if (start !== "condemned") return
  const token = await device.collectToken()
  await device.unmark(await orderOf(device, a, token, [x.id]))
  await device.sweep()
  world.bucket.nowMs += longMs
}

const orders = new Map<string, ReturnType<typeof signUnmark>>()

/** Tokens come again in each run, so do orders. */
async function orderOf(
  backend: BucketBackend,
  { seed }: TestAccount,
  token: Uint8Array,
  chunks: readonly Uint8Array[],
) {
  const key = [seed, token, ...chunks].map(toHex).join()
  const order = { place: backend.id, token, graceMs: 0, chunks, registers: [], trims: [] }
  const known = orders.get(key) ?? signUnmark(nodeCrypto, seed, order)
  orders.set(key, known)
  return known
}

/** Puts X, or marks it when it is there, and commits, as often as it is told to. */
function writer(name: "w" | "b", { a, b, x, values }: Cast, acknowledged: Set<string>): Client {
  return {
    name,
    async run(world) {
      const backend = open(world, name, name === "w" ? a : b)
      for (let attempt = 0; attempt < 4; attempt++) {
        const batch = { batch: world.cryptoOf(name).random(16) }
        const [mark] = name === "b" ? await backend.markShares([x.id], batch) : []
        if (!(mark?.ok && mark.held.length > 0)) await backend.putShares([x.shares[0]!], batch)
        const [outcome] = await backend.proposeRegisters([values[name]!], batch)
        if (outcome!.accepted) {
          if (!outcome!.vouches) throw new Error("accepted and not vouched for")
          acknowledged.add(name)
          return
        }
        if (!outcome!.marksGone) throw new Error(outcome!.message)
      }
      throw new Error("four times it was told to store X again")
    },
  }
}

/** Another device of A: drops garbage, and X too when A's register here does not need it. */
function collector({ a, x, garbage, registerOf }: Cast, rounds: number): Client {
  return {
    name: "c",
    async run(world) {
      const backend = open(world, "c", a)
      for (const { id } of garbage.slice(0, rounds)) {
        const token = await backend.collectToken()
        const [value] = await backend.readRegisters([registerOf["w"]!])
        await backend.unmark(await orderOf(backend, a, token, value ? [id] : [id, x.id]))
      }
    },
  }
}

function sweeper({ a }: Cast, waits: boolean): Client {
  return {
    name: "s",
    async run(world) {
      const backend = open(world, "s", a)
      for (let run = 0; run < 3; run++) {
        if (run > 0 && waits) {
          await world.step("s", "a grace passes")
          world.bucket.nowMs += longMs
        }
        await backend.sweep()
      }
    },
  }
}

function clock(): Client {
  return {
    name: "z",
    async run(world) {
      for (let tick = 0; tick < 3; tick++) {
        await world.step("z", "a grace passes")
        world.bucket.nowMs += longMs
      }
    },
  }
}

/** Lets all sweeps come that may come, then looks. */
async function verdict(world: World, cast: Cast, acknowledged: ReadonlySet<string>): Promise<string | undefined> {
  const late = open(world, "late", cast.b)
  for (let run = 0; run < 3; run++) {
    await late.sweep()
    world.bucket.nowMs += longMs
  }
  for (const name of acknowledged) {
    const [share] = await late.getShares([{ id: cast.x.id }])
    if (!share) return `${name} was told that X stays, and it is gone`
    const { account } = name === "w" ? cast.a : cast.b
    if (!(await marks(world, account, cast.x.id)))
      return `${name} was told that X stays, and nothing marks it for its account`
  }
  return undefined
}

async function marks({ bucket }: World, account: Uint8Array, id: Uint8Array): Promise<boolean> {
  const options = { id: "late", crypto: nodeCrypto, conditional: true, access: { account, roles: accountRoles } }
  const place = new Place({ ...options, bucket: bucket.connect("late"), graceMs: longMs, listDelayMs: 0, epoch: 1 })
  const objects = new MarkObjects(place)
  const keys = (await objects.list(account)).objects.map(({ key }) => key)
  for await (const window of objects.windows(keys, "chunks")) if (toHex(window).includes(toHex(id))) return true
  return false
}
