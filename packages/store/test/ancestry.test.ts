/** Registers whose writer, or whose servers, hide what was seen: nothing that cannot be proven is taken, and nothing freezes a tree. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { concat, deriveKey, domainPrefix, fromUtf8, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import {
  type Backend,
  decodeRegisterValue,
  type Level,
  peaksOver,
  type RegisterValue,
  readCheckOf,
  registerHashOf,
  registerIdOf,
  signBoundValue,
  signRegisterValue,
  toReadCap,
  type UnsignedValue,
  verifyKeyOf,
} from "@holdfast/protocol"
import { createMemorySeen, createRegisterStore, type Device, type Rollback, type SeenStore } from "@holdfast/store"
import { createMemoryChunks } from "@holdfast/store/testing"
import { countLevels, extendHistory, findLevel, type History, noLevels } from "../src/register-levels.ts"
import { sealParts } from "../src/register-seal.ts"
import type { RegisterDeps } from "../src/register-store.ts"
import type { Levels } from "../src/types.ts"

const parts = (text: string) => ({ content: utf8(text), care: utf8("") })
const ownerSeed = nodeCrypto.random(32)
const owner = await nodeCrypto.publicKeyOf(ownerSeed)
const anyHash = (name: string) => registerHashOf(utf8(name))

class World {
  readonly chunks = createMemoryChunks(nodeCrypto)
  readonly servers: Backend[]
  readonly mode: "crash" | "byzantine"
  readonly keys: { readonly publicKey: Uint8Array; readonly readKey: Uint8Array; readonly seed: Uint8Array }

  constructor(keys: World["keys"], mode: "crash" | "byzantine") {
    this.keys = keys
    this.mode = mode
    const count = mode === "crash" ? 3 : 4
    this.servers = Array.from({ length: count }, (_, i) => createMemoryBackend(`n${i}`, nodeCrypto))
  }

  static async create(mode: "crash" | "byzantine" = "byzantine"): Promise<World> {
    const seed = nodeCrypto.random(32)
    const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
    return new World({ seed, publicKey, readKey }, mode)
  }

  device(seen: SeenStore = createMemorySeen(), options: Partial<RegisterDeps> = {}) {
    const { servers: backends, mode, chunks } = this
    return createRegisterStore({ env: nodeEnv, backends, mode, seen, chunks, ownerOf: async () => owner, ...options })
  }

  async write(count: number, seen: SeenStore = createMemorySeen()): Promise<void> {
    const registers = this.device(seen)
    for (let i = 0; i < count; i++) {
      const sequence = (await registers.read(this.keys))?.sequence ?? 0
      assert.ok(await registers.write(this.keys, sequence, parts(`version ${sequence + 1}`)))
    }
  }

  async newest(): Promise<{ readonly value: RegisterValue; readonly hash: Uint8Array }> {
    const [bytes] = await this.servers[0]!.readRegisters([registerIdOf(this.keys.publicKey)])
    return { value: await decodeRegisterValue(nodeCrypto, bytes!), hash: registerHashOf(bytes!) }
  }

  /** What somebody who holds the writing key may sign: a value with whatever it likes. */
  async forge(
    changes: Partial<UnsignedValue> & { readonly sequence: number },
    levels: Levels = noLevels,
    text = "forged",
  ): Promise<Uint8Array> {
    const { bound } = (await this.newest()).value
    const count = countLevels(levels)
    const base = changes.base ?? changes.sequence - count
    const planned = {
      ...{ publicKey: this.keys.publicKey, epoch: 0, base, peaks: peaksOver(base, levels.inline) },
      ...{ follows: levels.inline.at(-1) ?? [], owner: bound!.owner, statement: new Uint8Array() },
      ...{ readCheck: readCheckOf(verifyKeyOf(this.keys.readKey)), ...changes },
    }
    const sealed = await sealParts(nodeEnv, this.keys, planned, { ...parts(text), levels, past: [] })
    return signBoundValue(nodeCrypto, this.keys.seed, sealed)
  }

  async propose(bytes: Uint8Array): Promise<boolean[]> {
    const answers = await Promise.all(this.servers.map((server) => server.proposeRegisters([bytes])))
    return answers.map(([outcome]) => outcome!.accepted)
  }
}

const inventedLevels = (from: number, to: number): Level[] =>
  Array.from({ length: to - from }, (_, i) => [anyHash(`invented ${from + i}`)])

test("a device that was away for 300 versions is shown by at most two chunks that all of them follow what it saw", async () => {
  const world = await World.create("crash")
  const seen = createMemorySeen()
  await world.write(3, seen)
  await world.write(300)
  world.chunks.reads = 0
  const read = await world.device(seen).read(world.keys)
  assert.equal(read?.sequence, 303)
  assert.ok(world.chunks.reads >= 1 && world.chunks.reads <= 2, `${world.chunks.reads} reads`)
  const { value } = await world.newest()
  assert.equal(value.bound!.base, 1)
  assert.equal(value.bound!.peaks.length, 5, "302 levels are 256 + 32 + 8 + 4 + 2")
})

test("what cannot be proven as its list of versions is lost stops readers, can be looked at, and gone on from by their word", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(2, seen)
  const before = await seen.get(toHex(registerIdOf(world.keys.publicKey)))
  await world.write(150)
  world.chunks.held.clear()
  await assert.rejects(world.device(seen).read(world.keys), (error: Error & { code: string; details: Rollback }) => {
    assert.equal(error.code, "ERR_UNPROVEN")
    assert.deepEqual(
      error.details.evidence?.map(({ sequence }) => sequence),
      [2, 152],
    )
    return true
  })
  const told: Rollback[] = []
  const looking = world.device(seen, { onRollback: (rollback) => void told.push(rollback) })
  assert.equal((await looking.read(world.keys))?.sequence, 152)
  assert.deepEqual([told.length, told[0]?.unproven], [1, true])
  await assert.rejects(looking.write(world.keys, 152, parts("unseen")), { code: "ERR_UNPROVEN" })
  const register = toHex(registerIdOf(world.keys.publicKey))
  assert.deepEqual(await seen.get(register), before, "looking changes nothing")
  const accepting = world.device(seen, { onUnproven: (rollback) => void told.push(rollback) })
  await accepting.read(world.keys)
  assert.ok(await accepting.write(world.keys, 152, parts("on")))
  const after = await seen.get(register)
  assert.deepEqual(
    after?.accepted?.map(({ from, to }) => [from.sequence, to.sequence]),
    [[2, 152]],
  )
  assert.equal((await world.device(seen).read(world.keys))?.sequence, 153, "the next command needs no word")
})

test("a value with an invented history, or one that begins later, is not taken for what follows", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(5, seen)
  const invented = await world.forge({ sequence: 9 }, { inline: inventedLevels(1, 9) })
  assert.deepEqual(await world.propose(invented), [true, true, true, true], "places know no better")
  await assert.rejects(world.device(seen).read(world.keys), { code: "ERR_FORK" })
  const later = await world.forge({ sequence: 12 }, { inline: inventedLevels(8, 12) })
  await world.propose(later)
  await assert.rejects(world.device(seen).read(world.keys), { code: "ERR_UNPROVEN" })
})

test("a value that names peaks of its own choice proves nothing by levels that do not lead to them", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(5, seen)
  const { hash } = await world.newest()
  const inline = [...inventedLevels(1, 5), [hash], [anyHash("6")], [anyHash("7")]]
  const peaks = peaksOver(1, inline).with(1, anyHash("a peak"))
  await world.propose(await world.forge({ sequence: 8, peaks }, { inline }))
  await assert.rejects(world.device(seen).read(world.keys), { code: "ERR_UNPROVEN" })
})

test("the last sequence number there is, signed by a writer, freezes nothing: places refuse it, and one that offers it is passed over", async () => {
  for (const mode of ["crash", "byzantine"] as const) {
    const world = await World.create(mode)
    const seen = createMemorySeen()
    await world.write(2, seen)
    const { hash } = await world.newest()
    const last = Number.MAX_SAFE_INTEGER
    const burning = await world.forge(
      { sequence: last, base: last - 1, follows: [hash], peaks: peaksOver(last - 1, [[hash]]) },
      { inline: [[hash]] },
    )
    assert.ok((await world.propose(burning)).every((accepted) => !accepted))
    const liar: Backend = {
      ...world.servers[0]!,
      readRegisters: async () => [burning],
      proposeRegisters: async () => [{ accepted: false, current: burning, message: "no" }],
    }
    world.servers[0] = liar
    const device = world.device(seen)
    assert.equal((await device.read(world.keys))?.sequence, 2)
    assert.ok(await device.write(world.keys, 2, parts("three")))
    assert.equal((await world.device().read(world.keys))?.sequence, 3, "for who has seen nothing as well")
  }
})

test("places and readers refuse a value that opens under another read key, names another owner, or is of an older version", async () => {
  const world = await World.create()
  const seen = createMemorySeen()
  await world.write(1, seen)
  const { hash } = await world.newest()
  const levels = { inline: [[hash]] }
  const otherKeys = { ...world.keys, readKey: nodeCrypto.random(32) }
  const readCheck = readCheckOf(verifyKeyOf(otherKeys.readKey))
  const old = await signRegisterValue(nodeCrypto, world.keys.seed, {
    ...{ sequence: 2, lineage: [[hash]], sealed: new Uint8Array(48), care: new Uint8Array(48) },
  })
  const bad = [
    await world.forge({ sequence: 2, readCheck }, levels),
    await world.forge({ sequence: 2, owner: anyHash("owner") }, levels),
    old,
  ]
  for (const bytes of bad) {
    assert.ok((await world.propose(bytes)).every((accepted) => !accepted))
    const lying = {
      readRegisters: async () => [bytes],
      proposeRegisters: async () => [{ accepted: true as const, vouches: false }],
    }
    const backends = world.servers.map((server): Backend => ({ ...server, ...lying }))
    const device = (who: SeenStore) =>
      createRegisterStore({ env: nodeEnv, backends, mode: "byzantine", seen: who, chunks: world.chunks })
    await assert.rejects(device(seen).read(world.keys), { code: "ERR_FORK" })
  }
  const first = await world.forge({ sequence: 1, readCheck, follows: [], base: 1, peaks: [] })
  const fresh = [createMemoryBackend("fresh", nodeCrypto)]
  await fresh[0]!.proposeRegisters([first])
  const newcomer = createRegisterStore({
    env: nodeEnv,
    backends: fresh,
    mode: "crash",
    seen: createMemorySeen(),
    chunks: world.chunks,
  })
  await assert.rejects(newcomer.read(world.keys), { code: "ERR_CORRUPT", message: /another key/ })
})

test("a tree of version 3 goes on in version 4, and what devices knew of it is proven as far as its lineage reached", async () => {
  const world = await World.create()
  const register = toHex(registerIdOf(world.keys.publicKey))
  let lineage: Uint8Array[][] = []
  const old: Uint8Array[] = []
  for (let sequence = 1; sequence <= 24; sequence++) {
    const { sealed, care } = await oldParts(world, sequence)
    const bytes = await signRegisterValue(nodeCrypto, world.keys.seed, { sequence, lineage, sealed, care })
    await world.propose(bytes)
    old.push(bytes)
    lineage = [[registerHashOf(bytes)], ...lineage].slice(0, 20)
  }
  await world.write(100)
  const { value } = await world.newest()
  assert.deepEqual([value.version, value.bound!.base], [4, 4])
  for (const [known, code] of [
    [24, undefined],
    [5, undefined],
    [3, "ERR_UNPROVEN"],
  ] as const) {
    const seen = createMemorySeen()
    await seen.update(register, async () => ({ sequence: known, stable: old[known - 1]! }))
    const read = world.device(seen).read(world.keys)
    if (code) await assert.rejects(read, { code })
    else assert.equal((await read)?.sequence, 124)
  }
})

/** Sealed parts of version 3, as they were made before. */
async function oldParts(world: World, sequence: number) {
  const number = new Uint8Array(8)
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence))
  const seal = async (secret: Uint8Array, label: string, text: string) => {
    const salt = nodeCrypto.random(32)
    const aad = concat(domainPrefix(label), world.keys.publicKey, number)
    return concat(salt, await nodeCrypto.seal(deriveKey(secret, label, salt), new Uint8Array(12), utf8(text), aad))
  }
  return {
    sealed: await seal(world.keys.readKey, "holdfast/register-content/1", `old ${sequence}`),
    care: await seal(verifyKeyOf(world.keys.readKey), "holdfast/register-care/1", ""),
  }
}

test("the owner, and nobody else, begins another epoch with what it saw last, whatever a writer put after it", async () => {
  const world = await World.create()
  const [mine, other] = [createMemorySeen(), createMemorySeen()]
  await world.write(4, mine)
  const { hash } = await world.newest()
  // A writer drops the history and goes far ahead; another device, which knew nothing, follows it.
  await world.propose(await world.forge({ sequence: 2 ** 20 }, { inline: inventedLevels(2 ** 20 - 4, 2 ** 20) }))
  await world.device(other).read(world.keys)
  await assert.rejects(world.device(mine).read(world.keys), { code: "ERR_UNPROVEN" })
  await assert.rejects(world.device(mine).beginEpoch(world.keys, nodeCrypto.random(32)), {
    code: "ERR_WRONG_CAPABILITY",
  })
  assert.deepEqual(await world.device(mine).beginEpoch(world.keys, ownerSeed), { epoch: 1, sequence: 5 })
  for (const seen of [mine, other, createMemorySeen()]) {
    const read = await world.device(seen).read(world.keys)
    assert.deepEqual([read?.epoch, read?.sequence, fromUtf8(read!.content)], [1, 5, "version 4"])
  }
  assert.deepEqual((await world.newest()).value.bound!.follows, [hash])
  await world.write(3, other)
  const [bytes] = await world.servers[1]!.readRegisters([registerIdOf(world.keys.publicKey)])
  const after = await decodeRegisterValue(nodeCrypto, bytes!)
  assert.deepEqual([after.epoch, after.sequence], [1, 8])
  const back = await world.forge({ sequence: 2 ** 20 + 1 }, { inline: inventedLevels(2 ** 20 - 4, 2 ** 20 + 1) })
  assert.ok(
    (await world.propose(back)).every((accepted) => !accepted),
    "the old epoch is over",
  )
})

test("versions name the device that wrote them, and those before; what another claims to have written is not shown", async () => {
  const world = await World.create("crash")
  const deviceOf = async (name: string): Promise<Device> => {
    const seed = nodeCrypto.random(32)
    const sign = (message: Uint8Array) => nodeCrypto.sign(seed, message)
    return { device: await nodeCrypto.publicKeyOf(seed), account: new Uint8Array(32).fill(7), name, sign }
  }
  const [laptop, phone] = await Promise.all([deviceOf("laptop"), deviceOf("phone")])
  const by = (device: Device) => world.device(createMemorySeen(), { device: async () => device })
  await by(laptop).write(world.keys, 0, parts("1"))
  await by(phone).write(world.keys, 1, parts("2"))
  const read = await world.device().read(world.keys)
  assert.deepEqual(
    [read?.author?.name, read?.author?.device, read?.author?.account],
    ["phone", phone.device, phone.account],
  )
  assert.deepEqual(
    read?.past?.map(({ sequence, author }) => [sequence, author.name]),
    [[1, "laptop"]],
  )
  await by({ ...laptop, name: "phone", device: phone.device }).write(world.keys, 2, parts("3"))
  assert.equal((await world.device().read(world.keys))?.author, undefined)
})

test("levels move from the value into chunks of 4,096; each is found again by reading few of them", async () => {
  const chunks = createMemoryChunks(nodeCrypto)
  let history: History = { sequence: 7, base: 7, peaks: [], levels: noLevels }
  const count = 9000
  const levelOf = (sequence: number): Level =>
    Array.from({ length: sequence % 97 === 0 ? 3 : 1 }, (_, i) => anyHash(`${sequence} ${i}`))
  for (let i = 0; i < count; i++) {
    history = await extendHistory(chunks, history, levelOf(history.sequence))
    assert.ok(history.levels.inline.length <= 128)
  }
  assert.deepEqual([countLevels(history.levels), history.levels.index?.count], [count, 2])
  for (const sequence of [7, 8, 4102, 4103, 8198, 8199, 8900, 9005, 9006]) {
    chunks.reads = 0
    const proof = await findLevel(chunks, history, sequence)
    assert.deepEqual(proof?.level, levelOf(sequence), `${sequence}`)
    assert.ok(chunks.reads <= 3, `${sequence}: ${chunks.reads} reads`)
  }
  assert.equal(await findLevel(chunks, history, 6), undefined)
  assert.equal(await findLevel(chunks, history, 9007), undefined)
})

test("a history whose older levels are lost begins anew, when there is no more room for them, instead of stopping writers", async () => {
  const chunks = createMemoryChunks(nodeCrypto)
  let history: History = { sequence: 1, base: 1, peaks: [], levels: noLevels }
  const extend = async () => {
    history = await extendHistory(chunks, history, [anyHash(`${history.sequence}`)])
  }
  while (!history.levels.tail) await extend()
  chunks.held.clear()
  while (history.base === 1) await extend()
  assert.ok(history.sequence - history.base >= 100 && countLevels(history.levels) === history.sequence - history.base)
  const proof = await findLevel(chunks, history, history.base)
  assert.deepEqual(proof?.level, [anyHash(`${history.base}`)])
})
