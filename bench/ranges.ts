/**
 * Reading and changing 4 KiB here and there in one file, as a mount or a database in it does: over five directories (3/4/5, fsync on).
 * Each change is durable before the next begins. `node bench/ranges.ts 64` takes a file of 64 MiB in place of 1 GiB.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openDirectoryBackend } from "@holdfast/backends/directory"
import { nodeEnv } from "@holdfast/core/node"
import type { Backend } from "@holdfast/protocol"
import { createMemorySeen, createStore } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { createFileWriter, createTreeIo, type FileContent, patchFile, RandomReader } from "@holdfast/tree"
import { record } from "./command.ts"

const mib = 1024 * 1024
const partBytes = 4096
const fileBytes = Number(process.argv[2] ?? 1024) * mib
const rounds = 500
const moved = { sentBytes: 0, gotBytes: 0, requests: 0 }

/** The backend, with what it is sent and gives counted. */
function counted(backend: Backend): Backend {
  const sum = (parts: readonly ({ readonly length: number } | undefined)[]) =>
    parts.reduce((bytes, part) => bytes + (part?.length ?? 0), 0)
  return {
    ...backend,
    async putShares(shares, ...more) {
      moved.sentBytes += sum(shares)
      return backend.putShares(shares, ...more)
    },
    async getShares(...args) {
      const shares = await backend.getShares(...args)
      moved.requests += shares.length
      moved.gotBytes += sum(shares)
      return shares
    },
    async getBlocks(...args) {
      const answers = await backend.getBlocks(...args)
      moved.requests += answers.length
      moved.gotBytes += sum(answers.map((answer) => answer?.blocks))
      return answers
    },
  }
}

/** Does `work` again and again; prints how often a second, and what one costs. */
async function report(name: string, work: (round: number) => Promise<unknown>): Promise<void> {
  Object.assign(moved, { sentBytes: 0, gotBytes: 0, requests: 0 })
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    await work(round)
    times.push(performance.now() - start)
  }
  const total = times.reduce((sum, ms) => sum + ms, 0)
  times.sort((a, b) => a - b)
  const kib = (bytes: number) => `${(bytes / rounds / 1024).toFixed(1).padStart(8)} KiB`
  const columns = [
    name.padEnd(44),
    `${((1000 * rounds) / total).toFixed(0).padStart(6)} /s`,
    `${times[rounds / 2]!.toFixed(2).padStart(8)} ms median, ${times[Math.floor(rounds * 0.99)]!.toFixed(1)} ms p99`,
    `${kib(moved.gotBytes)} got, ${kib(moved.sentBytes)} sent, ${(moved.requests / rounds).toFixed(2)} requests`,
  ]
  const each = {
    sentBytes: moved.sentBytes / rounds,
    gotBytes: moved.gotBytes / rounds,
    requests: moved.requests / rounds,
  }
  record(name, { milliseconds: times[rounds / 2], ...each })
  process.stdout.write(`${columns.join("  ")}\n`)
}

async function* randomFile(): AsyncGenerator<Uint8Array, void, void> {
  for (let written = 0; written < fileBytes; written += 4 * mib) yield new Uint8Array(randomBytes(4 * mib))
}

const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-ranges-"))
const backends = await Promise.all(
  Array.from({ length: 5 }, (_, i) => openDirectoryBackend({ ...nodeEnv, dir: join(folder, `${i}`), id: `${i}` })),
)
const store = await createStore({
  env: nodeEnv,
  servers: backends.map((backend) => ({ backend: counted(backend), weight: 1 })),
  coding: { k: 3, happy: 4, n: 5 },
  registerMode: "crash",
  seen: createMemorySeen(),
  pipeline: createWorkerPool(),
})
try {
  const io = createTreeIo({ chunks: store.chunks, env: nodeEnv })
  const writer = createFileWriter(io)
  const adding = writer.add(randomFile())
  await writer.flush()
  let content: FileContent = await adding
  const anywhere = () => Math.floor(Math.random() * (fileBytes / partBytes)) * partBytes
  const part = () => new Uint8Array(randomBytes(partBytes))
  const reader = new RandomReader(io, content)
  await report("read 4 KiB anywhere", () => reader.read(anywhere(), partBytes))
  await report("read 4 KiB within 16 MiB", () => reader.read(anywhere() % (16 * mib), partBytes))
  await report("read 4 KiB one after another", (round) => reader.read((round * partBytes) % fileBytes, partBytes))
  const change = async (offset: number) => {
    content = await patchFile(io, content, [{ offset, bytes: part() }])
  }
  await report("change 4 KiB anywhere", () => change(anywhere()))
  await report("change 4 KiB within 16 MiB", () => change(anywhere() % (16 * mib)))
  await report("append 4 KiB", () => change(content.size))
  const changed = new RandomReader(io, content)
  await report("read 4 KiB anywhere after that", () => changed.read(anywhere(), partBytes))
} finally {
  await store.close()
  fs.rmSync(folder, { recursive: true })
}
