/**
 * Single operations in a client that is running already, as a mount or a gateway does them, on a directory of 100,000
 * entries: time, bytes sent, and sequential round trips. The latter are counted with the network slowed down: what each
 * operation then takes longer, in units of the delay.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { grantFor } from "@holdfast/client/account"
import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openedGrid } from "@holdfast/client/volumes"
import { nodeEnv } from "@holdfast/core/node"
import { loadGrid, loadIdentity, loadPins } from "@holdfast/network"
import { type Backend, decodeCap } from "@holdfast/protocol"
import { createStore, keysOfCap } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { createFileWriter, type Entry, openTree, plainAttributes, readFile, type Tree } from "@holdfast/tree"
import { startGrid } from "../e2e/grid.ts"
import { record } from "./command.ts"

const entries = 100_000
const delayMs = 40
const rounds = 30
const network = { delayMs: 0, sentBytes: 0 }

/** The backend over a network that delays each request. */
function slowed(backend: Backend): Backend {
  return new Proxy(backend, {
    get(target, name: keyof Backend) {
      const member = target[name]
      if (typeof member !== "function") return member
      return async (...args: unknown[]) => {
        if (name === "putShares" || name === "proposeRegisters")
          for (const { length } of args[0] as Uint8Array[]) network.sentBytes += length
        if (network.delayMs > 0 && name !== "close") await sleep(network.delayMs)
        return (member as (...args: unknown[]) => unknown).apply(target, args)
      }
    },
  })
}

const grid = await startGrid()
const profile = await openProfile(pathsOf(grid.env), "default", async () => {
  throw new Error("the profile of a new grid is not locked")
})
const description = await loadGrid(profile.identityDir)
const identity = await loadIdentity(profile.identityDir)
const pins = await loadPins(profile.identityDir)
const { connect } = openedGrid(profile.identityDir, identity, {
  ...{ grid: description, pins, fresh: true },
  grant: await grantFor(await profile.account(), identity),
})
const pipeline = createWorkerPool()
const { id: account } = await profile.account()
const store = await createStore({
  env: nodeEnv,
  account,
  servers: description.servers.map((server) => ({
    backend: slowed(connect(server, pipeline.buffers)),
    weight: Math.max(1, server.capacityBytes),
  })),
  coding: description.coding,
  registerMode: description.registerMode,
  seen: profile.seen,
  pipeline,
})
const keys = await keysOfCap(nodeEnv.crypto, decodeCap(profile.aliases.get("home")!))
const open = (): Promise<Tree> => openTree({ chunks: store.chunks, registers: store.registers, env: nodeEnv, keys })

async function cat(tree: Tree, path: readonly string[]): Promise<number> {
  const entry = await tree.lookup(path)
  if (entry?.kind !== "file") throw new Error(`no file at ${path.join("/")}`)
  let bytes = 0
  for await (const piece of readFile(tree.io, entry)) bytes += piece.length
  return bytes
}

async function add(tree: Tree, path: readonly string[], bytes: Uint8Array): Promise<void> {
  const writer = createFileWriter(tree.io)
  const added = writer.add(bytes)
  await writer.name()
  const content = await added
  const stored = writer.flush() // beside the nodes that name it, as every door does
  const entry: Entry = { name: path.at(-1)!, kind: "file", ...plainAttributes(0o644, 0), size: content.size, content }
  await tree.commit(async (session) => session.set(path, entry), stored)
}

/** Median time of an operation, bytes sent, and its round trips one after another. */
async function report(name: string, operation: (round: number) => Promise<unknown>, aim = ""): Promise<void> {
  const times: number[] = []
  const sentBefore = network.sentBytes
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    await operation(round)
    times.push(performance.now() - start)
  }
  const sentBytes = (network.sentBytes - sentBefore) / rounds
  const median = times.sort((a, b) => a - b)[rounds / 2]!
  network.delayMs = delayMs
  const start = performance.now()
  await operation(rounds)
  const trips = Math.round((performance.now() - start - median) / delayMs)
  network.delayMs = 0
  record(name, { milliseconds: median, roundTrips: trips, sentBytes })
  const columns = [name.padEnd(40), `${median.toFixed(1)} ms`.padStart(10), `${trips} round trips`.padStart(15)]
  process.stdout.write(`${columns.join("  ")}  ${(sentBytes / 1024).toFixed(0).padStart(6)} KiB sent  ${aim}\n`)
}

try {
  const many = `${grid.folder}/many`
  fs.mkdirSync(many)
  for (let i = 0; i < entries; i++) fs.writeFileSync(`${many}/${i}`, "")
  fs.writeFileSync(`${grid.folder}/small`, Buffer.alloc(4096, 1))
  await grid.run(["put", many, "home:/many"])
  await grid.run(["put", `${grid.folder}/small`, "home:/many/small"])
  spawnSync("sync")
  const tree = await open()
  await report("cat of 4 KiB, warm", () => cat(tree, ["many", "small"]), "(aim: 10 ms)")
  await report("cat of 4 KiB, nothing cached", async () => cat(await open(), ["many", "small"]))
  await report("look up a name, nothing cached", async () => (await open()).lookup(["many", "99"]))
  const text = new Uint8Array(100).fill(7)
  const block = (round: number) => new Uint8Array(4096).fill(round)
  await report("add an inline file", (i) => add(tree, ["many", `inline-${i}`], text), "(aim: 100 ms)")
  await report("add a file of 4 KiB", (i) => add(tree, ["many", `block-${i}`], block(i)), "(aim: 100 ms)")
  await report("remove a file", (i) => tree.commit(async (session) => session.remove(["many", `block-${i}`])))
} finally {
  await store.close()
  await grid.close()
}
