import assert from "node:assert/strict"
import { before, test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { HoldfastError, toHex } from "@holdfast/core"
import { type Cap, toReadCap } from "@holdfast/protocol"
import { createMemorySeen, createStore, IdSet, type RegisterKeys, type SeenStore, type Store } from "@holdfast/store"
import { type Attack, attacks, chunkIds, createMaliciousService, type MaliciousService } from "@holdfast/store/testing"
import {
  createFileWriter,
  createTree,
  type DirectoryRef,
  type Entry,
  openTree,
  plainAttributes,
  readFile,
  type Tree,
  walk,
} from "../src/index.ts"
import { bytesOf, env, file, noise } from "./grid.ts"

/** A tree's owner. */
interface Owned {
  readonly keys: Required<RegisterKeys>
  readonly seen: SeenStore
  /** What each version held, by path. */
  readonly versions: ReadonlyMap<string, string>[]
}

let service: MaliciousService
let alice: Owned
let alicesOther: Owned
let bob: Owned

const plain = plainAttributes(0o755, 0)

function open(seen: SeenStore): Promise<Store> {
  return createStore({
    env,
    servers: service.backends.map((backend) => ({ backend, weight: 1 })),
    coding: { k: 2, happy: 3, n: 4 },
    registerMode: "byzantine",
    seen,
    hedgeMs: 1000,
  })
}

async function newOwner(): Promise<Owned> {
  const seed = env.crypto.random(32)
  const { publicKey, readKey } = await toReadCap(env.crypto, { kind: "dw", seed } satisfies Cap)
  return { keys: { seed, publicKey, readKey }, seen: createMemorySeen(), versions: [] }
}

/** Commits files of every size, as version after version. */
async function fill(owner: Owned, name: string) {
  const tree = await createTree({ ...(await open(owner.seen)), env, keys: owner.keys })
  owner.versions.push(new Map())
  for (const version of [1, 2, 3]) {
    const writer = createFileWriter(tree.io)
    const sizes = { small: 100, packed: 20_000 + version, same: 9000, ...(version === 2 && { large: 4_300_000 }) }
    const adding = Object.entries(sizes).map(async ([path, size]) => {
      const bytes = noise(size, path === "same" ? 1 : name.length * 100 + version)
      return [path, await writer.add(bytes)] as const
    })
    await writer.flush()
    const contents = await Promise.all(adding)
    await tree.commit(async (session) => {
      await session.mkdir(["d"], plain, { parents: true })
      for (const [path, content] of contents)
        session.set(["d", path], { ...plain, name: path, kind: "file", size: content.size, content })
      for (let i = 0; version === 1 && i < 1500; i++) session.set(["d", `n${i}`], file(`n${i}`, `${name} ${i}`))
      session.set(["version"], file("version", `${name} ${version}`))
    })
    if (version === 2) await tree.snapshots.create("second")
    owner.versions.push(await contentsOf(tree))
  }
}

/** What each path holds, or the error of reading it. */
async function contentsOf(tree: Tree, at?: DirectoryRef): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const { path, entry } of walk(tree.io, at === undefined ? await tree.root() : at))
    found.set(path.join("/"), await contentOf(tree, entry))
  return found
}

async function contentOf(tree: Tree, entry: Entry): Promise<string> {
  if (entry.kind !== "file") return entry.kind
  return bytesOf(readFile(tree.io, entry)).then(async (bytes) => toHex(await env.crypto.sha256(bytes)), failed)
}

/** For any error but those of ours the test ends. */
function failed(error: unknown): string {
  if (error instanceof HoldfastError) return `failed: ${error.code}`
  throw error
}

before(async () => {
  const honest = Array.from({ length: 4 }, (_, i) => createMemoryBackend(`n${i + 1}`, env.crypto))
  service = createMaliciousService(honest, env.crypto)
  alice = await newOwner()
  alicesOther = await newOwner()
  bob = await newOwner()
  await fill(alice, "alice")
  await fill(alicesOther, "other")
  await fill(bob, "bob")
})

const isPart = (found: ReadonlyMap<string, string>, version: ReadonlyMap<string, string>) =>
  [...found].every(([path, content]) => content.startsWith("failed") || content === version.get(path))

/** Reads all there is as a new client does; what it gives must be of one of `versions`, whole or not at all. */
async function assertRight(owner: Owned, seen: SeenStore, versions: Owned["versions"], what: string) {
  try {
    const tree = await openTree({ ...(await open(seen)), env, keys: owner.keys })
    const root = await tree.root()
    const found = await contentsOf(tree, root)
    assert.ok(
      versions.some((version) => isPart(found, version)),
      `${what}: ${[...found].filter(([path, content]) => content !== versions.at(-1)!.get(path)).slice(0, 5)}`,
    )
    for await (const { name, reference } of tree.snapshots.list()) {
      const then = await contentsOf(tree, reference)
      assert.ok(isPart(then, owner.versions[2]!), `${what}: snapshot ${name}`)
    }
  } catch (error) {
    failed(error)
  }
}

/** Every variant of an attack, the service honest again afterwards. */
async function under(name: string, work: (attack: Attack, what: string) => Promise<void>) {
  try {
    for (const [variant, attack] of attacks[name]!(service).entries()) {
      service.attack = attack
      await work(attack, `${name} ${variant}`)
    }
  } finally {
    service.attack = undefined
  }
}

for (const name of Object.keys(attacks)) {
  test(`a service that ${name} makes a reader who saw the newest fail, and never read anything else`, async () => {
    await under(name, async (_attack, what) => {
      for (const owner of [alice, bob]) await assertRight(owner, owner.seen, owner.versions.slice(-1), what)
    })
    await assertRight(alice, alice.seen, alice.versions.slice(-1), "honest again")
  })

  test(`a service that ${name} makes check, repair, rebalance and collecting fail or do right`, async () => {
    await under(name, async (_attack, what) => {
      const store = await open(alice.seen)
      const ids = chunkIds(service)
      for (const id of ids.slice(0, 4)) {
        await store.checkChunk(id).catch(failed)
        const health = await store.checkChunk(id, { repair: true }).catch(failed)
        if (typeof health === "object") assert.ok(health.goodShares <= health.n, `${what}: ${health.goodShares}`)
        await store.rebalanceChunk(id).catch(failed)
      }
      const collection = await store.beginCollection()
      const [live, registers] = [new IdSet(env.crypto), new IdSet(env.crypto)]
      for (const id of ids) live.add(id)
      const collector = { publicKey: alice.keys.publicKey, sign: async () => new Uint8Array(64) }
      await collection.run({ collector, live, registers, graceMs: 0 })
    })
    await assertRight(alice, alice.seen, alice.versions.slice(-1), "honest again")
  })
}

for (const name of Object.keys(attacks).filter((attack) => /register|back|everything|kind/.test(attack)))
  test(`a service that ${name} shows a reader who saw nothing yet at most a whole older version`, async () => {
    await under(name, (_attack, what) => assertRight(alice, createMemorySeen(), alice.versions, what))
  })
