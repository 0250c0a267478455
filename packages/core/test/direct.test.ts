import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { type TestContext, test } from "node:test"
import { hasProc, openDirect } from "@holdfast/core/node"

const mib = 1024 * 1024

function fileIn(t: TestContext, folder: string) {
  const dir = fs.mkdtempSync(paths.join(folder, "holdfast-direct-"))
  const path = paths.join(dir, "file")
  const file = fs.openSync(path, "w")
  t.after(() => {
    fs.closeSync(file)
    fs.rmSync(dir, { recursive: true })
  })
  return { path, file }
}

/** Writes `bytes` at `position` as whoever uses this does: what does not go directly goes the usual way. */
async function writeBoth(file: number, bytes: Uint8Array, position: number): Promise<number> {
  const direct = openDirect(file)
  try {
    const done = await direct.write(bytes, position)
    assert.ok(done <= bytes.length)
    fs.writeSync(file, bytes, done, bytes.length - done, position + done)
    return done
  } finally {
    direct.close()
  }
}

test("what is written past the page cache and what is not are one file, of any length and at any position", async (t) => {
  const { path, file } = fileIn(t, os.tmpdir())
  const expected = Buffer.alloc(40 * mib)
  let direct = 0
  for (const [length, position] of [
    [9 * mib + 17, 0],
    [4 * mib, 12 * mib],
    [mib, 20 * mib + 512],
    [1000, 24 * mib],
    [4 * mib + 4096, 28 * mib],
  ] as const) {
    const bytes = randomBytes(length)
    bytes.copy(expected, position)
    const done = await writeBoth(file, bytes.subarray(), position)
    if (length < mib || position % 4096 !== 0) assert.equal(done, 0)
    direct += done
  }
  const end = 32 * mib + 4096
  assert.ok(fs.readFileSync(path).equals(expected.subarray(0, end)))
  const ext4 = 0xef53
  if (fs.statfsSync(path).type === ext4) assert.equal(direct, 17 * mib + 4096, "all but the ends")
})

test("a file system without a page cache to pass is written the usual way", {
  skip: !fs.existsSync("/proc/self"),
}, async (t) => {
  const { file } = fileIn(t, "/dev/shm")
  const bytes = randomBytes(2 * mib)
  await writeBoth(file, bytes, 0)
  assert.ok(fs.readFileSync(`/proc/self/fd/${file}`).equals(bytes))
})

test("what is written goes to the file that is open, whatever its name leads to by then", {
  skip: !hasProc,
}, async (t) => {
  const { path, file } = fileIn(t, os.tmpdir())
  fs.renameSync(path, `${path}.moved`)
  fs.writeFileSync(path, "somebody else's")
  await writeBoth(file, randomBytes(mib), 0)
  assert.equal(fs.readFileSync(path, "utf8"), "somebody else's")
  assert.equal(fs.statSync(`${path}.moved`).size, mib)
})

/** Writes a file in another process, once that has all that a limit of the shell allows; gives how much went past the page cache. */
function writeUnder(t: TestContext, limit: string, take: string): number {
  const { path } = fileIn(t, os.tmpdir())
  const script = `
    import * as fs from "node:fs"
    import { openDirect } from "@holdfast/core/node"
    const file = fs.openSync(process.argv[1], "w")
    const taken = []
    try { for (;;) taken.push(${take}) } catch {}
    const direct = openDirect(file)
    const bytes = new Uint8Array(1048576).fill(7)
    let all = 0
    for (const at of [0, bytes.length]) {
      const done = await direct.write(bytes, at)
      fs.writeSync(file, bytes, done, bytes.length - done, at + done)
      all += done
    }
    direct.close()
    console.log(taken.length > 0 && all)`
  const command = `ulimit ${limit} && exec "$0" --input-type=module --eval "$1" -- "$2"`
  const { stdout, stderr } = spawnSync("sh", ["-c", command, process.execPath, script, path], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  })
  assert.equal(stderr, "")
  assert.ok(fs.readFileSync(path).equals(Buffer.alloc(2 * mib, 7)))
  return Number.parseInt(stdout, 10)
}

test("where there are no addresses for its memory, or no file can be opened any more, all is written the usual way", {
  skip: !hasProc,
}, (t) => {
  assert.equal(writeUnder(t, "-v 30000000", "new WebAssembly.Memory({ initial: 32 })"), 0)
  assert.equal(writeUnder(t, "-n 60", 'fs.openSync("/dev/null", "r")'), 0)
})
