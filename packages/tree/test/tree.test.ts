import assert from "node:assert/strict"
import { test } from "node:test"
import type { RegisterStore } from "@holdfast/store"
import fc from "fast-check"
import { createTree, type Entry, openTree, plainAttributes, type Tree, walk } from "../src/index.ts"
import { collect, env, file, MemoryChunks, MemoryRegisters, newKeys } from "./grid.ts"

const plain = plainAttributes(0o755, 0)

async function freshTree() {
  const options = { chunks: new MemoryChunks(), registers: new MemoryRegisters(), env, keys: newKeys() }
  return { tree: await createTree(options), options }
}

async function paths(tree: Tree, at?: Awaited<ReturnType<Tree["root"]>>): Promise<string[]> {
  const items = await collect(walk(tree.io, at === undefined ? await tree.root() : at))
  return items.map(({ path }) => path.join("/"))
}

test("a commit makes all its changes at once, in one chunk and one register write", async () => {
  const { tree, options } = await freshTree()
  const before = options.registers.writes
  const result = await tree.commit(async (session) => {
    await session.mkdir(["a", "b"], plain, { parents: true })
    session.set(["a", "b", "deep"], file("deep"))
    session.set(["top"], file("top"))
  })
  assert.equal(result.changed, true)
  assert.equal(options.registers.writes, before + 1)
  assert.equal(options.chunks.stored.size, 1)
  const again = await openTree(options)
  assert.deepEqual(await paths(again), ["a", "a/b", "a/b/deep", "top"])
  assert.deepEqual(
    (await collect(again.list(["a", "b"]))).map(({ name }) => name),
    ["deep"],
  )
  assert.equal((await again.lookup([]))?.kind, "directory")
  assert.equal(await again.lookup(["a", "none"]), undefined)
})

test("a commit that changes nothing writes nothing", async () => {
  const { tree, options } = await freshTree()
  await tree.commit(async (session) => session.set(["x"], file("x")))
  const { writes } = options.registers
  const { putBytes } = options.chunks
  const result = await tree.commit(async (session) => {
    session.set(["x"], file("x"))
    session.remove(["y"])
  })
  assert.equal(result.changed, false)
  assert.deepEqual([options.registers.writes, options.chunks.putBytes], [writes, putBytes])
})

test("writers of one open tree do not race: each commit is one register write, and none is lost", async () => {
  const { tree, options } = await freshTree()
  const before = options.registers.writes
  const names = Array.from({ length: 50 }, (_, i) => `file-${i}`)
  const views = [tree, tree.stoppedBy(new AbortController().signal)]
  const results = await Promise.all(
    names.map((name, i) => views[i % 2]!.commit(async (session) => session.set([name], file(name)))),
  )
  assert.ok(results.every(({ attempts }) => attempts === 1))
  assert.equal(options.registers.writes, before + names.length)
  assert.deepEqual((await paths(tree)).toSorted(), names.toSorted())
})

test("who waits for another's commit is stopped at once, and commits nothing then", async () => {
  const { tree } = await freshTree()
  const held = Promise.withResolvers<void>()
  const first = tree.commit(async (session) => {
    await held.promise
    session.set(["first"], file("first"))
  })
  const stop = new AbortController()
  const second = tree.stoppedBy(stop.signal).commit(async (session) => session.set(["second"], file("second")))
  stop.abort()
  await assert.rejects(second, { name: "AbortError" })
  held.resolve()
  await first
  assert.deepEqual(await paths(tree), ["first"])
})

test("mkdir, move and remove do as they say and refuse what cannot be", async () => {
  const { tree } = await freshTree()
  await tree.commit(async (session) => {
    await session.mkdir(["d"], plain)
    session.set(["d", "f"], file("f"))
    await session.move(["d"], ["e"])
    assert.equal((await session.lookup(["e", "f"]))?.kind, "file")
    assert.equal(await session.lookup(["d"]), undefined)
  })
  assert.deepEqual(await paths(tree), ["e", "e/f"])
  await tree.commit(async (session) => {
    await session.mkdir(["e"], { ...plain, mode: 0o700 }, { update: true })
    await session.mkdir(["e", "g"], plain)
    await session.move(["e", "f"], ["h"])
  })
  assert.deepEqual(await paths(tree), ["e", "e/g", "h"])
  assert.equal((await tree.lookup(["e"]))?.mode, 0o700)
  await tree.commit(async (session) => session.remove(["e"]))
  assert.deepEqual(await paths(tree), ["h"])
  const refused = (code: string, change: Parameters<Tree["commit"]>[0]) => assert.rejects(tree.commit(change), { code })
  await refused("ERR_ALREADY_EXISTS", (session) => session.mkdir(["h"], plain))
  await refused("ERR_NOT_FOUND", (session) => session.mkdir(["no", "where"], plain))
  await refused("ERR_NOT_FOUND", async (session) => session.set(["no", "where"], file("where")))
  await refused("ERR_NOT_A_DIRECTORY", async (session) => session.set(["h", "x"], file("x")))
  await refused("ERR_NOT_FOUND", (session) => session.move(["no"], ["x"]))
  await refused("ERR_INVALID_ARGUMENT", (session) => session.move(["h"], ["h", "x"]))
  await refused("ERR_INVALID_NAME", async (session) => session.set(["a/b"], file("a")))
  assert.deepEqual(await paths(tree), ["h"])
})

test("of many writers at once every one's files are kept", async () => {
  const { tree, options } = await freshTree()
  await tree.commit(async (session) => session.set(["base"], file("base")))
  const results = await Promise.all(
    Array.from({ length: 6 }, async (_, i) => {
      const own = await openTree(options)
      return own.commit(async (session) => {
        await session.mkdir(["shared"], plain, { parents: true })
        session.set(["shared", `from-${i}`], file(`from-${i}`))
        session.set(["same"], file("same", `text ${i}`))
      })
    }),
  )
  const found = await paths(tree)
  for (let i = 0; i < 6; i++) assert.ok(found.includes(`shared/from-${i}`), found.join())
  assert.equal(found.filter((path) => /^same( \(conflict [0-9a-f]{8}\))?$/.test(path)).length, 6, found.join())
  assert.ok(results.some(({ attempts }) => attempts > 1))
  assert.equal(results.flatMap(({ conflicts }) => conflicts).length, 5)
})

test("a writer that always loses gives up after 20 tries and says so", async () => {
  const { options } = await freshTree()
  const clock = { nowMs: () => 0, sleep: async () => undefined }
  const registers = Object.assign(Object.create(options.registers) as MemoryRegisters, { write: async () => false })
  const unlucky = await openTree({ ...options, registers, env: { ...env, clock } })
  await assert.rejects(
    unlucky.commit(async (session) => session.set(["x"], file("x"))),
    { code: "ERR_CONFLICT" },
  )
})

test("values of one sequence are read as one, and merged by the next commit", async () => {
  const { tree, options } = await freshTree()
  await tree.commit(async (session) => session.set(["base"], file("base")))
  const [key, common] = [...options.registers.values][0]!
  await tree.commit(async (session) => session.set(["mine"], file("mine")))
  const mine = options.registers.values.get(key)!
  options.registers.values.set(key, common)
  await tree.commit(async (session) => session.set(["theirs"], file("theirs")))
  const theirs = options.registers.values.get(key)!
  options.registers.values.set(key, { ...mine, siblings: [theirs] })
  assert.deepEqual(await paths(tree), ["base", "mine", "theirs"])
  assert.equal(options.registers.values.get(key)!.siblings!.length, 1)
  await tree.commit(async () => undefined)
  assert.equal(options.registers.values.get(key)!.siblings, undefined)
  assert.deepEqual(await paths(tree), ["base", "mine", "theirs"])
})

test("a change stays though its own lost value was read between and followed by nobody", async () => {
  const { tree, options } = await freshTree()
  const [key] = [...options.registers.values.keys()]
  const others = await openTree(options)
  let lost = 0
  const write: RegisterStore["write"] = async (keys, after, parts) => {
    if (lost++ === 2) return options.registers.write(keys, after, parts)
    await others.commit(async (session) => session.set([`theirs-${lost}`], file("theirs")))
    const held = options.registers.values.get(key!)!
    if (lost === 1) options.registers.values.set(key!, { ...held, siblings: [parts] })
    return false
  }
  const read: RegisterStore["read"] = async (keys) => {
    const value = await options.registers.read(keys)
    const { siblings: _, ...alone } = value!
    options.registers.values.set(key!, alone) // the next reader hears of it no more
    return value
  }
  const registers = Object.assign(Object.create(options.registers) as MemoryRegisters, { read, write })
  const racer = await openTree({ ...options, registers })
  await racer.commit(async (session) => session.set(["mine"], file("mine")))
  assert.deepEqual(await paths(tree), ["mine", "theirs-1", "theirs-2"])
})

test("snapshots keep what was and can be forgotten", async () => {
  const { tree } = await freshTree()
  await tree.commit(async (session) => session.set(["old"], file("old")))
  await tree.snapshots.create("monday")
  await tree.commit(async (session) => session.remove(["old"]))
  const snapshot = await tree.snapshots.lookup("monday")
  assert.deepEqual(await paths(tree), [])
  assert.deepEqual(await paths(tree, snapshot!.reference), ["old"])
  assert.equal((await tree.lookup(["old"], snapshot!.reference))?.kind, "file")
  await assert.rejects(tree.snapshots.create("monday"), { code: "ERR_ALREADY_EXISTS" })
  for (const name of ["", "a/b", "mon@day", "a\0", "x".repeat(65), "\ud800"])
    await assert.rejects(tree.snapshots.create(name), { code: "ERR_INVALID_NAME" }, JSON.stringify(name))
  assert.equal((await collect(tree.snapshots.list())).length, 1)
  await tree.snapshots.remove("monday")
  await assert.rejects(tree.snapshots.remove("monday"), { code: "ERR_NOT_FOUND" })
})

test("the last 16 roots stay reachable, newest first", async () => {
  const { tree } = await freshTree()
  for (let i = 0; i < 20; i++) await tree.commit(async (session) => session.set([`f${i}`], file(`f${i}`)))
  const { history } = await tree.content()
  assert.deepEqual(
    history.map(({ sequence }) => sequence),
    Array.from({ length: 16 }, (_, i) => 20 - i),
  )
  assert.equal((await paths(tree, history[15]!.root)).length, 4)
  const held = new Set((await collect(tree.chunks())).map(({ id }) => Buffer.from(id).toString("hex")))
  assert.equal(held.size, 17)
})

type Step = readonly ["set" | "mkdir" | "remove" | "move", number, number]
const pool = [["a"], ["b"], ["a", "x"], ["a", "y"], ["b", "x"], ["a", "x", "q"], ["b", "x", "r"]]
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("set" as const, "mkdir" as const, "remove" as const, "move" as const),
  fc.nat(pool.length - 1),
  fc.nat(pool.length - 1),
)

/** A tree as a map of path to kind, where nothing is without its parents. */
function applyToModel(model: Map<string, Entry["kind"]>, [kind, from, to]: Step): boolean {
  const at = pool[from]!.join("/")
  const parentOf = (path: string) => path.split("/").slice(0, -1).join("/")
  const hasParent = (path: string) => parentOf(path) === "" || model.get(parentOf(path)) === "directory"
  const below = (path: string) => [...model.keys()].filter((key) => key === path || key.startsWith(`${path}/`))
  if (kind === "remove") {
    for (const key of below(at)) model.delete(key)
    return true
  }
  if (kind === "move") {
    const target = pool[to]!.join("/")
    if (!model.has(at) || model.has(target) || !hasParent(target) || `${target}/`.startsWith(`${at}/`)) return false
    for (const key of below(at)) {
      model.set(target + key.slice(at.length), model.get(key)!)
      model.delete(key)
    }
    return true
  }
  if (!hasParent(at) || (kind === "mkdir" && model.has(at))) return false
  if (kind === "set") for (const key of below(at)) model.delete(key)
  model.set(at, kind === "set" ? "file" : "directory")
  return true
}

test("any sequence of changes leaves the tree that a simple model predicts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { maxLength: 12 }), { maxLength: 5 }), async (commits) => {
      const { tree } = await freshTree()
      const model = new Map<string, Entry["kind"]>()
      for (const steps of commits) {
        await tree.commit(async (session) => {
          for (const next of steps) {
            if (!applyToModel(model, next)) continue
            const [kind, from, to] = next
            if (kind === "set") session.set(pool[from]!, file("f", `${from}`))
            else if (kind === "remove") session.remove(pool[from]!)
            else if (kind === "mkdir") await session.mkdir(pool[from]!, plain)
            else await session.move(pool[from]!, pool[to]!)
          }
        })
        const items = await collect(walk(tree.io, await tree.root()))
        assert.deepEqual(
          new Map(items.map(({ path, entry }) => [path.join("/"), entry.kind])),
          new Map([...model].sort()),
        )
      }
    }),
    { numRuns: 150 },
  )
})
