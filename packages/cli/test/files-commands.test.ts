import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { test } from "node:test"
import { type Backend, decodeCap, registerIdOf, type VerifyCap } from "@holdfast/protocol"
import { createHarness, fill, withCode } from "./files-harness.ts"

interface Checked {
  readonly ok: boolean
  readonly chunks: number
  readonly healthy: number
  readonly damaged: number
  readonly lost: number
  readonly placed: number
}

async function shareCount(backend: Backend): Promise<number> {
  return (await backend.listMarks({ limit: 4096 })).length
}

test("a folder put into a tree is listed, read and fetched", async (t) => {
  const { folder, run, json } = await createHarness(t)
  fill(folder)
  assert.match(await run("put", `${folder}/src`, "home:/docs"), /Stored 3 files/)
  assert.equal(await run("ls", "home:/docs"), "a.txt\nb.bin\nsub/\n")
  assert.match(
    await run("ls", "-l", "home:/docs/sub"),
    /^-rw-r--r-- \d+:\d+ 2000 .* c.txt\nlrwxrwxrwx \d+:\d+ +\d+ .* l -> \.\.\/a.txt\n$/,
  )
  assert.equal(await run("cat", "home:/docs/a.txt"), "alpha")
  await run("get", "home:/docs", `${folder}/back`)
  assert.ok(fs.readFileSync(`${folder}/back/b.bin`).equals(fs.readFileSync(`${folder}/src/b.bin`)))
  assert.equal(fs.readlinkSync(`${folder}/back/sub/l`), "../a.txt")
  const [stat] = [await json<{ size: number; mode: string }>("stat", "home:/docs/b.bin")]
  assert.deepEqual([stat.size, stat.mode], [3_000_000, "0644"])
})

test("stat says which extended attributes are stored", async (t) => {
  if (process.platform !== "linux" && process.env["HOLDFAST_REQUIRE_ALL"] !== "1") return t.skip("those of Linux")
  const { folder, run, json } = await createHarness(t)
  fs.writeFileSync(`${folder}/f`, "f")
  const set =
    "import os, sys; [os.setxattr(sys.argv[1], n, b'1') for n in ['user.\\x1b'] + ['user.z%d' % i for i in range(20)]]"
  execFileSync("python3", ["-c", set, `${folder}/f`])
  await run("put", `${folder}/f`, "home:/f")
  const { xattrs } = await json<{ xattrs: object[] }>("stat", "home:/f")
  assert.deepEqual([xattrs.length, xattrs[0]], [21, { name: "user.\x1b", size: 1 }])
  const text = await run("stat", "home:/f")
  assert.match(text, /^xattr {3}user\.\\x1b \(1 byte\)$/m)
  assert.match(text, /^xattr {3}and 1 more$/m)
  await run("cp", "home:/f", "home:/copy")
  await run("mv", "home:/copy", "home:/moved")
  await run("mkdir", "home:/other")
  await run("cp", "home:/moved", "home:/other/again")
  assert.deepEqual((await json<{ xattrs: object[] }>("stat", "home:/other/again")).xattrs, xattrs)
})

test("reading a file asks each server for the root once", async (t) => {
  const { run, backends, folder } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  let reads = 0
  for (const backend of backends) {
    const read = backend.readRegisters
    backend.readRegisters = (...args) => {
      reads++
      return read.apply(backend, args)
    }
  }
  assert.equal(await run("cat", "home:/docs/a.txt"), "alpha")
  assert.equal(reads, backends.length)
})

test("the same put again stores nothing, and a folder is merged, not nested", async (t) => {
  const { folder, run, json } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  const again = await json<{ files: number; unchanged: number }>("put", `${folder}/src`, "home:/docs")
  assert.deepEqual([again.files, again.unchanged], [0, 4])
  await run("put", `${folder}/src`, "home:")
  await run("put", `${folder}/src`, "home:/docs/")
  assert.equal(await run("ls", "home:"), "docs/\nsrc/\n")
  assert.equal(await run("ls", "home:/docs"), "a.txt\nb.bin\nsrc/\nsub/\n")
})

test("a file goes into a directory that exists, and under its new name otherwise", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  await run("mkdir", "home:/in")
  await run("put", `${folder}/src/a.txt`, "home:/in")
  await run("put", `${folder}/src/a.txt`, "home:/other")
  assert.equal(await run("cat", "home:/in/a.txt"), "alpha")
  assert.equal(await run("cat", "home:/other"), "alpha")
  await assert.rejects(run("put", `${folder}/src/a.txt`, "home:/no/such/place"), withCode("ERR_NOT_FOUND"))
})

test("mkdir, cp, mv and rm do what they say and refuse to destroy", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  await assert.rejects(run("mkdir", "home:/x/y"), withCode("ERR_NOT_FOUND"))
  await run("mkdir", "-p", "home:/x/y")
  await run("mkdir", "-p", "home:/x/y")
  await assert.rejects(run("mkdir", "home:/x"), withCode("ERR_ALREADY_EXISTS"))
  await run("cp", "home:/docs", "home:/x/copy")
  await run("mv", "home:/docs/a.txt", "home:/x/y/")
  await assert.rejects(run("mv", "home:/x", "home:/x/y"), withCode("ERR_INVALID_ARGUMENT"))
  await assert.rejects(run("rm", "home:/x"), withCode("ERR_NOT_EMPTY"))
  await assert.rejects(run("rm", "home:"), withCode("ERR_INVALID_ARGUMENT"))
  await assert.rejects(run("rm", "home:/nothing"), withCode("ERR_NOT_FOUND"))
  await run("rm", "-f", "home:/nothing")
  await run("rm", "-r", "home:/docs")
  assert.equal(
    await run("find", "home:", "--type", "f"),
    "home:/x/copy/a.txt\nhome:/x/copy/b.bin\nhome:/x/copy/sub/c.txt\nhome:/x/y/a.txt\n",
  )
})

test("find, du and tree walk what is there", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  assert.equal(await run("find", "home:/", "--name", "*.txt"), "home:/docs/a.txt\nhome:/docs/sub/c.txt\n")
  assert.equal(await run("find", "home:/", "--larger", "2000"), "home:/docs/b.bin\n")
  assert.equal(await run("du", "home:/docs"), "3002005\thome:/docs\n")
  assert.equal(
    await run("tree", "home:/docs"),
    "home:/docs\n├── a.txt\n├── b.bin\n└── sub\n    ├── c.txt\n    └── l -> ../a.txt\n",
  )
})

test("a snapshot keeps what was there, is read by @name and cannot be changed", async (t) => {
  const { folder, run, json } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  await run("snapshot", "create", "home:", "friday")
  await run("rm", "home:/docs/a.txt")
  assert.equal(await run("cat", "home:/docs@friday/a.txt"), "alpha")
  assert.equal(await run("ls", "home:/@friday"), "docs/\n")
  assert.equal(await run("diff", "home:/docs@friday", "home:/docs"), "- /a.txt\n")
  await run("cp", "home:/docs@friday/a.txt", "home:/docs/a.txt")
  assert.equal(await run("cat", "home:/docs/a.txt"), "alpha")
  assert.deepEqual(
    (await json<{ name: string }[]>("snapshot", "list", "home:")).map(({ name }) => name),
    ["friday"],
  )
  await run("snapshot", "remove", "home:", "friday")
  await assert.rejects(run("ls", "home:/@friday"), withCode("ERR_NOT_FOUND"))
})

test("a name with @ in it wins over a snapshot", async (t) => {
  const { folder, run } = await createHarness(t)
  fs.mkdirSync(`${folder}/p/@types`, { recursive: true })
  fs.writeFileSync(`${folder}/p/@types/x`, "literal")
  await run("put", `${folder}/p`, "home:/p")
  await run("snapshot", "create", "home:", "types")
  assert.equal(await run("cat", "home:/p/@types/x"), "literal")
})

test("a read capability reads and cannot write; one below the root keeps what it was", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  const read = (await run("cap", "home:", "--read")).trim()
  assert.match(read, /^hf:dr:/)
  assert.equal(await run("cat", `${read}/docs/a.txt`), "alpha")
  await assert.rejects(run("mkdir", `${read}/x`), withCode("ERR_WRONG_CAPABILITY"))
  await assert.rejects(run("put", `${folder}/src`, `${read}/x`), withCode("ERR_WRONG_CAPABILITY"))
  await assert.rejects(run("cap", "home:/docs"), withCode("ERR_WRONG_CAPABILITY"))
  const fixed = (await run("cap", "home:/docs", "--read")).trim()
  assert.match(fixed, /^hf:ci:/)
  await run("rm", "home:/docs/a.txt")
  fs.writeFileSync(`${folder}/cap`, `${fixed}\n`, { mode: 0o600 })
  assert.equal(await run("cat", `@file:${folder}/cap//a.txt`), "alpha")
  assert.equal(await run("cat", "--cap-file", `${folder}/cap`, "cap:/a.txt"), "alpha")
  await assert.rejects(run("ls", `${read.slice(0, -1)}x`), withCode("ERR_BAD_CAPABILITY"))
})

test("a tree linked in is entered, and a circle is not", async (t) => {
  const { folder, run, json, aliases } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  const fixed = (await run("cap", "home:/docs", "--read")).trim()
  await run("ln", fixed, "home:/kept")
  assert.equal(await run("cat", "home:/kept/a.txt"), "alpha")
  await run("ln", aliases.get("home")!, "home:/self")
  await assert.rejects(run("ls", "home:/self"), withCode("ERR_LIMIT"))
  assert.equal(await run("find", "home:", "--name", "a.txt"), "home:/docs/a.txt\nhome:/kept/a.txt\n")
  assert.ok((await json<{ ok: boolean }>("check", "--deep", "home:")).ok)
  await assert.rejects(run("get", "home:", `${folder}/all`), withCode("ERR_INCOMPLETE"))
  assert.equal(fs.readFileSync(`${folder}/all/kept/a.txt`, "utf8"), "alpha")
  await assert.rejects(
    run("ln", (await run("cap", "home:", "--verify")).trim(), "home:/v"),
    withCode("ERR_WRONG_CAPABILITY"),
  )
  await assert.rejects(run("ln", "hf:dr:abc", "home:/v"), withCode("ERR_BAD_CAPABILITY"))
})

test("check finds lost shares, repair puts them right, of the root too", async (t) => {
  const { folder, run, json, replaceServer, reopen } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  const healthy = await json<{ ok: boolean; chunks: number }>("check", "--deep", "home:")
  assert.ok(healthy.ok && healthy.chunks >= 2)
  for (const lost of [0, 1]) replaceServer(lost)
  await reopen()
  const broken = await json<{ ok: boolean; damaged: number; leastSpare: number }>("check", "--deep", "home:")
  assert.deepEqual([broken.ok, broken.damaged, broken.leastSpare, process.exitCode], [false, healthy.chunks, 0, 5])
  process.exitCode = 0
  const mended = await json<{ ok: boolean; placed: number }>("check", "--deep", "--repair", "home:")
  assert.ok(mended.ok && mended.placed === 2 * healthy.chunks)
  for (const lost of [2, 3]) replaceServer(lost)
  await reopen()
  await run("get", "home:/docs", `${folder}/back`)
  assert.equal(fs.readFileSync(`${folder}/back/a.txt`, "utf8"), "alpha")
})

test("a capability to what a place holds now reads it or repairs it, whatever becomes of the place", async (t) => {
  const { folder, run, json, replaceServer, reopen } = await createHarness(t)
  fill(folder)
  fs.writeFileSync(`${folder}/src/long`, randomBytes(9_000_000))
  await run("put", `${folder}/src`, "home:/docs")
  await run("snapshot", "create", "home:", "friday")
  const verify = async (path: string) => (await run("cap", path, "--verify")).trim()
  const [directory, long, kept] = [
    await verify("home:/docs"),
    await verify("home:/docs/long"),
    (await run("cap", "home:/docs@friday")).trim(),
  ]
  assert.match(kept, /^hf:ci:/)
  const read = (await run("cap", "home:/docs", "--read")).trim()
  assert.notEqual(read, kept, "it has chunks of its own")
  assert.equal(await run("ls", read), await run("ls", kept))
  assert.equal((await run("cap", kept, "--verify")).trim(), directory)
  await assert.rejects(run("cap", "home:/docs"), withCode("ERR_WRONG_CAPABILITY"))
  await assert.rejects(verify("home:/docs/a.txt"), withCode("ERR_INVALID_ARGUMENT"))
  await run("rm", "-r", "home:/docs")
  replaceServer(3)
  await reopen()
  const file = await json<Checked>("check", long)
  assert.deepEqual([file.ok, file.chunks, file.damaged], [false, 4, 4]) // three pieces and the manifest
  process.exitCode = 0
  const all = await json<Checked>("check", directory, "--repair")
  assert.ok(all.ok && all.placed === all.chunks && all.chunks > file.chunks, JSON.stringify(all))
  replaceServer(0)
  replaceServer(1)
  await reopen()
  await run("get", `${kept}/long`, `${folder}/long`)
  assert.ok(fs.readFileSync(`${folder}/long`).equals(fs.readFileSync(`${folder}/src/long`)))
  await assert.rejects(run("cat", directory), withCode("ERR_WRONG_CAPABILITY"))
})

test("what stands on more chunks than a capability can name is left to the verify capability of its tree", async (t) => {
  const { folder, run } = await createHarness(t)
  const piece = Buffer.alloc(4 * 1024 * 1024)
  for (let i = 0; i < 40; i++) {
    piece.fill(i + 1)
    fs.appendFileSync(`${folder}/huge`, piece)
  }
  await run("put", `${folder}/huge`, "home:/huge")
  await assert.rejects(run("cap", "home:/huge", "--verify"), withCode("ERR_LIMIT"))
  assert.match(await run("cap", "home:/huge", "--read"), /^hf:ci:/)
})

test("a verify capability alone restores full health after a server came back empty, and reads nothing", async (t) => {
  const { folder, run, json, backends, aliases, reopen, replaceServer } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  await run("snapshot", "create", "home:", "monday")
  for (let i = 0; i < 70; i++) await run("mkdir", `home:/d${i}`) // enough for a segment
  await run("rm", "-r", "home:/docs")
  const writeCap = aliases.get("home")!
  aliases.set("home", (await run("cap", "home:", "--verify")).trim())
  const [shares, register] = [
    await shareCount(backends[1]!),
    registerIdOf((decodeCap(aliases.get("home")!) as VerifyCap).publicKey),
  ]
  replaceServer(1)
  await reopen()
  const broken = await json<Checked>("check", "home:")
  assert.deepEqual([broken.ok, broken.healthy, broken.damaged, process.exitCode], [false, 0, broken.chunks, 5])
  process.exitCode = 0
  const repaired = await json<Checked>("check", "home:", "--repair")
  assert.ok(repaired.ok && repaired.placed === broken.chunks && repaired.lost === 0, JSON.stringify(repaired))
  const verified = await json<Checked>("check", "home:", "--verify")
  assert.deepEqual([verified.ok, verified.healthy], [true, broken.chunks])
  assert.equal(await shareCount(backends[1]!), shares)
  assert.ok((await backends[1]!.readRegisters([register]))[0])
  for (const command of [["ls"], ["cat"], ["stat"], ["get"], ["cp"], ["mkdir"], ["snapshot", "list"], ["cap"]]) {
    const more = { get: [folder], cp: ["home:/b"] }[command[0]!] ?? []
    await assert.rejects(run(...command, "home:", ...more), withCode("ERR_WRONG_CAPABILITY"), command.join())
  }
  await assert.rejects(run("check", "home:/docs"), withCode("ERR_WRONG_CAPABILITY"))
  assert.equal((await json<{ shares: number }>("gc")).shares, 0)
  assert.equal((await json<{ moved: number }>("rebalance", "home:")).moved, 0)
  aliases.set("home", writeCap)
  for (const lost of [2, 3]) replaceServer(lost)
  await reopen()
  assert.equal(await run("cat", "home:/docs@monday/a.txt"), "alpha")
})

const day = 86_400_000

test("gc by a writer leaves a verify capability nothing to miss, gc by a reader removes nothing that it lists", async (t) => {
  const { folder, run, json, aliases, pass } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  await run("rm", "-r", "home:/docs")
  for (let i = 0; i < 90; i++) await run("mkdir", `home:/d${i}`) // pushes the old roots out of the history
  const verify = (await run("cap", "home:", "--verify")).trim()
  const before = await json<Checked>("check", verify)
  const write = aliases.get("home")!
  const read = (await run("cap", "home:", "--read")).trim()
  fs.writeFileSync(`${folder}/read.cap`, read, { mode: 0o600 })
  fs.writeFileSync(`${folder}/write.cap`, write, { mode: 0o600 })
  pass(2 * day)
  await run("alias", "add", "home", "--cap-file", `${folder}/read.cap`, "--replace")
  const sparing = await json<{ shares: number }>("gc")
  assert.equal(sparing.shares, 0)
  assert.ok((await json<Checked>("check", verify)).ok)
  await run("alias", "add", "home", "--cap-file", `${folder}/write.cap`, "--replace")
  pass(2 * day) // what is taken over is held at once, and young
  const thorough = await json<{ shares: number }>("gc")
  const after = await json<Checked>("check", verify)
  assert.ok(after.ok && after.chunks < before.chunks - 50, `${before.chunks} chunks, then ${after.chunks}`)
  assert.ok(thorough.shares > 250, `${thorough.shares} shares`)
  assert.equal((await json<{ shares: number }>("gc")).shares, 0)
})

test("gc removes what nothing refers to after the places' grace, and keeps trees, snapshots and history", async (t) => {
  const { folder, run, json, pass } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  await run("snapshot", "create", "home:", "keep")
  await run("rm", "-r", "home:/docs")
  pass(2 * day)
  assert.equal((await json<{ shares: number }>("gc")).shares, 0)
  assert.equal(await run("cat", "home:/docs@keep/a.txt"), "alpha")
  await run("snapshot", "remove", "home:", "keep")
  for (let i = 0; i < 20; i++) await run("mkdir", `home:/d${i}`) // pushes the old roots out of the history
  pass(2 * day)
  assert.equal((await json<{ shares: number }>("gc", "--grace", "14d")).shares, 0)
  const dry = await json<{ shares: number }>("gc", "--dry-run")
  const removed = await json<{ shares: number; bytes: number }>("gc")
  assert.ok(removed.shares > 0 && removed.shares >= dry.shares, `${dry.shares}, then ${removed.shares}`)
  assert.ok(removed.bytes > 3_000_000, `${removed.bytes} bytes`)
  assert.equal((await run("ls", "home:")).split("\n").length, 21)
})

test("no option makes gc take what is younger than a place spares", async (t) => {
  const { folder, run, json } = await createHarness(t)
  fill(folder)
  await assert.rejects(run("gc", "--grace", "1s"), withCode("ERR_INVALID_ARGUMENT"))
  await assert.rejects(run("gc", "--grace", "0s"), /within the last hour/)
  await run("put", `${folder}/src`, "home:/docs")
  await run("alias", "remove", "home", "--yes")
  const { shares, young } = await json<{ shares: number; young: number }>("gc", "--grace", "1h")
  assert.ok(shares === 0 && young > 0, `${shares} shares, ${young} young`)
})

test("rebalance moves nothing when all is in its place", async (t) => {
  const { folder, run, json } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  assert.equal((await json<{ moved: number }>("rebalance", "home:")).moved, 0)
})

test("wrong uses say what to write instead", async (t) => {
  const { folder, run } = await createHarness(t)
  fill(folder)
  await run("put", `${folder}/src`, "home:/docs")
  await assert.rejects(run("put", "home:/docs", "home:/x"), /put takes local files/)
  await assert.rejects(run("get", "home:/docs", "home:/x"), /destination of get is a local path/)
  await assert.rejects(run("cat", "home:/docs"), withCode("ERR_IS_A_DIRECTORY"))
  await assert.rejects(run("ls", "home:/nope"), /holdfast ls home:\//)
  await assert.rejects(run("put", `${folder}/src`), /SRC… DEST/)
  await assert.rejects(run("gc", "--grace", "soon"), withCode("ERR_INVALID_ARGUMENT"))
})
