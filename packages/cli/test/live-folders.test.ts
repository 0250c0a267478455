/** Folders that are shared as they become, by people with profiles of their own over one store. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { createHarness } from "./files-harness.ts"

test("a live capability to a folder shows and changes what it becomes, and nothing else of the tree", async (t) => {
  const owner = await createHarness(t)
  const { folder } = owner
  fs.mkdirSync(join(folder, "photos/2024/summer"), { recursive: true })
  for (const [name, text] of [
    ["photos/a.jpg", "first"],
    ["photos/2024/b.jpg", "second"],
    ["photos/2024/summer/c.jpg", "third"],
    ["secret", "mine alone"],
  ] as const)
    fs.writeFileSync(join(folder, name), text)
  fs.chmodSync(join(folder, "photos"), 0o750)
  await owner.run("put", join(folder, "photos"), "home:/photos")
  await owner.run("put", join(folder, "secret"), "home:/secret")
  await owner.run("snapshot", "create", "home:", "before")

  const cap = join(folder, "photos.cap")
  await owner.run("cap", "home:/photos", "--live", "--out", cap)
  assert.equal(fs.statSync(cap).mode & 0o777, 0o600)
  const names = async (place: string) => (await owner.json<{ path: string }[]>("find", place)).map(({ path }) => path)
  assert.deepEqual((await names("home:/photos")).toSorted(), (await names("home:/photos@before")).toSorted())
  assert.match(await owner.run("ls", "-l", "home:"), /rwxr-x---.* photos/)

  const friend = await owner.other("own")
  assert.equal(await friend.run("cat", `@file:${cap}//2024/summer/c.jpg`), "third")
  await friend.run("put", join(folder, "secret"), `@file:${cap}//from-friend`)
  assert.equal(await owner.run("cat", "home:/photos/from-friend"), "mine alone")
  await owner.run("rm", "home:/photos/a.jpg")
  await assert.rejects(friend.run("cat", `@file:${cap}//a.jpg`), { code: "ERR_NOT_FOUND" })
  await assert.rejects(friend.run("cat", `@file:${cap}//secret`), { code: "ERR_NOT_FOUND" })
  assert.equal(await owner.run("cat", "home:/photos@before/a.jpg"), "first")
})

test("a folder is shared once, whichever capability is asked for, and what is frozen says so by staying as it was", async (t) => {
  const owner = await createHarness(t)
  const { folder } = owner
  fs.writeFileSync(join(folder, "a"), "first")
  await owner.run("mkdir", "home:/docs")
  await owner.run("put", join(folder, "a"), "home:/docs/a")
  const capOf = async (...flags: string[]) => (await owner.json<{ cap: string }>("cap", "home:/docs", ...flags)).cap
  const frozen = await capOf("--read")
  const write = await capOf("--live")
  const read = await capOf("--live", "--read")
  assert.equal(await capOf(), write)
  assert.equal(await capOf("--read"), read)
  assert.match(write, /^hf:dw:/)
  assert.match(read, /^hf:dr:/)
  await owner.run("put", join(folder, "a"), "home:/docs/b")
  const seenBy = async (cap: string) => {
    const file = join(folder, "cap")
    fs.rmSync(file, { force: true })
    fs.writeFileSync(file, cap, { mode: 0o600 })
    return (await owner.run("ls", `@file:${file}`)).trim().split("\n")
  }
  assert.deepEqual(await seenBy(frozen), ["a"])
  assert.deepEqual(await seenBy(read), ["a", "b"])
})

test("whoever shares a folder is told once that it has snapshots of its own, and those keep what it was", async (t) => {
  const owner = await createHarness(t)
  const { folder } = owner
  fs.writeFileSync(join(folder, "a"), "first")
  await owner.run("mkdir", "home:/docs")
  await owner.run("put", join(folder, "a"), "home:/docs/a")
  const told = () => owner.warnings.filter((text) => text.includes("holdfast snapshot create home:/docs NAME"))
  await owner.run("cap", "home:/docs", "--live")
  assert.equal(told().length, 1)
  await owner.run("cap", "home:/docs", "--live", "--read")
  assert.equal(told().length, 1)
  await owner.run("snapshot", "create", "home:/docs", "friday")
  await owner.run("rm", "home:/docs/a")
  assert.equal(
    await owner.run("cat", "home:/docs/a@friday").catch(() => owner.run("cat", "home:/docs@friday/a")),
    "first",
  )
})

test("what is linked in below a shared folder stays as writable as it was, and gc keeps what the folder needs", async (t) => {
  const owner = await createHarness(t)
  const { folder } = owner
  fs.writeFileSync(join(folder, "a"), "x".repeat(300_000))
  await owner.run("mkdir", "-p", "home:/work/deep/part")
  await owner.run("put", join(folder, "a"), "home:/work/deep/part/a")
  const part = join(folder, "part.cap")
  await owner.run("cap", "home:/work/deep/part", "--live", "--out", part)
  await owner.run("cap", "home:/work", "--live", "--out", join(folder, "work.cap"))
  await owner.run("put", join(folder, "a"), "home:/work/deep/part/b")
  assert.deepEqual((await owner.run("ls", `@file:${part}`)).trim().split("\n"), ["a", "b"])

  owner.pass(3 * 86_400_000)
  await owner.reopen()
  await owner.run("gc")
  owner.pass(3 * 86_400_000)
  await owner.run("gc")
  await owner.reopen()
  assert.equal((await owner.run("cat", "home:/work/deep/part/a")).length, 300_000)
  assert.equal((await owner.run("cat", `@file:${part}//b`)).length, 300_000)
})

test("only a folder of a tree that may be written can be shared so", async (t) => {
  const owner = await createHarness(t)
  const { folder } = owner
  fs.writeFileSync(join(folder, "a"), "first")
  await owner.run("mkdir", "home:/docs")
  await owner.run("put", join(folder, "a"), "home:/docs/a")
  await assert.rejects(owner.run("cap", "home:/docs/a", "--live"), { code: "ERR_NOT_A_DIRECTORY" })
  await owner.run("cap", "home:", "--read", "--out", join(folder, "read.cap"))
  await assert.rejects(owner.run("cap", `@file:${join(folder, "read.cap")}//docs`, "--live", "--read"), {
    code: "ERR_WRONG_CAPABILITY",
  })
  assert.deepEqual((await owner.run("ls", "home:/docs")).trim(), "a")
})
