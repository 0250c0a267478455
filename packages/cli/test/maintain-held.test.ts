/** What maintenance holds open between its rounds: over a real profile and directories, changed meanwhile as other commands do it. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { type TestContext, test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type MaintenanceDeps, maintainVolumes, usualSchedule } from "@holdfast/fs/care"
import { commands } from "../src/command-table.ts"
import { type Context, createContext } from "../src/context.ts"
import { openMaintenance, takeTurn } from "../src/maintenance/folder.ts"
import { holdPlaces } from "../src/maintenance/held.ts"
import { maintainBeside } from "../src/maintenance/run.ts"
import { runProgram } from "../src/program.ts"

/** A user's home, with commands in this process as each would run in one of its own. */
function createHome(t: TestContext) {
  const home = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-held-"))
  t.after(() => fs.rmSync(home, { recursive: true, force: true }))
  const written = { stdout: "", stderr: "" }
  const contextOf = (args: readonly string[]) => {
    const into = (stream: keyof typeof written) => ({
      write(text: string) {
        written[stream] += text
      },
    })
    const surroundings = {
      ...{
        env: { HOME: home },
        stdin: process.stdin,
        stdout: into("stdout"),
        stderr: into("stderr"),
        pid: process.pid,
      },
      ...{ on: () => undefined, off: () => undefined, kill: () => undefined },
    }
    return createContext(surroundings as unknown as NodeJS.Process, args)
  }
  const run = async (...args: string[]) => {
    const context = contextOf(args)
    await runProgram(args, context, commands).finally(() => context.close())
  }
  const volume = (name: string, disk = name) =>
    run("volume", "create", name, "--coding", "1/1/1", "--backend", `dir:${home}/disks/${disk}`)
  const put = async (place: string) => {
    fs.writeFileSync(`${home}/file`, nodeCrypto.random(40_000))
    await run("put", `${home}/file`, place)
  }
  return { home, written, contextOf, run, volume, put }
}

/** Rounds over what is held, one at each call. */
function roundsOf(context: Context) {
  const held = holdPlaces(context, { places: [], collects: false })
  const { folder } = openMaintenance(context)
  const schedule = { ...usualSchedule, everyMs: 0 }
  const deps: MaintenanceDeps = { env: nodeEnv, folder, schedule, isAll: true, minuteOfDay: () => 0 }
  return async () => {
    const report = await maintainVolumes(await held.open(), deps)
    await held.settle(report)
    return report
  }
}

const descriptors = () => fs.readdirSync("/proc/self/fd").length

/** What this process has open below a folder. */
function openFilesIn(folder: string): string[] {
  const files = fs.readdirSync("/proc/self/fd").flatMap((descriptor) => {
    try {
      return [fs.readlinkSync(`/proc/self/fd/${descriptor}`)]
    } catch {
      return [] // that of the listing
    }
  })
  return files.filter((path) => path.startsWith(folder))
}

test("trees and volumes that come and go between rounds are noticed, and a disk that was away is looked after again", async (t) => {
  const { home, contextOf, run, volume, put } = createHome(t)
  await volume("one")
  await put("one:/file")
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const round = roundsOf(context)
  const trees = async () => (await round()).trees.map(({ tree, error }) => (error ? `${tree} failed` : tree))
  assert.equal((await trees())[0], "one:")
  assert.deepEqual(openFilesIn(`${home}/disks`), [], "a disk can be unmounted between rounds")
  await run("--volume", "one", "alias", "create", "more")
  await volume("two")
  assert.deepEqual((await trees()).filter((tree) => /^(one|two|more):$/.test(tree)).sort(), ["more:", "one:", "two:"])
  await run("alias", "remove", "more", "--yes")
  assert.ok(!(await trees()).includes("more:"))
  fs.renameSync(`${home}/disks/one`, `${home}/disks/away`)
  const broken = await round()
  assert.ok(
    broken.trees.some(({ tree, error }) => tree === "one:" && error) ||
      !broken.trees.some(({ tree }) => tree === "one:"),
    JSON.stringify(broken.trees),
  )
  fs.renameSync(`${home}/disks/away`, `${home}/disks/one`)
  const { trees: back } = await round()
  assert.ok(back.some(({ tree }) => tree === "one:") && back.every(({ error }) => !error), JSON.stringify(back))
})

test("a session stays open while its volume, account and membership are the same, and is opened anew once they are not", async (t) => {
  const { contextOf, run, volume } = createHome(t)
  await volume("one")
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const passing = () => context.openSession("one", { isPassing: true })
  const session = await passing()
  await run("--volume", "one", "alias", "create", "more")
  await volume("two")
  await context.follow()
  await context.settle()
  assert.equal(await passing(), session)
  assert.ok(session.profile.aliases.has("more"), "and knows what was added")
  await context.settle(new Set(["one"]))
  const anew = await passing()
  assert.notEqual(anew, session)
  for (const alias of ["one", "more"]) await run("alias", "remove", alias, "--yes")
  await run("volume", "remove", "one", "--yes")
  await volume("one", "another")
  await anew.profile.refresh()
  assert.equal(await anew.isCurrent(), false)
  await context.follow()
  assert.notEqual((await passing()).storage, anew.storage)
})

test("a session that somebody asks for, also in the middle of a round that opened it, is left to it", async (t) => {
  const { contextOf, run, volume, put } = createHome(t)
  await volume("one")
  await put("one:/file")
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const held = holdPlaces(context, { places: [], collects: false })
  await held.open()
  const session = await context.openSession("one")
  await held.settle() // as after a round that failed
  await session.backends[0]!.usage()
  const closing = held.settle()
  assert.equal(await context.openSession("one"), session)
  await closing
  for (const alias of session.profile.aliases.keys()) await run("alias", "remove", alias, "--yes")
  await run("volume", "remove", "one", "--yes")
  await volume("one", "another")
  await context.follow()
  assert.equal(await session.isCurrent(), false)
  await session.backends[0]!.usage()
})

test("handles and memory stay flat over the rounds", async (t) => {
  const { contextOf, volume, put } = createHome(t)
  await volume("one")
  await put("one:/file")
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const round = roundsOf(context)
  for (let i = 0; i < 20; i++) await round()
  const before = descriptors()
  globalThis.gc?.()
  const heapBytes = process.memoryUsage().heapUsed
  for (let i = 0; i < 60; i++) await round()
  assert.ok(descriptors() <= before, `${before} descriptors became ${descriptors()}`)
  globalThis.gc?.()
  const grownBytes = process.memoryUsage().heapUsed - heapBytes
  assert.ok(globalThis.gc === undefined || grownBytes < 4_000_000, `the heap grew by ${grownBytes} bytes`)
})

test("a profile that is locked meanwhile is let go of at once, and looked after again once it is unlocked", async (t) => {
  const { home, contextOf, run, volume, put } = createHome(t)
  await volume("one")
  await put("one:/file")
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const round = roundsOf(context)
  await round()
  fs.writeFileSync(`${home}/passphrase`, "a long passphrase\n", { mode: 0o600 })
  await run("lock", "--passphrase-file", `${home}/passphrase`)
  await assert.rejects(round(), (error) => isHoldfastError(error, "ERR_LOCKED"))
  await assert.rejects(round(), (error) => isHoldfastError(error, "ERR_LOCKED"))
  await run("unlock", "--passphrase-file", `${home}/passphrase`)
  assert.ok((await round()).trees.every(({ error }) => !error))
})

test("any process can look after its profile beside its own work, in three lines, on the sessions that it has", async (t) => {
  const { contextOf, volume, put, written } = createHome(t)
  await volume("one")
  await put("one:/file")
  const context = contextOf(["maintain"])
  const session = await context.openSession("one")
  const maintenance = maintainBeside(context)
  const { folder } = openMaintenance(context)
  while ((await folder.load()).round?.endedMs === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
  await maintenance.stop()
  assert.equal(await context.openSession("one"), session)
  await session.backends[0]!.usage() // it is open still
  assert.equal(Object.keys((await folder.load()).trees).length > 0, true)
  assert.equal(written.stderr, "", "what is well is not told")
  await context.close()
})

test("stopping ends a collection that is under way, and the next round does it", async (t) => {
  const { contextOf, volume, put, written } = createHome(t)
  await volume("one")
  await put("one:/file")
  const collectedMs = async (context: Context) =>
    Object.values((await openMaintenance(context).folder.load()).volumes)[0]?.collectedMs
  const context = contextOf(["maintain"])
  const { promise: collecting, resolve: begun } = Promise.withResolvers<void>()
  const { promise: isStopping, resolve: goOn } = Promise.withResolvers<void>()
  const maintenance = maintainBeside({
    ...context,
    async openOwnSession(name, how) {
      const session = await context.openOwnSession(name, how)
      if (!how?.forRemoval) return session
      begun()
      await isStopping
      return session
    },
  })
  await collecting
  const stopped = maintenance.stop()
  goOn()
  await stopped
  assert.equal(await collectedMs(context), undefined)
  assert.equal(written.stderr, "", "who stops it is told nothing")
  await context.close()
  const next = contextOf(["maintain"])
  const again = maintainBeside(next)
  while ((await collectedMs(next)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
  await again.stop()
  await next.close()
})

test("an error that nobody expected is told once with where it arose, and shown as trouble", async (t) => {
  const { contextOf, volume, put, written } = createHome(t)
  await volume("one")
  await put("one:/file")
  const context = contextOf(["maintain"])
  const troubles: (string | undefined)[] = []
  const { promise: told, resolve: tell } = Promise.withResolvers<void>()
  const maintenance = maintainBeside(
    {
      ...context,
      async follow() {
        throw new TypeError("undefined is not iterable")
      },
    },
    {
      onTrouble(why) {
        troubles.push(why)
        tell()
      },
    },
  )
  await told
  await maintenance.stop()
  await context.close()
  assert.deepEqual(troubles, [
    "Maintenance met an error that nobody expected, and tries again: undefined is not iterable",
  ])
  assert.match(written.stderr, /TypeError: undefined is not iterable\n +at .*maintain-held.test.ts/)
  assert.equal(written.stderr.match(/tries again/g)?.length, 1)
})

test("what keeps a profile from being opened at first is tried again, and looked after once it is put right", async (t) => {
  const { home, contextOf, volume, put } = createHome(t)
  await volume("one")
  await put("one:/file")
  const [secrets] = fs.globSync(`${home}/.config/holdfast/**/secrets.json`)
  fs.chmodSync(secrets!, 0o644)
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const round = roundsOf(context)
  await assert.rejects(round(), (error) => isHoldfastError(error, "ERR_EXPOSED"))
  fs.chmodSync(secrets!, 0o600)
  assert.ok((await round()).trees.every(({ error }) => !error))
})

test("a wrong passphrase is read anew once its file is put right", async (t) => {
  const { home, contextOf, run, volume, put } = createHome(t)
  await volume("one")
  await put("one:/file")
  const [file, typed] = [`${home}/passphrase`, `${home}/typed`]
  for (const path of [file, typed]) fs.writeFileSync(path, "a long passphrase\n", { mode: 0o600 })
  await run("lock", "--passphrase-file", file)
  fs.writeFileSync(typed, "a mistyped passphrase\n")
  const context = contextOf(["maintain", "--passphrase-file", typed])
  t.after(() => context.close())
  const round = roundsOf(context)
  await assert.rejects(round(), (error) => isHoldfastError(error, "ERR_WRONG_PASSPHRASE"))
  fs.copyFileSync(file, typed)
  assert.ok((await round()).trees.every(({ error }) => !error))
})

test("a folder that cannot be made is trouble that passes, and ends no maintenance", async (t) => {
  const { contextOf, volume } = createHome(t)
  await volume("one")
  const context = contextOf(["maintain"])
  t.after(() => context.close())
  const { dir, folder } = openMaintenance(context)
  fs.mkdirSync(paths.dirname(paths.dirname(dir)), { recursive: true })
  fs.writeFileSync(paths.dirname(dir), "in the way")
  const turn = () => takeTurn(context, async () => "done", { onWait: () => undefined })
  const isTold = (error: unknown) => isHoldfastError(error, "ERR_IO")
  await assert.rejects(turn(), isTold)
  await assert.rejects(folder.addSuspects("volume/v", ["a".repeat(64)]), isTold)
  fs.rmSync(paths.dirname(dir))
  assert.equal(await turn(), "done")
})
