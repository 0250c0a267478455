import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { nodeEnv } from "@holdfast/core/node"
import { type Found, readGolden } from "./golden.ts"

const interop = join(dirname(import.meta.dirname), "interop")
const reader = join(interop, "reader", "holdfast_reader.py")
const golden = join(interop, "golden", "v1")
const cap = readFileSync(join(golden, "read-capability"), "utf8")
const python = ["python3", "/usr/bin/python3"].find(
  (program) => spawnSync(program, ["-c", "import cryptography"]).status === 0,
)

const expected = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8")) as Found[]
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const inOrder = (found: readonly Found[]) => found.toSorted((a, b) => (a.path < b.path ? -1 : 1))
const serversOf = (...numbers: number[]) => numbers.map((number) => join(golden, `server-${number}`))

/** Runs the second reader, or skips the test where its library is missing. */
function runReader(t: TestContext, args: readonly string[], input = "") {
  if (python) return spawnSync(python, [reader, ...args], { encoding: "utf8", input })
  assert.ok(!process.env.HOLDFAST_REQUIRE_ALL, "python3-cryptography is not installed")
  t.skip("python3-cryptography is not installed")
  return undefined
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-reader-"))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** What lies below `folder`, as expected.json has it. */
function lookAt(folder: string, prefix = ""): Found[] {
  return readdirSync(folder).flatMap((name) => {
    const place = join(folder, name)
    const stat = lstatSync(place, { bigint: true })
    const line = { path: `${prefix}${name}`, mode: Number(stat.mode & 0o7777n), mtimeNs: String(stat.mtimeNs) }
    if (stat.isSymbolicLink())
      return [{ ...line, kind: "symlink", size: Number(stat.size), target: readlinkSync(place) }]
    if (stat.isDirectory()) return [{ ...line, kind: "directory", size: 0 }, ...lookAt(place, `${prefix}${name}/`)]
    return [{ ...line, kind: "file", size: Number(stat.size), sha256: sha256(readFileSync(place)) }]
  })
}

test("the second reader agrees with all frozen vectors", (t) => {
  const names = [
    "account",
    "account-list",
    "bucket",
    "bucket-2",
    "capability",
    "cbor-text",
    "chunk",
    "chunk-2",
    "chunk-parity",
    "erasure",
    "register",
    "register-lineage",
    "register-4",
    "recovery-kit",
    "recovery-kit-2",
    "grid-description",
    "grid-description-2",
    "grid-description-3",
    "volume",
    "volume-2",
  ]
  const files = names.map((name) => join(interop, "vectors", `${name}.json`))
  const result = runReader(t, ["vectors", ...files])
  if (!result) return
  assert.equal(result.status, 0, result.stderr)
  assert.equal(result.stdout.trim().split("\n").length, files.length)
})

for (const numbers of [
  [0, 1, 2, 3, 4],
  [0, 1, 2],
  [2, 3, 4],
  [0, 2, 4],
]) {
  test(`the second reader restores the golden volume from servers ${numbers.join(", ")}`, (t) => {
    const dest = join(temporaryFolder(t), "restored")
    const data = serversOf(...numbers).flatMap((server) => ["--data", server])
    const result = runReader(t, ["restore", ...data, dest], cap)
    if (!result) return
    assert.equal(result.status, 0, result.stderr)
    // A junction is restored as a directory; permissions of links are the system's.
    const wanted = expected.map((line) => (line.kind === "junction" ? { ...line, kind: "directory" } : line))
    assert.deepEqual(inOrder(lookAt(dest)), inOrder(wanted))
  })
}

test("the second reader finds every chunk of the golden volume healthy with a verify capability, and reads nothing", (t) => {
  const data = serversOf(0, 1, 2, 3, 4).flatMap((server) => ["--data", server])
  const verify = readFileSync(join(golden, "verify-capability"), "utf8")
  const result = runReader(t, ["chunks", ...data], verify)
  if (!result) return
  assert.equal(result.status, 0, result.stderr)
  const lines = result.stdout.trim().split("\n")
  assert.deepEqual([...new Set(lines.map((line) => line.slice(65)))], ["5 good shares, 3 needed"])
  const stored = readdirSync(serversOf(0)[0]!).filter((name) => name.endsWith(".share"))
  const listed = new Set(lines.map((line) => line.slice(0, 64)))
  const unlisted = stored.filter((name) => !listed.has(name.slice(0, 64)))
  assert.equal(unlisted.length, 4, "only one chunk of the tree that is linked in and three of the file are not listed")
  assert.match(runReader(t, ["ls", ...data], verify)?.stderr ?? "", /ERR_WRONG_CAPABILITY/)
})

test("the second reader restores a mutable file from its own capability", (t) => {
  const dest = join(temporaryFolder(t), "file")
  const data = serversOf(1, 2, 3).flatMap((server) => ["--data", server])
  const result = runReader(t, ["restore", ...data, "--cap-file", join(golden, "file-read-capability"), dest])
  if (!result) return
  assert.equal(result.status, 0, result.stderr)
  assert.equal(readFileSync(dest, "utf8"), "in a mutable file\n")
  assert.equal(lstatSync(dest).mode & 0o777, 0o660)
})

test("the second reader says which chunk it cannot restore from two servers, and a wrong capability is refused", (t) => {
  const data = serversOf(1, 3).flatMap((server) => ["--data", server])
  const short = runReader(t, ["restore", ...data, join(temporaryFolder(t), "restored")], cap)
  if (!short) return
  assert.notEqual(short.status, 0)
  assert.match(short.stderr, /ERR_NOT_ENOUGH_SHARES: chunk [0-9a-f]{64}/)
  const mistyped = runReader(t, ["ls", ...data], cap.replace(/.\n$/, "\n"))
  assert.match(mistyped?.stderr ?? "", /ERR_BAD_CAPABILITY/)
})

test("Holdfast itself reads the golden volume", async () => {
  const held = serversOf(0, 1, 3).map((place) => {
    const files = (ending: string) =>
      readdirSync(place)
        .filter((name) => name.endsWith(ending))
        .map((name) => new Uint8Array(readFileSync(join(place, name))))
    return { shares: files(".share"), registers: files(".register") }
  })
  assert.deepEqual(inOrder(await readGolden(nodeEnv, cap, held)), inOrder(expected))
})
