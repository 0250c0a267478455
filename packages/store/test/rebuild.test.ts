/** Shares that are checked and made anew, in the calling thread and in others. */
import assert from "node:assert/strict"
import { type TestContext, test } from "node:test"
import { BufferPool } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { type ChunkPipeline, createLocalPipeline } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { makeTwoFaced } from "@holdfast/store/testing"

const deps = { crypto: nodeCrypto, erasure: await createErasure() }
const coding = { k: 3, n: 5 }
const sample = (length: number) => new Uint8Array(length).map((_, i) => (i * 31 + (i >> 8)) & 255)
const equalBytes = (a: Uint8Array, b: Uint8Array) => assert.equal(Buffer.compare(a, b), 0)

const pipelines: Readonly<Record<string, (t: TestContext) => ChunkPipeline>> = {
  thread: () => createLocalPipeline({ ...deps, buffers: new BufferPool({ maxIdleBytes: 32 * 1024 * 1024 }) }),
  workers(t) {
    const pool = createWorkerPool({ threads: 2, beforeThreadsBytes: 0 })
    t.after(() => pool.close())
    return pool
  },
}

for (const [name, create] of Object.entries(pipelines)) {
  /** A copy that belongs to the pipeline's memory, as what servers answer does. */
  const lend = ({ buffers }: ChunkPipeline, bytes: Uint8Array) => {
    const copy = buffers.take(bytes.length)
    copy.set(bytes)
    return copy
  }

  test(`any shares are made as they were from any three, held or not, and memory comes back (${name})`, async (t) => {
    const pipeline = create(t)
    for (const [length, version] of [
      [1000, 1],
      [600_000, 1],
      [1000, 2],
      [600_000, 2],
    ] as const) {
      const { shares } = await makeTwoFaced(deps, coding, [sample(length)], [0, 0, 0, 0, 0], version)
      for (const [held, wanted] of [
        [[0, 1, 2, 3], [4]],
        [
          [4, 2, 3],
          [0, 1],
        ],
        [
          [4, 3, 1, 0],
          [1, 2, 3, 4],
        ],
        [[2, 1, 3], []],
      ] as const) {
        const given = held.map((index) => lend(pipeline, shares[index]!))
        const { shares: back, made, memory } = await pipeline.rebuild(given, wanted)
        assert.equal(made?.length, wanted.length)
        for (const [i, index] of wanted.entries()) equalBytes(made![i]!, shares[index]!)
        for (const [i, index] of held.entries()) equalBytes(back[i]!, shares[index]!)
        for (const bytes of length > 300_000 ? back : []) assert.equal(pipeline.buffers.isWhole(bytes), true)
        for (const bytes of [...back, memory]) pipeline.buffers.give(bytes)
      }
    }
  })

  test(`nothing is made of a chunk whose shares tell of two contents, whichever are held (${name})`, async (t) => {
    const pipeline = create(t)
    const other = sample(600_000).map((byte, i) => (i === 10 ? byte ^ 1 : byte))
    for (const faces of [
      [0, 0, 0, 0, 1],
      [1, 0, 0, 0, 0],
      [0, 0, 1, 1, 1],
    ]) {
      const { shares } = await makeTwoFaced(deps, coding, [sample(600_000), other], faces, 2)
      for (const held of [
        [0, 1, 2],
        [0, 1, 2, 3],
        [2, 3, 4],
        [0, 1, 2, 3, 4],
      ]) {
        const given = held.map((index) => lend(pipeline, shares[index]!))
        const { shares: back, made } = await pipeline.rebuild(given, [4])
        assert.equal(made === undefined, true)
        assert.equal(back.length, held.length)
      }
    }
  })

  test(`a share is good only as a whole one of its chunk, and comes back either way (${name})`, async (t) => {
    const pipeline = create(t)
    for (const length of [1000, 600_000]) {
      const { id, shares } = await makeTwoFaced(deps, coding, [sample(length)], [0, 0, 0, 0, 0], 2)
      for (const share of shares)
        for (const at of [undefined, 5, 400, share.length - 1]) {
          const bytes = share.map((byte, i) => (i === at ? byte ^ 1 : byte))
          const checked = await pipeline.check(id, lend(pipeline, bytes))
          assert.equal(checked.isGood, at === undefined)
          equalBytes(checked.bytes, bytes)
          if (length > 300_000) assert.equal(pipeline.buffers.isWhole(checked.bytes), true)
        }
      const isOfOther = await pipeline.check(sample(32), lend(pipeline, shares[0]!))
      assert.equal(isOfOther.isGood, false)
    }
  })
}
