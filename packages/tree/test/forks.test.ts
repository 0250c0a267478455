import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { isHoldfastError, toHex } from "@holdfast/core"
import { type Backend, decodeRegisterValue, registerIdOf, toReadCap } from "@holdfast/protocol"
import { createMemorySeen, createStore, type RegisterKeys } from "@holdfast/store"
import { createTree, openTree, type Tree } from "../src/index.ts"
import { collect, env, file } from "./grid.ts"

/** Five servers whose registers can be cut off and put back to an earlier value. */
class Servers {
  readonly inner = Array.from({ length: 5 }, (_, i) => createMemoryBackend(`n${i}`, env.crypto))
  /** Says whether server `i` fails now; reads and writes of registers only. */
  fails: (i: number, isWrite: boolean) => boolean = () => false
  keys!: Required<RegisterKeys>
  readonly #backends = this.inner.map((backend, i) => this.#behindSwitch(backend, i))

  static async start(): Promise<Servers> {
    const servers = new Servers()
    const seed = env.crypto.random(32)
    const { publicKey, readKey } = await toReadCap(env.crypto, { kind: "dw", seed })
    servers.keys = { seed, publicKey, readKey }
    return servers
  }

  /** What a new client without memory stands on. */
  async client({ happy = 3 } = {}) {
    const store = await createStore({
      env,
      servers: this.#backends.map((backend) => ({ backend, weight: 1 })),
      // As many as a quorum: with more, what only a quorum took is not acknowledged, and two such values never both are.
      coding: { k: 3, happy, n: 5 },
      registerMode: "crash",
      seen: createMemorySeen(),
    })
    return { ...store, env, keys: this.keys }
  }

  /** Different values among the newest ones, over all servers. */
  async newestValues(): Promise<number> {
    const id = registerIdOf(this.keys.publicKey)
    const read = await Promise.all(this.inner.map((backend) => backend.readRegisters([id])))
    const held = read.flatMap(([bytes]) => (bytes ? [bytes] : []))
    const values = await Promise.all(held.map((bytes) => decodeRegisterValue(env.crypto, bytes)))
    const top = Math.max(...values.map(({ sequence }) => sequence))
    return new Set(held.filter((_, i) => values[i]!.sequence === top).map(toHex)).size
  }

  /** Server `i` loses its newer register values, as when restored from an old copy. */
  async rollBack(i: number, value: Uint8Array): Promise<void> {
    const fresh = createMemoryBackend(`n${i}`, env.crypto)
    const shares = await this.inner[i]!.getShares(await this.inner[i]!.listMarks({ limit: 4096 }))
    await fresh.putShares(
      shares.flatMap((share) => (share ? [share] : [])),
      { batch: env.crypto.random(16) },
    )
    await fresh.proposeRegisters([value])
    this.inner[i] = fresh
  }

  #behindSwitch(backend: Backend, i: number): Backend {
    const guard = (isWrite: boolean) => {
      if (this.fails(i, isWrite)) throw new Error(`n${i} is cut off`)
      return this.inner[i]!
    }
    return {
      ...backend,
      putShares: (...args) => this.inner[i]!.putShares(...args),
      markShares: (...args) => this.inner[i]!.markShares(...args),
      getShares: (...args) => this.inner[i]!.getShares(...args),
      hasShares: (...args) => this.inner[i]!.hasShares(...args),
      readRegisters: async (...args) => guard(false).readRegisters(...args),
      proposeRegisters: async (...args) => guard(true).proposeRegisters(...args),
    }
  }
}

const add = (tree: Tree, name: string) => tree.commit(async (session) => session.set([name], file(name)))
const names = async (tree: Tree) => (await collect(tree.list([]))).map(({ name }) => name)

async function holdsAllIds(tree: Tree): Promise<boolean> {
  const listed = new Set((await collect(tree.caredFor())).map(toHex))
  return (await collect(tree.chunks())).every(({ id }) => listed.has(toHex(id)))
}

test("of two values with one sequence both are read as one, and the next commit keeps both", async () => {
  for (let round = 0; round < 6; round++) {
    const servers = await Servers.start()
    await add(await createTree(await servers.client()), "base")
    const [a, b] = [await openTree(await servers.client()), await openTree(await servers.client())]
    servers.fails = (i, isWrite) => isWrite && i >= 2
    await assert.rejects(add(a, "unacknowledged"), { code: "ERR_NO_QUORUM" })
    servers.fails = (i) => i < 2
    await add(b, "acknowledged")
    servers.fails = () => false
    assert.equal(await servers.newestValues(), 2)
    const reader = await openTree(await servers.client())
    assert.deepEqual(await names(reader), ["acknowledged", "base", "unacknowledged"])
    assert.ok(await holdsAllIds(reader))
    await add(await openTree(await servers.client()), "next")
    assert.equal(await servers.newestValues(), 1)
    assert.deepEqual(await names(reader), ["acknowledged", "base", "next", "unacknowledged"])
    assert.ok(await holdsAllIds(reader))
  }
})

test("two values that were both acknowledged, as a server was rolled back between, are both kept", async () => {
  const servers = await Servers.start()
  const id = registerIdOf(servers.keys.publicKey)
  await add(await createTree(await servers.client()), "base")
  const [before] = await servers.inner[2]!.readRegisters([id])
  const b = await openTree(await servers.client())
  servers.fails = (i) => i > 2
  await add(await openTree(await servers.client()), "first")
  await servers.rollBack(2, before!)
  servers.fails = (i) => i < 2
  await add(b, "second")
  servers.fails = () => false
  assert.equal(await servers.newestValues(), 2)
  const late = await openTree(await servers.client())
  assert.deepEqual(await names(late), ["base", "first", "second"])
  await add(late, "third")
  assert.deepEqual(await names(late), ["base", "first", "second", "third"])
  assert.equal(await servers.newestValues(), 1)
  assert.ok(await holdsAllIds(late))
})

test("of writers that race while servers come and go nothing acknowledged is lost", async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const servers = await Servers.start()
    await createTree(await servers.client())
    let state = seed
    const chance = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state / 2 ** 32
    }
    const trees = await Promise.all(Array.from({ length: 4 }, async () => openTree(await servers.client())))
    servers.fails = () => chance() < 0.15
    const acknowledged: string[] = []
    await Promise.all(
      trees.map(async (tree, writer) => {
        for (let i = 0; i < 6; i++) {
          const name = `w${writer}-${i}`
          try {
            await add(tree, name)
            acknowledged.push(name)
          } catch (error) {
            assert.ok(isHoldfastError(error, "ERR_NO_QUORUM"), String(error))
          }
        }
      }),
    )
    servers.fails = () => false
    const last = await openTree(await servers.client())
    await add(last, "last")
    const found = new Set(await names(last))
    assert.ok(acknowledged.length >= 8, `only ${acknowledged.length} commits came through`)
    for (const name of acknowledged) assert.ok(found.has(name), `seed ${seed}: ${name} is lost`)
    assert.ok(await holdsAllIds(last))
  }
})

test("where happy is above a quorum, what only a quorum took is not acknowledged, and is merged by who comes later", async () => {
  const servers = await Servers.start()
  const first = await servers.client()
  await createTree(first)
  const strict = await openTree(await servers.client({ happy: 4 }))
  servers.fails = (i, isWrite) => isWrite && i >= 3
  await assert.rejects(add(strict, "unacknowledged"), { code: "ERR_NOT_ENOUGH_SERVERS" })
  servers.fails = () => false
  const later = await openTree(await servers.client({ happy: 4 }))
  await add(later, "later")
  assert.deepEqual(await names(later), ["later", "unacknowledged"])
})
