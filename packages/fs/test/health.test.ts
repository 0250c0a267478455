import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { registerIdOf, signRegisterValue } from "@holdfast/protocol"
import { type ChunkHealth, checkRegister } from "@holdfast/store"
import type { StoredChunk } from "../src/care/footing.ts"
import { addHealth, checkChunks, emptyReport } from "../src/care/health.ts"

const id = (byte: number) => new Uint8Array(32).fill(byte)
const health: ChunkHealth = {
  id: id(1),
  k: 3,
  n: 5,
  goodShares: 5,
  distinctServers: 5,
  corrupt: [],
  inconsistent: false,
  placed: 0,
  leftWithout: new Map(),
  answering: [],
  silent: new Map<string, string>(),
  vacant: [],
  refused: [],
}

test("a chunk is healthy only with all shares on servers of their own", () => {
  const cases: [Partial<ChunkHealth>, "healthy" | "damaged" | "lost" | "inconsistent"][] = [
    [{}, "healthy"],
    [{ goodShares: 4, distinctServers: 4 }, "damaged"],
    [{ distinctServers: 4 }, "damaged"],
    [{ corrupt: ["n1/0"] }, "damaged"],
    [{ goodShares: 3, distinctServers: 3 }, "damaged"],
    [{ goodShares: 2, distinctServers: 2 }, "lost"],
    [{ inconsistent: true }, "inconsistent"],
    [{ inconsistent: true, goodShares: 4, distinctServers: 4 }, "inconsistent"],
    [{ k: 0, n: 0, goodShares: 0, distinctServers: 0 }, "lost"],
  ]
  for (const [change, expected] of cases) {
    const report = emptyReport()
    addHealth(report, { ...health, ...change }, { servers: 5, repaired: false })
    assert.equal(report[expected], 1, JSON.stringify(change))
  }
})

test("fewer servers than shares is not damage, and the weakest chunk is told", () => {
  const report = emptyReport()
  addHealth(report, { ...health, distinctServers: 4 }, { servers: 4, repaired: false })
  addHealth(report, { ...health, goodShares: 4, distinctServers: 4 }, { servers: 4, repaired: false })
  assert.deepEqual([report.healthy, report.damaged, report.leastServers, report.leastSpare], [1, 1, 4, 1])
})

test("each chunk is checked once, and few at a time", async () => {
  let [running, most, checked] = [0, 0, 0]
  async function* ids() {
    for (let i = 0; i < 1000; i++) yield { id: id(i % 100) }
  }
  const check = async () => {
    most = Math.max(most, ++running)
    await new Promise(setImmediate)
    running--
    return health
  }
  await checkChunks(ids(), { crypto: nodeCrypto, check, onHealth: () => checked++ })
  assert.equal(checked, 100)
  assert.ok(most > 1 && most <= 16, `${most} at once`)
})

test("of more chunks than are remembered each is checked, some of them twice", async () => {
  async function* ids() {
    for (let round = 0; round < 2; round++) for (let i = 0; i < 100; i++) yield { id: id(i) }
  }
  const checked = new Map<Uint8Array, number>()
  const check = async ({ id: chunk }: StoredChunk) => ({ ...health, id: chunk })
  const onHealth = (_: unknown, { id: chunk }: StoredChunk) => checked.set(chunk, 1)
  await checkChunks(ids(), { crypto: nodeCrypto, check, onHealth, mostRemembered: 30 })
  assert.ok(checked.size > 100, `${checked.size} checks`)
  assert.equal(new Set([...checked.keys()].map(toHex)).size, 100)
})

test("a register check names servers that are behind, empty or hold something else", async () => {
  const seed = id(7)
  const publicKey = await nodeCrypto.publicKeyOf(seed)
  const value = (sequence: number) =>
    signRegisterValue(nodeCrypto, seed, {
      sequence,
      lineage: sequence === 1 ? [] : [[id(0)]],
      sealed: new Uint8Array(60),
      care: new Uint8Array(60),
    })
  const servers = ["a", "b", "c"].map((name) => createMemoryBackend(name, nodeCrypto))
  await servers[0]!.proposeRegisters([await value(2)])
  await servers[1]!.proposeRegisters([await value(1)])
  assert.equal(registerIdOf(publicKey).length, 32)
  const copies = await checkRegister(servers, nodeCrypto, registerIdOf(publicKey))
  assert.deepEqual(
    copies.map(({ sequence, problem }) => [sequence, problem]),
    [
      [2, undefined],
      [1, "is behind: newest is 2"],
      [undefined, "has no value"],
    ],
  )
})
