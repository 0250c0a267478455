/** What a fellow writer or a race leaves in a register's history stops nobody for good: neither collections, nor readers, nor writers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { concat, fromUtf8, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import {
  type Backend,
  decodeRegisterValue,
  type Level,
  peaksOver,
  readCheckOf,
  registerHashOf,
  registerIdOf,
  signBoundValue,
  toReadCap,
  type UnsignedValue,
  verifyKeyOf,
} from "@holdfast/protocol"
import { makeAccount } from "@holdfast/protocol/testing"
import { createMemorySeen, createRegisterStore, type SeenStore } from "@holdfast/store"
import { createMemoryChunks } from "@holdfast/store/testing"
import { sealParts } from "../src/register-seal.ts"
import type { RegisterDeps } from "../src/register-store.ts"
import { testGrid } from "./fixture.ts"

type Keys = Awaited<ReturnType<typeof newKeys>>

const parts = (text: string) => ({ content: utf8(text), care: utf8(text) })

async function newKeys() {
  const seed = nodeCrypto.random(32)
  const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
  return { seed, publicKey, readKey }
}

/** The next value as anybody may sign it who may write, with a history of one level. */
async function nextOf(
  keys: Keys,
  before: Uint8Array,
  { isJunk = false, ...changes }: Partial<UnsignedValue> & { readonly isJunk?: boolean } = {},
): Promise<Uint8Array> {
  const { sequence, bound, epoch } = await decodeRegisterValue(nodeCrypto, before)
  const level: Level = [registerHashOf(before)]
  const planned = {
    ...{ publicKey: keys.publicKey, epoch, sequence: sequence + 1, follows: level, base: sequence },
    ...{ peaks: peaksOver(sequence, [level]), owner: bound!.owner, statement: bound!.statement },
    ...{ readCheck: readCheckOf(verifyKeyOf(keys.readKey)), ...changes },
  }
  const levels = { inline: [level] }
  const sealed = await sealParts(nodeEnv, keys, planned, { ...parts(`${sequence + 1}`), levels, past: [] })
  const junk = { care: concat(sealed.care, new Uint8Array(1)), sealed: concat(sealed.sealed, new Uint8Array(1)) }
  return signBoundValue(nodeCrypto, keys.seed, isJunk ? { ...sealed, ...junk } : sealed)
}

const valueAt = async (backend: Backend, { publicKey }: Keys) =>
  (await backend.readRegisters([registerIdOf(publicKey)]))[0]!

test("a value of the past that no key opens, which a fellow writer left behind a good one, keeps nobody from collecting", async () => {
  const fellow = await makeAccount(nodeCrypto)
  const grid = testGrid(3, { k: 1, n: 3, happy: 2 })
  const store = await grid.client()
  const keys = await newKeys()
  assert.ok(await store.registers.write(keys, 0, parts("1")))
  const junk = await nextOf(keys, await valueAt(grid.servers[0]!.backend, keys), { isJunk: true })
  const good = await nextOf(keys, junk)
  for (const server of grid.servers)
    for (const outcome of await server.backendOf(fellow).proposeRegisters([junk, good])) assert.ok(outcome.accepted)
  for (const asked of [keys, { publicKey: keys.publicKey, verifyKey: verifyKeyOf(keys.readKey) }]) {
    const collection = await store.beginCollection()
    const values = await collection.ownValues(asked)
    assert.deepEqual([...collection.leftOut], [])
    for (const own of values.values())
      assert.deepEqual(
        own.map(({ sequence, care }) => [sequence, care && fromUtf8(care)]),
        [
          [3, "3"],
          [2, undefined],
          [1, "1"],
        ],
      )
  }
})

const ownerSeed = nodeCrypto.random(32)

class World {
  readonly chunks = createMemoryChunks(nodeCrypto)
  readonly servers = Array.from({ length: 4 }, (_, i) => createMemoryBackend(`n${i}`, nodeCrypto))

  device(seen: SeenStore = createMemorySeen(), options: Partial<RegisterDeps> = {}) {
    const ownerOf = () => nodeCrypto.publicKeyOf(ownerSeed)
    return createRegisterStore({
      ...{ env: nodeEnv, backends: this.servers, mode: "byzantine", seen, chunks: this.chunks, ownerOf, ...options },
    })
  }
}

test("who was away while the owner began two epochs is told that nothing proves them, not of a fork, and can go on", async () => {
  const world = new World()
  const keys = await newKeys()
  const [mine, away] = [createMemorySeen(), createMemorySeen()]
  const write = async (seen: SeenStore, to: number) => {
    const registers = world.device(seen)
    for (let n = (await registers.read(keys))?.sequence ?? 0; n < to; n++)
      assert.ok(await registers.write(keys, n, parts(`${n + 1}`)))
  }
  await write(mine, 4)
  await write(createMemorySeen(), 10)
  await world.device(away).read(keys) // what the owner is about to leave out
  await world.device(mine).beginEpoch(keys, ownerSeed)
  await write(mine, 20)
  await world.device(mine).beginEpoch(keys, ownerSeed)
  await assert.rejects(world.device(away).read(keys), { code: "ERR_UNPROVEN" })
  const read = await world.device(away, { onUnproven: () => undefined }).read(keys)
  assert.deepEqual([read?.epoch, read?.sequence], [2, 21])
  assert.equal((await world.device(away).read(keys))?.epoch, 2)
})

test("what was made of a value that an owner left out since does not follow another of that number", async () => {
  const world = new World()
  const keys = await newKeys()
  const [mine, process] = [createMemorySeen(), world.device()]
  assert.ok(await world.device(mine).write(keys, 0, parts("good")))
  await process.read(keys)
  const other = world.device()
  await other.read(keys)
  assert.ok(await other.write(keys, 1, parts("bad")))
  const stale = await process.read(keys)
  assert.deepEqual([stale?.epoch, stale?.sequence], [0, 2])
  assert.deepEqual(await world.device(mine).beginEpoch(keys, ownerSeed), { epoch: 1, sequence: 2 })
  await process.read(keys) // another command of the same process
  assert.equal(await process.write(keys, 2, parts("bad, and mine"), { afterEpoch: stale!.epoch! }), false)
  assert.ok(await process.write(keys, 2, parts("good, and mine"), { afterEpoch: 1 }))
})
