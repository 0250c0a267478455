/**
 * One storage directory, several processes at once: each puts, reads, writes registers and collects beside the others for as long as
 * it likes, none fails or waits for the end of another, and one that is killed harms nobody.
 */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { it, type TestContext } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { fromHex, toHex } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { decodeRegisterValue, legacyAccount, rankOf } from "@holdfast/protocol"
import { newBatch, randomChunk } from "@holdfast/protocol/testing"
import { openDirectoryBackend, openEngine } from "../src/directory/index.ts"
import { createNodeDisk } from "../src/directory/node-disk.ts"
import { temporary } from "./engine-fixture.ts"

const worker = join(import.meta.dirname, "shared-directory", "worker.ts")
const options = { crypto, clock, reservedBytes: 0 }

const started = new WeakMap<TestContext, Pick<Worker, "child" | "ended">[]>()

interface Worker {
  readonly child: ChildProcess
  readonly said: string[]
  readonly ended: Promise<number | null>
}

function start(t: TestContext, dir: string, role: string): Worker {
  const args = [...process.execArgv, worker, dir, role, toHex(crypto.random(32))]
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
  const said: string[] = []
  let rest = ""
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n")
    rest = lines.pop()!
    said.push(...lines)
  })
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
  started.set(t, [...(started.get(t) ?? []), { child, ended }])
  return { child, said, ended }
}

/** The folder of a test, which goes when none of its processes has it open any more. */
async function folder(t: TestContext): Promise<string> {
  t.after(async () => {
    for (const { child, ended } of started.get(t) ?? []) {
      child.kill("SIGKILL")
      await ended
    }
  })
  return temporary(t)
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const endMs = Date.now() + 30_000; !condition(); await delay(20))
    assert.ok(Date.now() < endMs, `${what}: not within 30 s`)
}

function numberOf({ said }: Worker, word: string): number {
  return said.filter((line) => line.startsWith(word)).length
}

it("serves five processes at once for seconds, of which one is killed: nobody fails and nothing is lost", async (t) => {
  const dir = await folder(t)
  const roles = ["put", "put", "collect", "check", "put"]
  const workers = roles.map((role) => start(t, dir, role))
  const victim = workers.at(-1)!
  await until(() => workers.every((one) => numberOf(one, "open") === 1), "all of them open it")
  await until(() => numberOf(victim, "put") > 20, "the last puts something")
  victim.child.kill("SIGKILL")
  await victim.ended
  const others = workers.slice(0, -1)
  const before = others.map(({ said }) => said.length)
  await until(() => others.every(({ said }, i) => roles[i] === "check" || said.length > before[i]! + 20), "all go on")
  for (const { child } of others) child.stdin!.end()
  assert.deepEqual(await Promise.all(others.map(({ ended }) => ended)), [0, 0, 0, 0])
  assert.ok(others.every((one) => numberOf(one, "closed") === 1))

  const engine = await openEngine({ dir, ...options })
  t.after(() => engine.close())
  assert.ok(engine.recovery, "what the one that was killed left is looked at by the next who is alone")
  const place = (await engine.tenant("local")).backendOf({ account: legacyAccount, roles: ["read"] })
  const words = workers.flatMap(({ said }) => said).map((line) => line.split(" "))
  const put = [...new Set(words.flatMap(([word, id]) => (word === "put" ? id! : [])))]
  assert.ok(put.length > 60)
  const held = await place.hasShares(put.map(fromHex))
  assert.deepEqual(
    put.filter((_, i) => held[i]!.length === 0),
    [],
  )
  const last = new Map(words.flatMap(([word, id, sequence]) => (word === "register" ? [[id!, Number(sequence)]] : [])))
  for (const [id, sequence] of last) {
    const [value] = await place.readRegisters([fromHex(id)])
    const rank = rankOf(await decodeRegisterValue(crypto, value!))
    assert.ok(rank >= sequence, `register ${id}: ${rank} after ${sequence}`)
  }
  const report = await engine.scrub()
  assert.deepEqual(report.rot, [])
  await engine.close()
  assert.deepEqual(filesNotNamed(dir), [])
  assert.deepEqual(sumsOf(dir), [])
})

/** Files of shares that no row names. */
function filesNotNamed(dir: string): string[] {
  const index = new DatabaseSync(join(dir, "index.sqlite"), { readOnly: true })
  const rows = index.prepare("SELECT file FROM shares WHERE file IS NOT NULL").all() as { file: string }[]
  index.close()
  const named = new Set(rows.map(({ file }) => file))
  const shares = join(dir, "shares", "local")
  const files = readdirSync(shares).flatMap((part) => readdirSync(join(shares, part)).map((name) => `${part}/${name}`))
  return files.filter((file) => !named.has(file))
}

/** Counters that are not what the rows they count add up to. */
function sumsOf(dir: string): unknown[] {
  const index = new DatabaseSync(join(dir, "index.sqlite"), { readOnly: true })
  const wrong = index
    .prepare(
      `SELECT a.account, a.shares, (SELECT count(DISTINCT m.share) FROM marks m WHERE m.account = a.account) AS held
       FROM accounts a WHERE a.shares <> held
       UNION ALL SELECT t.tenant, t.shares, (SELECT count(*) FROM shares s WHERE s.tenant = t.tenant) AS held
       FROM tenants t WHERE t.shares <> held`,
    )
    .all()
  index.close()
  return wrong
}

it("sees at once what another has stored, and gives out stamps that are later than those of all", async (t) => {
  const dir = await folder(t)
  let aheadMs = 7_200_000
  const early = { ...options, clock: { ...clock, nowMs: () => clock.nowMs() + aheadMs } }
  const [ahead, behind] = [
    await openDirectoryBackend({ id: "d", dir, ...early }),
    await openDirectoryBackend({ id: "d", dir, ...options }),
  ]
  t.after(() => Promise.all([ahead.close(), behind.close()]))
  const chunk = await randomChunk(crypto, 90_000)
  await ahead.putShares([chunk.shares[0]!], newBatch(crypto))
  assert.deepEqual(await behind.hasShares([chunk.id]), [[0]])
  const index = new DatabaseSync(join(dir, "index.sqlite"), { readOnly: true })
  t.after(() => index.close())
  const stamp = () => (index.prepare("SELECT max(stamp) AS stamp FROM batches").get() as { stamp: number }).stamp
  const first = stamp()
  aheadMs = 0
  await behind.putShares([(await randomChunk(crypto, 300)).shares[0]!], newBatch(crypto))
  assert.ok(stamp() > first, "a clock that is behind does not make a mark look old")
})

it("is looked through after a crash by who is alone, and never while another has files under way", async (t) => {
  const dir = await folder(t)
  const dead = start(t, dir, "put")
  await until(() => numberOf(dead, "put") > 4, "something is put")
  const live = await openDirectoryBackend({ id: "d", dir, ...options })
  dead.child.kill("SIGKILL")
  await dead.ended
  const stray = join(
    dir,
    "shares",
    "local",
    readdirSync(join(dir, "shares", "local"))[0]!,
    `${"ab".repeat(32)}.0.0badcafe`,
  )
  await (await createNodeDisk(dir).create(stray)).close()
  const second = await openDirectoryBackend({ id: "d", dir, ...options })
  assert.ok(existsSync(stray), "it could be another's that no row names yet")
  await second.close()
  await live.close()
  await (await openDirectoryBackend({ id: "d", dir, ...options })).close()
  assert.ok(!existsSync(stray))
})

it("is for one process at a time where other machines could see the folder as well", async (t) => {
  const dir = await folder(t)
  const disk = { ...createNodeDisk(dir), isLocal: async () => false }
  const first = await openEngine({ dir, ...options, disk, isShared: true })
  await assert.rejects(
    openEngine({ dir, ...options, disk: { ...createNodeDisk(dir), isLocal: async () => false }, isShared: true }),
    {
      code: "ERR_IO",
      message: /in use by another process/,
    },
  )
  const waiting = openEngine({ dir, ...options, isShared: true, waitMs: 10_000 })
  await delay(120)
  await first.close()
  await (await waiting).close()
})
