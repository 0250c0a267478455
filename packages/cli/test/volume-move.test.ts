/** A volume moves while two clients that know nothing of it write, and the mover is stopped at each of its steps. */
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { openDirectoryBackend } from "@holdfast/backends/directory"
import { fromUtf8, isHoldfastError, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv, systemClock } from "@holdfast/core/node"
import {
  decodeRegisterValue,
  parseVolume,
  registerIdOf,
  signVolumeMove,
  toReadCap,
  type VolumeDescription,
} from "@holdfast/protocol"
import {
  checkRegister,
  createMemorySeen,
  createRegisterStore,
  createStore,
  type RegisterKeys,
  type RegisterStore,
} from "@holdfast/store"
import { createMemoryChunks } from "@holdfast/store/testing"
import { directoryFence, fenceNameOf, memoryFence, type PlaceFence } from "../../client/src/volumes/fence.ts"
import { checkEpoch, fenced, tellingMoves } from "../../client/src/volumes/fenced.ts"
import { begunMove, type MovingPlace, moveVolume, nextEpoch } from "../../client/src/volumes/move.ts"

type Places = ReadonlyMap<string, MovingPlace>
type Kind = (t: TestContext, id: string) => Promise<MovingPlace>

const seed = crypto.random(32)
const names = ["a", "b", "c", "d"]

const kinds: Record<string, Kind> = {
  memory: async (_t, id) => ({ backend: createMemoryBackend(id, crypto), fence: memoryFence() }),
  directory: async (t, id) => {
    const dir = await mkdtemp(join(tmpdir(), "holdfast-move-"))
    const backend = await openDirectoryBackend({ id, dir, crypto, clock: systemClock, reservedBytes: 0 })
    t.after(async () => {
      await backend.close()
      await rm(dir, { recursive: true, force: true })
    })
    return { backend, fence: directoryFence(dir) }
  },
}

async function volumeOf(ids: readonly string[]): Promise<VolumeDescription> {
  return parseVolume({
    version: 2,
    id: "00112233445566778899aabbccddeeff",
    name: "disks",
    coding: { k: 1, happy: 1, n: 1 },
    registerMode: "crash",
    backends: ids.map((id) => ({ kind: "directory", id, path: `/${id}` })),
    epoch: 1,
    previous: null,
    publicKey: toHex(await crypto.publicKeyOf(seed)),
  })
}

/** A client with a description: its registers, behind the fences of the places. */
async function clientOf(volume: VolumeDescription, places: Places): Promise<RegisterStore> {
  const behind = volume.backends.map(({ id }) => {
    const { backend, fence } = places.get(id)!
    return fenced(backend, fence, volume, crypto)
  })
  const store = await createStore({
    env: nodeEnv,
    servers: behind.map(({ backend }) => ({ backend, weight: 1 })),
    coding: volume.coding,
    registerMode: volume.registerMode,
    seen: createMemorySeen(),
  })
  return tellingMoves(store.registers, behind)
}

/** One command that writes a line more. True when it was acknowledged, undefined when the client was told of a move. */
async function append(registers: RegisterStore, keys: RegisterKeys, line: string): Promise<boolean | undefined> {
  try {
    const before = await registers.read(keys)
    const text = `${before ? fromUtf8(before.content) : ""}${line} `
    return await registers.write(keys, before?.sequence ?? 0, { content: utf8(text), care: utf8("") })
  } catch (error) {
    if (isHoldfastError(error, "ERR_MOVED") || isHoldfastError(error, "ERR_NO_QUORUM")) return undefined
    throw error
  }
}

async function linesOf(registers: RegisterStore, keys: RegisterKeys): Promise<string[]> {
  const value = await registers.read(keys)
  return value ? fromUtf8(value.content).trim().split(" ") : []
}

/** Places that fail once the mover has done `steps` of its calls: there it was killed. */
function dying(places: Places, steps: number): { places: Places; died: () => boolean } {
  let left = steps
  const step = () => {
    if (left-- <= 0) throw new Error("killed")
  }
  const mortal = ({ backend, fence }: MovingPlace): MovingPlace => ({
    fence: {
      read: async () => fence.read(),
      keep: async (name, bytes) => {
        step()
        return fence.keep(name, bytes)
      },
    },
    backend: {
      ...backend,
      readRegisters: async (...args) => {
        step()
        return backend.readRegisters(...args)
      },
      proposeRegisters: async (...args) => {
        step()
        return backend.proposeRegisters(...args)
      },
    } as MovingPlace["backend"],
  })
  return { places: new Map([...places].map(([id, place]) => [id, mortal(place)])), died: () => left < 0 }
}

const at = (places: Places, { backends }: VolumeDescription) => backends.map(({ id }) => places.get(id)!)

async function run(
  places: Places,
  volume: VolumeDescription,
  next: VolumeDescription,
  keys: RegisterKeys,
): Promise<VolumeDescription> {
  const target = (await begunMove(crypto, volume, at(places, volume))) ?? next
  const publicKeys = async () => [keys.publicKey]
  await moveVolume({ crypto, volume, next: target, from: at(places, volume), to: at(places, target), publicKeys }, seed)
  return target
}

async function newKeys(): Promise<Required<RegisterKeys>> {
  const own = crypto.random(32)
  const { publicKey, readKey } = await toReadCap(crypto, { kind: "dw", seed: own })
  return { seed: own, publicKey, readKey }
}

for (const [kind, make] of Object.entries(kinds))
  test(`two old clients and a mover that is stopped at each step, over places of kind ${kind}: what was acknowledged is there`, async (t) => {
    let steps = 0
    for (let isWhole = false; !isWhole; steps++) {
      const places: Places = new Map(await Promise.all(names.map(async (id) => [id, await make(t, id)] as const)))
      const volume = await volumeOf(["a", "b", "c"])
      const next = nextEpoch(volume, { backends: (await volumeOf(["b", "c", "d"])).backends })
      const keys = await newKeys()
      const old = [await clientOf(volume, places), await clientOf(volume, places)]
      assert.ok(await append(old[0]!, keys, "first"))
      const acknowledged = ["first"]
      const write = async (who: number, line: string) => {
        const answer = await append(old[who]!, keys, line)
        if (answer) acknowledged.push(line)
        return answer
      }
      const mortal = dying(places, steps)
      // The mover and both clients at once; then the clients again, while it is dead.
      await Promise.all([
        run(mortal.places, volume, next, keys).catch(() => undefined),
        write(0, `beside-0-${steps}`),
        write(1, `beside-1-${steps}`),
      ])
      isWhole = !mortal.died()
      await write(0, `after-0-${steps}`)
      await write(1, `after-1-${steps}`)
      const target = await run(places, volume, next, keys)
      for (const who of [0, 1]) await assert.rejects(linesOf(old[who]!, keys), { code: "ERR_MOVED" }, `step ${steps}`)
      assert.equal(await write(0, "late"), undefined, "an old client is told, never acknowledged into nothing")
      const moved = await clientOf(target, places)
      const lines = await linesOf(moved, keys)
      for (const line of acknowledged)
        assert.ok(lines.includes(line), `step ${steps}: ${line} was acknowledged, and is not in ${lines}`)
      assert.ok(await append(moved, keys, "new"))
      assert.deepEqual((await linesOf(await clientOf(target, places), keys)).at(-1), "new")
    }
    assert.ok(steps > 9, `the mover has at least ten steps, not ${steps}`)
  })

test("a second mover of the same epoch is told the first one's places, and ends that move", async (t) => {
  const places: Places = new Map(await Promise.all(names.map(async (id) => [id, await kinds.memory!(t, id)] as const)))
  const volume = await volumeOf(["a", "b", "c"])
  const keys = await newKeys()
  await append(await clientOf(volume, places), keys, "one")
  const to = async (ids: string[]) => nextEpoch(volume, { backends: (await volumeOf(ids)).backends })
  await assert.rejects(run(dying(places, 1).places, volume, await to(["b", "c", "d"]), keys), { code: "ERR_NO_QUORUM" })
  const target = await run(places, volume, await to(["a", "b", "d"]), keys)
  assert.deepEqual(
    target.backends.map(({ id }) => id),
    ["b", "c", "d"],
  )
  assert.deepEqual(await linesOf(await clientOf(target, places), keys), ["one"])
})

test("a client of the new epoch is not served before the new places have what the old ones had", async (t) => {
  const places: Places = new Map(await Promise.all(names.map(async (id) => [id, await kinds.memory!(t, id)] as const)))
  const volume = await volumeOf(["a", "b", "c"])
  const next = nextEpoch(volume, { backends: (await volumeOf(["b", "c", "d"])).backends })
  const keys = await newKeys()
  await append(await clientOf(volume, places), keys, "one")
  await run(dying(places, 3).places, volume, next, keys).catch(() => undefined)
  await assert.rejects(linesOf(await clientOf(next, places), keys), { code: "ERR_MOVED", message: /still moving/ })
  await run(places, volume, next, keys)
  assert.deepEqual(await linesOf(await clientOf(next, places), keys), ["one"])
})

test("what a place makes up about a move stops nobody; a volume without a key is stopped by any seal", async () => {
  const volume = await volumeOf(["a", "b", "c"])
  const next = nextEpoch(volume, { backends: (await volumeOf(["b", "c", "d"])).backends })
  const name = fenceNameOf("sealed", 2)
  const fenceWith = async (bytes: Uint8Array, as = name): Promise<PlaceFence> => {
    const fence = memoryFence()
    await fence.keep(as, bytes)
    return fence
  }
  const forged = await signVolumeMove(crypto, crypto.random(32), { state: "sealed", next })
  const other = await signVolumeMove(crypto, seed, { state: "sealed", next: { ...next, id: "f".repeat(32) } })
  const real = await signVolumeMove(crypto, seed, { state: "sealed", next })
  for (const bytes of [forged, other, new Uint8Array(), utf8("x".repeat(200))])
    await checkEpoch(await fenceWith(bytes), volume, crypto)
  await checkEpoch(await fenceWith(real, fenceNameOf("sealed", 3)), volume, crypto) // not the statement of that name
  await assert.rejects(checkEpoch(await fenceWith(real), volume, crypto), { code: "ERR_MOVED" })
  const { epoch: _e, previous: _p, publicKey: _k, ...rest } = volume
  await assert.rejects(checkEpoch(await fenceWith(forged), { ...rest, version: 1 }, crypto), { code: "ERR_MOVED" })
})

test("a value that reaches the old places after the mover has read them is not acknowledged", async (t) => {
  const places: Places = new Map(
    await Promise.all([...names, "e", "f"].map(async (id) => [id, await kinds.memory!(t, id)] as const)),
  )
  const volume = await volumeOf(["a", "b", "c"])
  const next = nextEpoch(volume, { backends: (await volumeOf(["d", "e", "f"])).backends })
  const keys = await newKeys()
  await append(await clientOf(volume, places), keys, "one")
  const gate = Promise.withResolvers<void>()
  const waiting = Promise.withResolvers<void>()
  const slow = ({ backend, fence }: MovingPlace): MovingPlace => ({
    fence,
    backend: {
      ...backend,
      proposeRegisters: async (...args) => {
        waiting.resolve()
        await gate.promise
        return backend.proposeRegisters(...args)
      },
    } as MovingPlace["backend"],
  })
  const late = append(
    await clientOf(volume, new Map([...places].map(([id, place]) => [id, slow(place)]))),
    keys,
    "late",
  )
  await waiting.promise
  await run(places, volume, next, keys)
  gate.resolve()
  assert.equal(await late, undefined)
  assert.deepEqual(await linesOf(await clientOf(next, places), keys), ["one"])
})

test("what an owner began anew goes before higher numbers that it left out, which a place still has: in a move, and in a check", async () => {
  const places: Places = new Map(
    names.map((id) => [id, { backend: createMemoryBackend(id, crypto), fence: memoryFence() }] as const),
  )
  const volume = await volumeOf(["a", "b", "c"])
  const next = nextEpoch(volume, { backends: (await volumeOf(["b", "c", "d"])).backends })
  const keys = await newKeys()
  const ownerSeed = crypto.random(32)
  const seen = createMemorySeen()
  const away = async () => {
    throw new Error("away")
  }
  const registersOf = (isAway: boolean, memory = createMemorySeen()) =>
    createRegisterStore({
      env: nodeEnv,
      backends: at(places, volume).map(({ backend }) =>
        isAway && backend.id === "c" ? { ...backend, readRegisters: away, proposeRegisters: away } : backend,
      ),
      ...{ mode: "crash", seen: memory, chunks: createMemoryChunks(crypto) },
      ownerOf: () => crypto.publicKeyOf(ownerSeed),
    })
  assert.ok(await append(registersOf(false, seen), keys, "good"))
  for (const line of ["bad", "worse", "worst"]) assert.ok(await append(registersOf(false), keys, line))
  assert.deepEqual(await registersOf(true, seen).beginEpoch(keys, ownerSeed), { epoch: 1, sequence: 2 })
  const held = async (id: string) => {
    const [bytes] = await places.get(id)!.backend.readRegisters([registerIdOf(keys.publicKey)])
    const { epoch, sequence } = await decodeRegisterValue(crypto, bytes!)
    return [epoch, sequence]
  }
  assert.deepEqual(await Promise.all(["a", "b", "c"].map(held)), [
    [1, 2],
    [1, 2],
    [0, 4],
  ])
  const backends = at(places, volume).map(({ backend }) => backend)
  const copies = await checkRegister(backends, crypto, registerIdOf(keys.publicKey))
  assert.deepEqual(
    copies.map(({ problem }) => problem),
    [undefined, undefined, "is behind: newest is 2 of epoch 1, which its owner began"],
  )
  await run(places, volume, next, keys)
  assert.deepEqual(await Promise.all(["b", "c", "d"].map(held)), [
    [1, 2],
    [1, 2],
    [1, 2],
  ])
})
