/**
 * The chunk pipeline alone (hash, encrypt, encode, hash shares), beside its parts in the same run: what is lost is what
 * the pipeline adds. And what the hash trees of shares, which let a reader check a range, cost more than plain hashes.
 */
import { randomBytes } from "node:crypto"
import { availableParallelism } from "node:os"
import { BufferPool, mapPool } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { leavesOf, rootOf } from "@holdfast/protocol"
import { createLocalPipeline } from "@holdfast/store"
import { createWorkerPool } from "@holdfast/store/node"
import { record } from "./command.ts"

const mib = 1024 * 1024
const chunkBytes = 4 * mib
const coding = { k: 3, n: 5 }
const secret = randomBytes(32)
const totalBytes = 512 * mib
const rounds = totalBytes / chunkBytes
const plaintext = new Uint8Array(randomBytes(chunkBytes))

/** Seconds for `rounds` calls, after a tenth as many to warm up. */
async function seconds(work: () => Promise<unknown> | unknown): Promise<number> {
  for (let i = 0; i < rounds / 10; i++) await work()
  const start = performance.now()
  for (let i = 0; i < rounds; i++) await work()
  return (performance.now() - start) / 1000
}

/** The same for several that are compared: they take turns, so that all have the machine as it is. */
async function secondsOf<Name extends string>(works: Readonly<Record<Name, () => Promise<unknown> | unknown>>) {
  const names = Object.keys(works) as Name[]
  const times = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>
  for (let round = 0; round < 1.1 * rounds; round++)
    for (const name of names) {
      const start = performance.now()
      await works[name]()
      if (round >= rounds / 10) times[name] += (performance.now() - start) / 1000
    }
  return times
}

function report(name: string, time: number, note = ""): void {
  record(name, { seconds: time, bytes: totalBytes, note })
  process.stdout.write(`${name.padEnd(34)}${(totalBytes / 1e6 / time).toFixed(0).padStart(7)} MB/s  ${note}\n`)
}

const erasure = await createErasure()
const key = randomBytes(32)
const target = new Uint8Array(chunkBytes + 16)
const nonce = new Uint8Array(12)
const payloads = Array.from({ length: coding.n }, () => new Uint8Array(Math.ceil(chunkBytes / coding.k)))
const payload = new Uint8Array(Math.ceil(chunkBytes / coding.k))
const ofShares = (work: () => Promise<unknown>) => async () => {
  for (let i = 0; i < coding.n; i++) await work()
}
const local = createLocalPipeline({
  crypto: nodeCrypto,
  erasure,
  buffers: new BufferPool({ maxIdleBytes: 32 * 1024 * 1024 }),
})
const {
  "SHA-256 of the 5 shares": plain,
  "pipeline, one thread": alone,
  ...parts
} = await secondsOf({
  "SHA-256 of the plaintext": () => nodeCrypto.sha256(plaintext),
  "AES-256-GCM seal": () => nodeCrypto.sealInto([target], key, nonce, plaintext, nonce),
  "erasure 3-of-5 split": () => erasure.split(plaintext, coding, payloads),
  "hash trees of the 5 shares": ofShares(async () => rootOf(nodeCrypto, await leavesOf(nodeCrypto, payload))),
  "SHA-256 of the 5 shares": ofShares(() => nodeCrypto.sha256(payload)),
  "pipeline, one thread": async () => local.buffers.give((await local.seal(plaintext, coding, secret)).memory),
})
for (const [name, time] of Object.entries(parts)) report(name, time)
const sum = Object.values(parts).reduce((total, time) => total + time, 0)
report("sum of the parts", sum)
const ofPlaintext = parts["SHA-256 of the plaintext"]
const all = (ofPlaintext + parts["hash trees of the 5 shares"]) / (ofPlaintext + plain)
report(
  "SHA-256 of the 5 shares",
  plain,
  `with trees all hashing takes ${all.toFixed(2)} times as long (aim: at most 1.10)`,
)
report("pipeline, one thread", alone, `${(alone / sum).toFixed(2)} times its parts (aim: at most 1.30)`)

const sealed = await local.seal(plaintext, coding, secret)
const open = async () => {
  const opened = await local.open(sealed.id, sealed.key, [sealed.shares[0]!, sealed.shares[3]!, sealed.shares[4]!])
  if ("plaintext" in opened) local.buffers.give(opened.plaintext) // as readers do; new memory for each would cost more than the rest
}
report("open from one data, two parity", await seconds(open))

const threads = availableParallelism()
const pool = createWorkerPool({ threads, beforeThreadsBytes: 0 })
const sealMoved = async () => {
  const piece = pool.buffers.take(chunkBytes) // as it comes, without the cost of reading a file
  pool.buffers.give((await pool.seal(piece, coding, secret)).memory)
}
await Promise.all(Array.from({ length: 2 * threads }, sealMoved)) // threads start with their first chunk
const start = performance.now()
await mapPool(Array.from({ length: rounds }), 2 * threads, sealMoved)
report(`pipeline, ${threads} worker threads`, (performance.now() - start) / 1000)
await pool.close()
