/** Work on a file system that its caller stops, as when a client of a door hangs up. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { untilAborted } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import type { ChunkStore } from "@holdfast/store"
import type { FileSystem, Item } from "../src/file-system.ts"
import { filesOf } from "../src/files.ts"
import { createWorld, names, type World, writeTogether } from "./world.ts"

const stopped = new Error("the client hung up")
const isStopped = (error: unknown) => error === stopped
const largeBytes = 9 * 1024 * 1024

interface Slow {
  readonly home: FileSystem
  /** From now on chunks come only after `go`; gives how many are waited for. */
  begin(): () => number
  go(): void
}

/** The home of `world` opened anew over chunks that come only when they are let. */
async function slowHome(world: World, cap: string): Promise<Slow> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let isSlow = false
  let waiting = 0
  const { chunks, registers } = world.store
  const slow: ChunkStore = {
    ...chunks,
    async getChunk(ref, options) {
      if (isSlow) {
        waiting++
        await untilAborted(promise, options?.signal)
      }
      return chunks.getChunk(ref, options)
    },
  }
  const home = await filesOf({ chunks: slow, registers, env: nodeEnv }).open(cap, { label: "home:" })
  const begin = () => {
    isSlow = true
    return () => waiting
  }
  return { home, begin, go: resolve }
}

async function bytesOf(files: FileSystem, item: Item): Promise<number> {
  let count = 0
  for await (const piece of files.read(item)) count += piece.length
  return count
}

async function filledWorld(): Promise<{ world: World; cap: string }> {
  const world = await createWorld()
  await writeTogether(world.home, { large: nodeCrypto.random(largeBytes), small: nodeCrypto.random(300_000) })
  return { world, cap: await world.home.capOf([], "write") }
}

test("a read that is stopped ends at once, and who reads the same beside it gets all of it", async () => {
  for (const [name, sizeBytes] of Object.entries({ small: 300_000, large: largeBytes })) {
    const { world, cap } = await filledWorld()
    const { home, begin, go } = await slowHome(world, cap)
    const item = (await home.lookup([name]))!
    const controller = new AbortController()
    const stoppable = home.stoppedBy(controller.signal)
    const waiting = begin()
    const [theirs, ours] = [bytesOf(home, item), bytesOf(stoppable, stoppable.item(item.entry))]
    ours.catch(() => undefined)
    while (waiting() === 0) await sleep(1)
    controller.abort(stopped)
    await assert.rejects(Promise.race([ours, sleep(2000)]), isStopped)
    go()
    assert.equal(await theirs, sizeBytes)
  }
})

test("a file system that is stopped changes nothing any more, and the one that it came from goes on", async () => {
  const { world } = await filledWorld()
  const controller = new AbortController()
  const stoppable = world.home.stoppedBy(controller.signal)
  await stoppable.edit((edit) => edit.mkdir(["before"]))
  controller.abort(stopped)
  const late = stoppable.edit((edit) => edit.mkdir(["late"]))
  await assert.rejects(late, isStopped)
  await world.home.edit((edit) => edit.mkdir(["after"]))
  assert.deepEqual(await names((await world.again()).home), ["after", "before", "large", "small"])
})

test("a signal given to one read ends that read", async () => {
  const { world, cap } = await filledWorld()
  const { home, begin } = await slowHome(world, cap)
  const item = await home.lookup(["small"])
  const waiting = begin()
  const controller = new AbortController()
  const read = (async () => {
    for await (const _ of home.read(item!, { signal: controller.signal })) assert.fail("nothing came yet")
  })()
  read.catch(() => undefined)
  while (waiting() === 0) await sleep(1)
  controller.abort(stopped)
  await assert.rejects(Promise.race([read, sleep(2000)]), isStopped)
})
