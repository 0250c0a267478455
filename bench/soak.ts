/**
 * One session for 100,000 operations, as a mount or a gateway has it, while nodes are killed and come back: heap, descriptors and
 * connections of the client and memory of the nodes, after a tenth of the operations and at the end. What is read is compared with
 * what was written. `SOAK_OPERATIONS=1000 npm run bench soak` for a short look.
 */
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { type FileSystem, filesOf, mkdir, move, patch, remove, write } from "@holdfast/fs"
import { startGrid } from "../e2e/grid.ts"

const operations = Number(process.env["SOAK_OPERATIONS"] ?? 100_000)
const workers = 8
const filesEach = 50
const killEveryMs = 45_000

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** What a worker knows of its own folder. */
class Worker {
  readonly #files: FileSystem
  readonly #folder: string
  readonly #contents = new Map<string, Buffer>()

  constructor(files: FileSystem, index: number) {
    this.#files = files
    this.#folder = `worker-${index}`
  }

  async begin(): Promise<void> {
    await mkdir({ files: this.#files, path: [this.#folder] })
    for (let i = 0; i < filesEach; i++) await this.#write(`file-${i}`)
  }

  /** Does one thing, and says what; throws when what is read is not what was written. */
  async step(): Promise<string> {
    const name = [...this.#contents.keys()][Math.floor(Math.random() * this.#contents.size)]!
    const dice = Math.random()
    if (dice < 0.02) return this.#write(name)
    if (dice < 0.03) return this.#patch(name)
    if (dice < 0.04) return this.#move(name)
    if (dice < 0.05) return this.#replace(name)
    if (dice < 0.25) return this.#list()
    if (dice < 0.6) return this.#readPart(name)
    return this.#read(name)
  }

  async #write(name: string): Promise<string> {
    const content = randomBytes(1 + Math.floor(Math.random() * (Math.random() < 0.05 ? 3_000_000 : 20_000)))
    await write({ files: this.#files, path: [this.#folder, name] }, Buffer.from(content))
    this.#contents.set(name, content)
    return "write"
  }

  async #patch(name: string): Promise<string> {
    const before = this.#contents.get(name)!
    const bytes = randomBytes(Math.min(before.length, 4096))
    const offset = Math.floor(Math.random() * (before.length - bytes.length + 1))
    await patch({ files: this.#files, path: [this.#folder, name] }, [{ offset, bytes }])
    const after = Buffer.from(before)
    bytes.copy(after, offset)
    this.#contents.set(name, after)
    return "patch"
  }

  async #move(name: string): Promise<string> {
    const to = `moved-${randomBytes(6).toString("hex")}`
    await move({ files: this.#files, path: [this.#folder, name] }, { files: this.#files, path: [this.#folder, to] })
    this.#contents.set(to, this.#contents.get(name)!)
    this.#contents.delete(name)
    return "move"
  }

  async #replace(name: string): Promise<string> {
    await remove({ files: this.#files, path: [this.#folder, name] })
    this.#contents.delete(name)
    await this.#write(`new-${randomBytes(6).toString("hex")}`)
    return "remove and write"
  }

  async #list(): Promise<string> {
    let count = 0
    for await (const _ of this.#files.list((await this.#files.lookup([this.#folder]))!)) count++
    if (count !== this.#contents.size) throw new Error(`${count} entries in place of ${this.#contents.size}`)
    return "list"
  }

  async #readPart(name: string): Promise<string> {
    const content = this.#contents.get(name)!
    const reader = this.#files.reader((await this.#files.lookup([this.#folder, name]))!)
    const offset = Math.floor(Math.random() * content.length)
    const length = Math.min(4096, content.length - offset)
    compare(name, Buffer.from(await reader.read(offset, length)), content.subarray(offset, offset + length))
    return "read a part"
  }

  async #read(name: string): Promise<string> {
    const hash = createHash("sha256")
    const item = (await this.#files.lookup([this.#folder, name]))!
    for await (const piece of this.#files.read(item)) hash.update(piece)
    compare(name, hash.digest(), createHash("sha256").update(this.#contents.get(name)!).digest())
    return "read"
  }
}

function compare(name: string, got: Buffer, wanted: Buffer): void {
  if (!got.equals(wanted)) throw new Error(`what was read of ${name} is not what was written`)
}

/** What must stay flat: of this process, and the memory of all nodes together. */
async function measure(parts: () => readonly number[]): Promise<Record<string, number>> {
  await sleep(1000) // what is being closed
  collect()
  collect()
  const memory = process.memoryUsage()
  const mib = (bytes: number) => Math.round((10 * bytes) / 2 ** 20) / 10
  const residentOf = (pid: number) =>
    1024 * Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  return {
    "heap MiB": mib(memory.heapUsed),
    "outside of the heap MiB": mib(memory.external),
    "resident MiB": mib(memory.rss),
    descriptors: fs.readdirSync("/proc/self/fd").length,
    "timers and handles": process.getActiveResourcesInfo().length,
    "nodes, resident MiB": mib(parts().reduce((sum, pid) => sum + residentOf(pid), 0)),
    "nodes, descriptors": parts().reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0),
  }
}

const grid = await startGrid()
const pids = () => grid.pids("nodes")
const ending = new AbortController()
try {
  const profile = await openProfile(pathsOf(grid.env), "default", () => Promise.reject(new Error("it is not locked")))
  const session = await openSession(profile, {})
  const files = await filesOf({ ...session.store, env: session.env, uploads: profile }).open(
    profile.aliases.get("home")!,
  )
  const all = Array.from({ length: workers }, (_, i) => new Worker(files, i))
  for (const worker of all) await worker.begin()

  let told = 0
  const watching = (async () => {
    for await (const _ of files.watch({ signal: ending.signal })) told++
  })()
  let killed = 0
  const killing = (async () => {
    for (let i = 0; !ending.signal.aborted; i++) {
      await sleep(killEveryMs, undefined, { signal: ending.signal }).catch(() => undefined)
      if (ending.signal.aborted) return
      await grid.kill(`n${1 + (i % 5)}`)
      await sleep(5_000)
      await grid.revive()
      killed++
    }
  })()

  let done = 0
  const counts = new Map<string, number>()
  const run = async (until: number) => {
    await Promise.all(
      all.map(async (worker) => {
        while (done < until) {
          done++
          const what = await worker.step()
          counts.set(what, (counts.get(what) ?? 0) + 1)
        }
      }),
    )
  }
  const startMs = performance.now()
  await run(operations / 10)
  const before = await measure(pids)
  await run(operations)
  const seconds = (performance.now() - startMs) / 1000
  const after = await measure(pids)
  ending.abort()
  await Promise.allSettled([watching, killing])
  await session.close()
  console.log(`${done} operations in ${seconds.toFixed(0)} s, ${killed} nodes killed, ${told} versions heard of`)
  console.log([...counts].map(([what, count]) => `${what} ${count}`).join(", "))
  for (const [what, value] of Object.entries(before)) console.log(`${what.padEnd(26)} ${value} -> ${after[what]}`)
} finally {
  ending.abort()
  await grid.close()
}
