import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import { accountRoles, encodeCap, registerIdOf, shareName, toReadCap } from "@holdfast/protocol"
import { createMemorySeen, createStore, type Store } from "@holdfast/store"
import {
  type DirectoryRef,
  type Entry,
  emptyCare,
  encodeCare,
  encodeDirectoryNode,
  encodeManifestNode,
  encodeRoot,
  type ManifestItem,
  plainAttributes,
  type Reference,
} from "@holdfast/tree"

const reader = join(dirname(import.meta.dirname), "interop", "reader", "holdfast_reader.py")
const python = ["python3", "/usr/bin/python3"].find(
  (program) => spawnSync(program, ["-c", "import cryptography"]).status === 0,
)
const plain = plainAttributes(0o644, 0)

/** What a writer of bad intent needs: any node, as it likes. */
interface Maker {
  node(level: number, items: Parameters<typeof encodeDirectoryNode>[1]): Promise<Reference>
  /** A file's list of pieces. */
  manifest(level: number, items: readonly ManifestItem[]): Promise<ManifestItem>
  piece(bytes: Uint8Array): Promise<ManifestItem>
  /** The read capability of the tree itself. */
  readonly readCap: Uint8Array
}

interface Hostile {
  readonly folder: string
  run(...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string }
}

/** A tree on one server, written without any of our checks, as files; undefined where the reader's library is missing. */
async function hostile(t: TestContext, make: (maker: Maker) => Promise<DirectoryRef>): Promise<Hostile | undefined> {
  if (!python) {
    assert.ok(!process.env.HOLDFAST_REQUIRE_ALL, "python3-cryptography is not installed")
    t.skip("python3-cryptography is not installed")
    return undefined
  }
  const folder = mkdtempSync(join(tmpdir(), "holdfast-hostile-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const backend = createMemoryPlace("server", crypto).backendOf({ account: crypto.random(32), roles: accountRoles })
  const store: Store = await createStore({
    ...{ env, servers: [{ backend, weight: 1 }], coding: { k: 1, happy: 1, n: 1 }, registerMode: "crash" },
    ...{ seen: createMemorySeen() },
  })
  const seed = crypto.random(32)
  const read = await toReadCap(crypto, { kind: "dw", seed })
  const stored = async (bytes: Uint8Array): Promise<Reference> => {
    const { length } = bytes
    const { id, key } = await store.chunks.putChunk(bytes)
    return { chunk: { id, key }, offset: 0, length }
  }
  const root = await make({
    node: (level, items) => stored(encodeDirectoryNode(level, items)),
    manifest: async (level, items) => ({
      length: items.reduce((sum, { length }) => sum + length, 0),
      reference: await stored(encodeManifestNode(level, items)),
    }),
    piece: async (bytes) => ({ length: bytes.length, reference: await stored(bytes) }),
    readCap: utf8(encodeCap(read)),
  })
  const content = encodeRoot({ root, commitTimeMs: 0, history: [], snapshots: null })
  assert.ok(await store.registers.write({ ...read, seed }, 0, { content, care: encodeCare(emptyCare) }))
  const data = join(folder, "data")
  mkdirSync(data)
  const listed = await backend.listMarks({ limit: 4096 })
  const shares = await backend.getShares(listed)
  for (const [i, { id, index }] of listed.entries())
    writeFileSync(join(data, `${shareName(id, index)}.share`), shares[i]!)
  const [value] = await backend.readRegisters([registerIdOf(read.publicKey)])
  writeFileSync(join(data, "register"), value!)
  await store.close()
  const run = (command: string, ...args: readonly string[]) =>
    spawnSync(python, [reader, command, "--data", data, ...args], {
      ...{ encoding: "utf8", input: encodeCap(read), timeout: 120_000, maxBuffer: 2 ** 28, env: { PATH: "/usr/bin" } },
    })
  return { folder, run: (...args) => run(args[0]!, ...args.slice(1)) }
}

function file(name: string, own: Partial<Entry> = {}): Entry {
  const bytes = utf8("content")
  const content = { form: "inline", size: bytes.length, bytes } as const
  return { ...plain, ...own, name, kind: "file", size: bytes.length, content } as Entry
}

const directory = (name: string, reference: DirectoryRef, mode = 0o755): Entry => ({
  ...{ ...plain, mode, name, kind: "directory", size: 0, reference },
})
const link = (name: string, target: string): Entry => ({
  ...{ ...plain, name, kind: "symlink", size: utf8(target).length, target },
})

/** Names of a file's extended attributes. */
function xattrsOf(path: string): string[] {
  const code = "import os,sys; print('\\n'.join(os.listxattr(sys.argv[1])))"
  const { stdout } = spawnSync(python!, ["-c", code, path], { encoding: "utf8" })
  return stdout.split("\n").filter((name) => name !== "" && !name.startsWith("security.selinux"))
}

test("the second reader restores no bit that gives another's rights, and extended attributes of the user only when asked", async (t) => {
  const names = ["user.note", "security.capability", "trusted.x", "system.posix_acl_access"]
  const xattrs = new Map(names.map((name) => [name, utf8("\x01\x00\x00\x02")]))
  const made = await hostile(t, async ({ node }) => {
    const inner = await node(0, [file("su", { mode: 0o6755, xattrs })])
    return node(0, [directory("d", inner, 0o7777), file("sticky", { mode: 0o1666 })])
  })
  if (!made) return
  for (const flags of [[], ["--xattrs"]]) {
    const dest = join(made.folder, `restored${flags.length}`)
    const result = made.run("restore", ...flags, dest)
    assert.equal(result.status, 0, result.stderr)
    const modeOf = (...path: string[]) => lstatSync(join(dest, ...path)).mode & 0o7777
    assert.deepEqual(
      [modeOf("d", "su"), modeOf("d"), modeOf("sticky"), modeOf()].map((mode) => mode.toString(8)),
      ["755", "777", "666", "700"],
    )
    const found = xattrsOf(join(dest, "d", "su"))
    const isUnsupported = /user\.note is left out: .*not supported/.test(result.stderr)
    assert.deepEqual(found, flags.length > 0 && !isUnsupported ? ["user.note"] : [])
    assert.doesNotMatch(result.stderr, /security|trusted|system/)
  }
})

test("the second reader prints no name that drives a terminal or hides", async (t) => {
  const name = `x\u001b]0;PWNED\u0007\u202etxt\u009b\ufeff\u200b\u{e0061}o${"\u0300".repeat(30)}`
  const made = await hostile(t, async ({ node }) => node(0, [directory("d\u001b[2J", await node(0, [file(name)]))]))
  if (!made) return
  const { stdout, stderr } = made.run("ls")
  assert.match(
    stdout,
    /d\\x1b\[2J\/x\\x1b\]0;PWNED\\x07\\u202etxt\\x9b\\ufeff\\u200b\\u\{e0061\}o\u0300{8}(?:\\u0300){22}\n/,
  )
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are exactly what must not be there
  assert.doesNotMatch(stdout + stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\ufeff]/)
})

test("the second reader shows no capability that was typed, and takes none from a file that others may read", async (t) => {
  const made = await hostile(t, async ({ node }) => node(0, [file("a")]))
  if (!made) return
  const payload = "a2".repeat(30)
  for (const typed of [
    `hf:dr:${payload}`,
    `hf:dr:\u200b${payload}`,
    `HF%3Adr%3A${payload}`,
    `hf:dr:\u001b[1m${payload}`,
    `x/${payload.slice(2)}`,
    `${payload}${payload}`,
    `hf:dr:${"a3".repeat(20)}\n> ${payload}`,
  ]) {
    const { status, stderr } = made.run("ls", typed)
    assert.equal(status, 2)
    assert.ok(!stderr.includes(payload.slice(0, 10)), stderr)
    assert.match(stderr, /\[hidden\]/)
  }
  const secret = join(made.folder, "secret")
  writeFileSync(secret, "hf:dr:abc", { mode: 0o644 })
  for (const args of [
    ["ls", "--cap-file", secret],
    ["kit", "--words-file", secret],
  ]) {
    const { status, stderr } = made.run(...args)
    assert.equal(status, 1)
    assert.match(stderr, /^ERR_EXPOSED: /)
  }
})

test("the second reader shows where it failed without what drives a terminal", async (t) => {
  const made = await hostile(t, async ({ node }) => node(0, [file("\u001b[2Jx")]))
  if (!made) return
  const dest = join(made.folder, "to\u001b[2J", "\u001b", "there")
  const { status, stderr } = made.run("restore", "--xattrs", join(made.folder, "data", "register", "below\u001b"))
  assert.equal(status, 1)
  assert.match(stderr, /ERR_IO: .*below\\x1b/)
  assert.equal(made.run("restore", dest).status, 0)
})

test("a name that comes twice leads the second reader nowhere, and is an error", async (t) => {
  const outside = mkdtempSync(join(tmpdir(), "holdfast-outside-"))
  t.after(() => rmSync(outside, { recursive: true, force: true }))
  const made = await hostile(t, async ({ node }) => {
    const first = await node(0, [link("x", outside)])
    const second = await node(0, [directory("x", await node(0, [file("evil")]))])
    return node(1, [
      { name: "x", count: 1, reference: first },
      { name: "x\u0001", count: 1, reference: second },
    ])
  })
  if (!made) return
  for (const args of [["ls"], ["restore", join(made.folder, "restored")]]) {
    const { status, stderr } = made.run(...args)
    assert.equal(status, 1)
    assert.match(stderr, /^ERR_BAD_FORMAT: /)
  }
  assert.deepEqual(readdirSync(outside), [])
})

test("links lead the second reader nowhere: they are made, and nothing is written through them", async (t) => {
  const outside = mkdtempSync(join(tmpdir(), "holdfast-outside-"))
  t.after(() => rmSync(outside, { recursive: true, force: true }))
  writeFileSync(join(outside, "f"), "mine", { mode: 0o600 })
  const made = await hostile(t, async ({ node }) =>
    node(0, [{ ...link("l", join(outside, "f")), mode: 0o7777, xattrs: new Map([["user.x", utf8("x")]]) }, file("m")]),
  )
  if (!made) return
  const dest = join(made.folder, "restored")
  const { status, stderr } = made.run("restore", "--xattrs", dest)
  assert.equal(status, 0, stderr)
  assert.ok(lstatSync(join(dest, "l")).isSymbolicLink())
  assert.equal(readFileSync(join(outside, "f"), "utf8"), "mine")
  assert.equal(lstatSync(join(outside, "f")).mode & 0o7777, 0o600)
  assert.deepEqual(xattrsOf(join(outside, "f")), [])
  // What is there already is never written into, and neither is what a link leads to.
  assert.match(made.run("restore", dest).stderr, /^ERR_IO: /)
})

test("a tree that is linked into itself ends the second reader with an error", async (t) => {
  const made = await hostile(t, async ({ node, readCap }) =>
    node(0, [{ ...plain, name: "j", kind: "junction", size: 0, readCap, sealedWriteCap: null }]),
  )
  if (!made) return
  const { status, stderr } = made.run("restore", join(made.folder, "restored"))
  assert.equal(status, 1)
  assert.match(stderr, /^ERR_LIMIT: a tree is linked into itself/)
})

test("directories that hold each other twice, sixty deep, end the second reader with an error", async (t) => {
  const made = await hostile(t, async ({ node }) => {
    let below = await node(0, [file("a")])
    for (let level = 0; level < 60; level++) below = await node(0, [directory("x", below), directory("y", below)])
    return below
  })
  if (!made) return
  for (const args of [["ls"], ["restore", join(made.folder, "restored")]]) {
    const { status, stderr } = made.run(...args)
    assert.equal(status, 1)
    assert.match(stderr, /^ERR_LIMIT: the same directories/)
  }
})

test("directories nested deeper than any path end the second reader with an error", async (t) => {
  const made = await hostile(t, async ({ node }) => {
    let below = await node(0, [file("a")])
    for (let level = 0; level < 400; level++) below = await node(0, [directory("x", below)])
    return below
  })
  if (!made) return
  for (const args of [["ls"], ["restore", join(made.folder, "restored")]])
    assert.match(made.run(...args).stderr, /^ERR_LIMIT: a directory is nested too deep/)
})

test("files that claim far more than is stored of them end the second reader before they fill a disk", async (t) => {
  const hole = (length: number): ManifestItem => ({ length, reference: null })
  const lists: Record<string, (maker: Maker) => Promise<ManifestItem>> = {
    "holes of petabytes": async ({ manifest, piece }) => manifest(0, [await piece(crypto.random(1000)), hole(2 ** 52)]),
    "one piece again and again": async ({ manifest, piece }) =>
      manifest(1, Array(200).fill(await manifest(0, Array(1000).fill(await piece(crypto.random(1_000_000)))))),
    "pieces of a byte": async ({ manifest, piece }) =>
      manifest(1, Array(2000).fill(await manifest(0, Array(2000).fill(await piece(crypto.random(1)))))),
  }
  for (const [name, list] of Object.entries(lists)) {
    const made = await hostile(t, async (maker) => {
      const { length, reference } = await list(maker)
      const content = { form: "manifest", size: length, reference: reference! } as const
      return maker.node(0, [{ ...file("f"), size: length, content } as Entry])
    })
    if (!made) return
    const dest = join(made.folder, "restored")
    const { status, stderr } = made.run("restore", dest)
    assert.equal(status, 1, `${name}: ${stderr}`)
    assert.match(stderr, /^ERR_LIMIT: a file (claims|is cut)/, name)
    const taken = readdirSync(dest).reduce((sum, one) => sum + 512 * lstatSync(join(dest, one)).blocks, 0)
    assert.ok(taken < 150_000_000, `${name}: ${taken} bytes of the disk`)
  }
})
