import assert from "node:assert/strict"
import { test } from "node:test"
import { type CborValue, compare, encodeCbor, limits, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { IdSet, idPrefixes } from "@holdfast/store"
import fc from "fast-check"
import { appendCare, careIds, emptyCare, exactCare, isExact } from "../src/care.ts"
import {
  createTree,
  type DirectoryRef,
  decodeCare,
  encodeCare,
  openTree,
  plainAttributes,
  readCare,
  type Tree,
} from "../src/index.ts"
import { collect, env, file, MemoryChunks, MemoryRegisters, newKeys, noise } from "./grid.ts"

const plain = plainAttributes(0o755, 0)
const idOf = (i: number) => new Uint8Array(Buffer.from(noise(32, i + 1)))

async function freshTree() {
  const chunks = new MemoryChunks()
  const options = { chunks, registers: new MemoryRegisters(), env, keys: newKeys() }
  return { tree: await createTree(options), options, chunks }
}

/** Ids that the care list in the register names, as a holder of the verify key reads them. */
async function listed({ chunks, options }: Awaited<ReturnType<typeof freshTree>>): Promise<string[]> {
  const verifyKey = new Uint8Array(32)
  const lists = await readCare(options.registers, { publicKey: options.keys.publicKey, verifyKey })
  const ids: string[] = []
  for (const list of lists) for await (const id of careIds(chunks, list)) ids.push(toHex(id))
  return ids
}

function holdsAll(all: ReadonlySet<string>, some: ReadonlySet<string>): boolean {
  return [...some].every((id) => all.has(id))
}

async function needed(tree: Tree): Promise<Set<string>> {
  return new Set((await collect(tree.chunks())).map(({ id }) => toHex(id)))
}

async function putFile(tree: Tree, path: readonly string[], size: number, seed: number): Promise<void> {
  const content = await tree.io.chunks.putChunk(noise(size, seed).slice())
  const reference = { chunk: { id: content.id, key: content.key }, offset: 0, length: size }
  await tree.commit(async (session) => {
    const own = { ...plain, name: path.at(-1)!, kind: "file" as const, size }
    session.set(path, { ...own, content: { form: "single", size, reference } })
  })
}

type Step = readonly [kind: "put" | "rename" | "remove" | "snapshot" | "restore" | "mkdir", a: number, b: number]
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.constantFrom("put", "rename", "remove", "snapshot", "restore", "mkdir"),
  fc.nat(5),
  fc.nat(5),
)

test("after any commits the care list names every chunk that root, history and snapshots need", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const made = await freshTree()
      const { tree } = made
      for (const [i, [kind, a, b]] of steps.entries()) {
        const at = a % 2 === 0 ? [`f${a}`] : ["d", `f${a}`]
        try {
          if (kind === "put") await putFile(tree, at, 600 + b, i)
          else if (kind === "mkdir") await tree.commit((session) => session.mkdir(["d"], plain))
          else if (kind === "rename") await tree.commit((session) => session.move(at, [`f${b}`]))
          else if (kind === "remove") await tree.commit(async (session) => session.remove(a === 0 ? ["d"] : at))
          else if (kind === "snapshot") await tree.snapshots.create(`s${b}`)
          else {
            const snapshot = await tree.snapshots.lookup(`s${b}`)
            if (snapshot) await tree.commit(async (session) => session.set(["d"], { ...snapshot, name: "d" }))
          }
        } catch (error) {
          assert.match(
            String((error as { code?: string }).code),
            /^ERR_(NOT_FOUND|ALREADY_EXISTS|NOT_A_DIRECTORY|INVALID_ARGUMENT)$/,
          )
        }
        const names = new Set(await listed(made))
        for (const id of await needed(tree)) assert.ok(names.has(id), `${id} is missing after step ${i} ${kind}`)
      }
    }),
    { numRuns: 100 },
  )
})

test("a list of many ids has few segments, and each id is written a few times only", async () => {
  const chunks = new MemoryChunks()
  let care = emptyCare
  const count = 20_000
  for (let i = 0; i < count; i += 2) {
    care = await appendCare(chunks, [care], [idOf(i), idOf(i + 1)])
    assert.ok(encodeCare(care).length < 4096)
  }
  assert.ok(care.segments.length <= 10, `${care.segments.length} segments`)
  assert.ok(chunks.putBytes < count * 32 * 9, `${chunks.putBytes / 32 / count} times`)
  const ids = new Set((await collect(careIds(chunks, decodeCare(encodeCare(care))))).map(toHex))
  for (let i = 0; i < count; i++) assert.ok(ids.has(toHex(idOf(i))))
})

test("a commit survives a segment that cannot be read, and the list keeps naming it", async () => {
  const made = await freshTree()
  for (let i = 0; i < 50; i++) await putFile(made.tree, [`f${i}`], 700, i)
  const [segment] = (await readCare(made.options.registers, { ...made.options.keys, verifyKey: idOf(1) }))[0]!.segments
  assert.ok(segment)
  const lost = toHex(segment.chunk.id)
  made.chunks.stored.delete(lost)
  for (let i = 50; i < 150; i++) await putFile(made.tree, [`f${i}`], 700, i)
  const [list] = await readCare(made.options.registers, { ...made.options.keys, verifyKey: idOf(1) })
  const problems: unknown[] = []
  const ids = new Set((await collect(careIds(made.chunks, list!, (error) => problems.push(error)))).map(toHex))
  assert.ok(ids.has(lost) && problems.length === 1)
  await assert.rejects(collect(careIds(made.chunks, list!)), { code: "ERR_NOT_ENOUGH_SHARES" })
})

test("trimming drops what is no longer needed, and writes nothing when all is needed", async () => {
  const made = await freshTree()
  const { tree, options } = made
  for (let i = 0; i < 80; i++) await putFile(tree, ["same"], 700, i)
  assert.ok((await listed(made)).length > (await needed(tree)).size)
  await tree.trimCare()
  assert.deepEqual(new Set(await listed(made)), await needed(tree))
  const { writes } = options.registers
  await tree.trimCare()
  assert.equal(options.registers.writes, writes)
})

test("writers that race to one sequence lose nothing of either list", async () => {
  const made = await freshTree()
  const { tree, options } = made
  await putFile(tree, ["base"], 700, 1)
  const [key, common] = [...options.registers.values][0]!
  await putFile(tree, ["mine"], 700, 2)
  const mine = options.registers.values.get(key)!
  options.registers.values.set(key, common)
  await putFile(tree, ["theirs"], 700, 3)
  options.registers.values.set(key, { ...mine, siblings: [options.registers.values.get(key)!] })
  const whole = async () => holdsAll(new Set(await listed(made)), await needed(tree))
  assert.ok(await whole())
  await tree.commit(async () => undefined)
  assert.equal(options.registers.values.get(key)!.siblings, undefined)
  assert.ok(await whole())
})

test("a commit of many writers at once lists what each of them stored", async () => {
  const made = await freshTree()
  await Promise.all(
    Array.from({ length: 5 }, async (_, i) => {
      const own = await openTree(made.options)
      for (let j = 0; j < 3; j++) await putFile(own, [`f${i}-${j}`], 700, 10 * i + j)
    }),
  )
  assert.ok(holdsAll(new Set(await listed(made)), await needed(made.tree)))
})

test("listing what a small change of a large directory needs reads few chunks", async () => {
  const made = await freshTree()
  const { tree, chunks, options } = made
  await tree.commit(async (session) => {
    for (let i = 0; i < 20_000; i++) session.set([`entry-${i}`], file(`entry-${i}`))
  })
  const again = await openTree({ ...options })
  const [gets, bytes] = [chunks.gets, chunks.putBytes]
  await again.commit(async (session) => session.set(["one-more"], file("one-more")))
  assert.ok(chunks.gets - gets <= 3, `${chunks.gets - gets} reads`)
  assert.ok(chunks.putBytes - bytes < 100_000, `${chunks.putBytes - bytes} bytes`)
  const root: DirectoryRef = await again.root()
  await again.commit((session) => session.mkdir(["moved"], plain))
  await again.snapshots.create("whole")
  assert.ok(root)
  assert.ok(chunks.gets - gets <= 5, `${chunks.gets - gets} reads`)
})

function setOf(ids: readonly Uint8Array[]): IdSet {
  const set = new IdSet(nodeCrypto)
  for (const id of ids) set.add(id)
  return set
}

test("an exact list names the ids that it is made of, and is told from one with more, fewer or others", async () => {
  const chunks = new MemoryChunks()
  for (const count of [0, 3, 64, 65, 1000]) {
    const ids = sortedIds(count)
    const list = await exactCare(chunks, [setOf(ids)], [])
    const own = list.segments.map(({ chunk }) => toHex(chunk.id))
    const named = (await collect(careIds(chunks, list))).map(toHex)
    assert.deepEqual(
      named.filter((name) => !own.includes(name)),
      ids.map(toHex),
    )
    assert.equal(await isExact(chunks, list, [setOf(ids)]), true)
    assert.equal(await isExact(chunks, list, [setOf([...ids, idOf(5000)])]), false)
    if (count === 0) continue
    assert.equal(await isExact(chunks, list, [setOf(ids.slice(1))]), false)
    assert.equal(await isExact(chunks, list, [setOf([...ids.slice(1), idOf(5000)])]), false)
  }
})

test("a list of ids that came in parts is as exact as one of a single part", async () => {
  const chunks = new MemoryChunks()
  const partsOf = function* (ids: readonly Uint8Array[]) {
    for (let from = 0; from < idPrefixes; ) {
      const part = new IdSet(nodeCrypto, { from, most: 100 })
      for (const id of ids) part.add(id)
      yield part
      from = part.before
    }
  }
  const ids = sortedIds(1000)
  const list = await exactCare(chunks, partsOf(ids), [])
  assert.ok(list.segments.length > 5)
  const own = list.segments.map(({ chunk }) => toHex(chunk.id))
  const named = (await collect(careIds(chunks, list))).map(toHex).filter((name) => !own.includes(name))
  assert.deepEqual(named, ids.map(toHex))
  for (const exact of [list, await exactCare(chunks, [setOf(ids)], [])]) {
    assert.equal(await isExact(chunks, exact, partsOf(ids)), true)
    assert.equal(await isExact(chunks, exact, partsOf(ids.slice(1))), false)
    assert.equal(await isExact(chunks, exact, partsOf([...ids, idOf(5000)])), false)
  }
})

function sortedIds(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => idOf(i)).sort(compare)
}

test("a care list of version 1 is held for no account, and the next one is of version 2", async () => {
  const old = decodeCare(encodeCbor([1, new Uint8Array(idOf(7)), []]))
  assert.deepEqual(old, { ...emptyCare, inline: idOf(7) })
  const next = encodeCare(await appendCare(new MemoryChunks(), [old], [idOf(8)]))
  assert.equal(next[1], 2)
})

test("accounts of a care list stay through commits and trims; writers that raced unite theirs, up to 64", async () => {
  const chunks = new MemoryChunks()
  const [a, b] = [sortedIds(2).slice(0, 1), sortedIds(3)]
  const joined = await appendCare(
    chunks,
    [
      { ...emptyCare, accounts: a },
      { ...emptyCare, accounts: b },
    ],
    [idOf(9)],
  )
  assert.deepEqual(joined.accounts, b)
  const many = Array.from({ length: 100 }, (_, i) => idOf(100 + i))
  const long = await appendCare(chunks, [joined], many)
  assert.deepEqual(long.accounts, b)
  assert.deepEqual((await exactCare(chunks, [setOf(many)], long.accounts)).accounts, b)
  const others = Array.from({ length: 64 }, (_, i) => idOf(1000 + i)).sort(compare)
  const full = await appendCare(chunks, [joined, { ...emptyCare, accounts: others }], [])
  assert.equal(full.accounts.length, 64)
  assert.ok(b.every((id) => full.accounts.some((other) => toHex(other) === toHex(id))))
  encodeCare(full)
})

test("a segment whose ids are not in order is told as one that cannot be read", async () => {
  const chunks = new MemoryChunks()
  const [low, high] = sortedIds(2) as [Uint8Array, Uint8Array]
  for (const [ids, isGood] of [
    [[low, high], true],
    [[high, low], false],
    [[low, low], false],
  ] as const) {
    const chunk = await chunks.putChunk(new Uint8Array(Buffer.concat(ids)))
    const list = { ...emptyCare, segments: [{ chunk, offset: 0, length: 64 }] }
    const problems: string[] = []
    const found = await collect(careIds(chunks, list, ({ code }) => void problems.push(code)))
    assert.equal(found.length, isGood ? 3 : 1)
    assert.deepEqual(problems, isGood ? [] : ["ERR_BAD_FORMAT"])
  }
})

test("a damaged care list is refused, and survives being written and read otherwise", () => {
  const chunk = { id: idOf(1), key: idOf(2) }
  const accounts = [idOf(3), idOf(4)].sort(compare)
  const good = { inline: new Uint8Array(64).fill(1), segments: [{ chunk, offset: 0, length: 96 }], accounts }
  assert.deepEqual(decodeCare(encodeCare(good)), good)
  const reference = [chunk.id, chunk.key, 0, 96]
  const bad: CborValue[] = [
    [1, new Uint8Array(31), []],
    [1, new Uint8Array(65 * 32), []],
    [1, new Uint8Array(), [[chunk.id, chunk.key, 0, 95]]],
    [1, new Uint8Array(), [[0, 96]]],
    [1, new Uint8Array(), Array.from({ length: 181 }, () => reference)],
    [1, new Uint8Array(), [], 0],
    [1, new Uint8Array()],
    [2, new Uint8Array(), []],
    [1, new Uint8Array(), [], [idOf(3)]],
    [2, new Uint8Array(), [], [idOf(3).slice(1)]],
    [2, new Uint8Array(), [], [7]],
    [2, new Uint8Array(), [], accounts.toReversed()],
    [2, new Uint8Array(), [], [idOf(3), idOf(3)]],
    [2, new Uint8Array(), [], sortedIds(65)],
  ]
  for (const value of bad) assert.throws(() => decodeCare(encodeCbor(value)), { code: "ERR_BAD_FORMAT" })
  const long = {
    inline: new Uint8Array(64 * 32),
    segments: Array.from({ length: 180 }, () => good.segments[0]!),
    accounts: sortedIds(64),
  }
  assert.ok(encodeCare(long).length <= limits.registerCareBytes, "the longest list fits its register")
  assert.throws(() => encodeCare({ ...long, segments: [...long.segments, good.segments[0]!] }), { code: "ERR_LIMIT" })
})
