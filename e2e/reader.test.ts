import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { createObjectBackend } from "@holdfast/backends/s3/objects"
import { hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { accountKeysOf, decodeShare } from "@holdfast/protocol"
import { createStore, forgetfulSeen } from "@holdfast/store"
import { MemoryBucket } from "../packages/backends/test/memory-bucket.ts"
import { findAll, readGolden } from "./golden.ts"
import { type Found, goldenFolders, heldBy, serverFolder } from "./golden-files.ts"

const interop = join(dirname(import.meta.dirname), "interop")
const reader = join(interop, "reader", "holdfast_reader.py")
const python = ["python3", "/usr/bin/python3"].find(
  (program) => spawnSync(program, ["-c", "import cryptography"]).status === 0,
)

const textIn = (golden: string, name: string) => readFileSync(join(golden, name), "utf8")
const expectedOf = (golden: string) => JSON.parse(textIn(golden, "expected.json")) as Found[]
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
const inOrder = (found: readonly Found[]) => found.toSorted((a, b) => (a.path < b.path ? -1 : 1))
const dataOf = (golden: string, ...numbers: number[]) =>
  numbers.flatMap((number) => ["--data", serverFolder(golden, number)])

/** So many chunks of each golden volume the care list of its tree does not name. */
const unlisted = [4, 27]
const idOfShare = (share: Uint8Array) => decodeShare(share).id

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
  // Single algorithms, and what holds no data.
  const notRead = ["crypto", "invite", "invite-2", "placement", "placement-candidates", "profile"]
  const names = readdirSync(join(interop, "vectors")).map((file) => basename(file, ".json"))
  const files = names.filter((name) => !notRead.includes(name)).map((name) => join(interop, "vectors", `${name}.json`))
  const result = runReader(t, ["vectors", ...files])
  if (!result) return
  assert.equal(result.status, 0, result.stderr)
  assert.equal(result.stdout.trim().split("\n").length, files.length)
})

for (const [golden, ...sets] of [
  [goldenFolders[0]!, [0, 1, 2, 3, 4], [0, 1, 2], [2, 3, 4], [0, 2, 4]],
  [goldenFolders[1]!, [0, 1, 2, 3, 4], [0, 1, 2], [2, 3, 4]],
] as [string, ...number[][]][])
  for (const numbers of sets)
    test(`the second reader restores golden volume ${basename(golden)} from servers ${numbers.join(", ")}`, (t) => {
      const dest = join(temporaryFolder(t), "restored")
      const result = runReader(t, ["restore", ...dataOf(golden, ...numbers), dest], textIn(golden, "read-capability"))
      if (!result) return
      assert.equal(result.status, 0, result.stderr)
      // A junction is restored as a directory; permissions of links are the system's.
      const wanted = expectedOf(golden).map((line) =>
        line.kind === "junction" ? { ...line, kind: "directory" } : line,
      )
      assert.deepEqual(inOrder(lookAt(dest)), inOrder(wanted))
    })

for (const [i, golden] of goldenFolders.entries()) {
  const version = basename(golden)

  test(`the second reader finds every chunk of golden volume ${version} healthy with a verify capability, and reads nothing`, (t) => {
    const data = dataOf(golden, 0, 1, 2, 3, 4)
    const verify = textIn(golden, "verify-capability")
    const result = runReader(t, ["chunks", ...data], verify)
    if (!result) return
    assert.equal(result.status, 0, result.stderr)
    const lines = result.stdout.trim().split("\n")
    assert.deepEqual([...new Set(lines.map((line) => line.slice(65)))], ["5 good shares, 3 needed"])
    const stored = new Set(heldBy(golden, 0).shares.map((share) => toHex(idOfShare(share))))
    for (const line of lines) assert.ok(stored.delete(line.slice(0, 64)), "a chunk is listed that is not there")
    assert.equal(stored.size, unlisted[i], "only chunks of the tree that is linked in and of the file are not listed")
    assert.match(runReader(t, ["ls", ...data], verify)?.stderr ?? "", /ERR_WRONG_CAPABILITY/)
  })

  test(`the second reader restores a mutable file of golden volume ${version} from its own capability`, (t) => {
    const dest = join(temporaryFolder(t), "file")
    const args = [...dataOf(golden, 1, 2, 3), dest]
    const result = runReader(t, ["restore", ...args], textIn(golden, "file-read-capability"))
    if (!result) return
    assert.equal(result.status, 0, result.stderr)
    assert.equal(readFileSync(dest, "utf8"), "in a mutable file\n")
    assert.equal(lstatSync(dest).mode & 0o777, 0o660)
  })

  test(`Holdfast itself reads golden volume ${version}`, async () => {
    const held = [0, 1, 3].map((number) => heldBy(golden, number))
    const found = await readGolden(nodeEnv, textIn(golden, "read-capability"), held)
    assert.deepEqual(inOrder(found), inOrder(expectedOf(golden)))
  })
}

test("the second reader says which chunk it cannot restore from two servers, and a wrong capability is refused", (t) => {
  const golden = goldenFolders[0]!
  const [data, cap] = [dataOf(golden, 1, 3), textIn(golden, "read-capability")]
  const short = runReader(t, ["restore", ...data, join(temporaryFolder(t), "restored")], cap)
  if (!short) return
  assert.notEqual(short.status, 0)
  assert.match(short.stderr, /ERR_NOT_ENOUGH_SHARES: chunk [0-9a-f]{64}/)
  const mistyped = runReader(t, ["ls", ...data], cap.replace(/.\n$/, "\n"))
  assert.match(mistyped?.stderr ?? "", /ERR_BAD_CAPABILITY/)
})

test("the golden volumes are of the versions that they stand for", async () => {
  const versions = goldenFolders.map((golden) => {
    const { shares, registers } = heldBy(golden, 1)
    return [...new Set(shares.map((share) => share[3])), ...new Set(registers.map((value) => value[1]))]
  })
  assert.deepEqual(versions, [
    [1, 1],
    [2, 4],
  ])
})

test("the buckets of golden volume v2 serve it, and say what its account holds", async () => {
  const golden = goldenFolders[1]!
  const { id: account } = await accountKeysOf(nodeCrypto, hashSmall("golden", utf8("account")))
  const servers = [3, 4].map((number) => {
    const bucket = bucketIn(serverFolder(golden, number))
    const options = { id: `server-${number}`, crypto: nodeCrypto, conditionalWrites: true }
    return {
      bucket,
      backend: createObjectBackend(bucket.connect(), { ...options, access: { account, roles: ["read", "collect"] } }),
    }
  })
  for (const { bucket, backend } of servers) {
    const marked = (await backend.listMarks({ limit: 4096 })).map(({ id, index }) => `${toHex(id)}.${index}`)
    const stored = bucket.keys("shares/").map((key) => key.slice(7).replace(/\.0*(\d+)$/, ".$1"))
    assert.deepEqual(marked.sort(), stored.sort())
    assert.equal((await backend.listRegisters({ limit: 4096 })).length, 3)
  }
  const { shares, registers } = heldBy(golden, 0)
  const memory = createMemoryBackend("server-0", nodeCrypto)
  await memory.putShares(shares, { batch: nodeCrypto.random(16) })
  await memory.proposeRegisters(registers)
  const store = await createStore({
    env: nodeEnv,
    servers: [memory, ...servers.map(({ backend }) => backend)].map((backend) => ({ backend, weight: 1 })),
    ...{ coding: { k: 3, happy: 3, n: 3 }, registerMode: "crash" },
    seen: forgetfulSeen,
  })
  const found = await findAll(nodeEnv, store, textIn(golden, "read-capability"))
  assert.deepEqual(inOrder(found), inOrder(expectedOf(golden)))
  await store.close()
})

function bucketIn(folder: string): MemoryBucket {
  const bucket = new MemoryBucket()
  for (const file of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (file.isFile()) {
      const path = join(file.parentPath, file.name)
      bucket.objects.set(path.slice(folder.length + 1), { bytes: readFileSync(path), modifiedMs: bucket.nowMs })
    }
  return bucket
}
