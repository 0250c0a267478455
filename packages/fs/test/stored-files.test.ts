import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import type { LocalItem } from "../src/node/local.ts"
import { StoredFiles } from "../src/node/stored-files.ts"

const item = (ino: number, ctimeNs = 1n) => ({ dev: 1n, ino: BigInt(ino), ctimeNs }) as LocalItem
const hash = (byte: number) => new Uint8Array(16).fill(byte)

function fileOf(t: { after(done: () => void): void }): string {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-stored-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return `${folder}/new/index`
}

test("each file is known again after the table grew and was written, and told from others", async (t) => {
  const file = fileOf(t)
  const index = StoredFiles.open(file)
  for (let i = 0; i < 5000; i++) index.note(["dir", String(i)], item(i), hash(1 + (i % 255)))
  index.committed()
  await index.save()
  const again = StoredFiles.open(file)
  for (let i = 0; i < 5000; i++) assert.equal(again.look(["dir", String(i)], item(i)), "same")
  assert.deepEqual(again.look(["dir", "7"], item(7, 2n)), { hash: hash(8) })
  assert.deepEqual(again.look(["dir", "7"], item(8)), { hash: hash(8) })
  assert.equal(again.look(["dir7"], item(7)), "nothing")
  assert.ok(fs.statSync(file).size <= 32 + 65_536 * 32)
})

test("what is noted counts once it is committed, and a file of this very moment is looked at again", () => {
  const index = StoredFiles.open("/nowhere/index")
  index.note(["a"], item(1), hash(1))
  assert.equal(index.look(["a"], item(1)), "nothing")
  index.committed()
  assert.equal(index.look(["a"], item(1)), "same")
  const now = BigInt(Date.now()) * 1_000_000n
  index.note(["b"], item(2, now), hash(2))
  index.note(["c"], item(3, now), undefined)
  index.committed()
  assert.deepEqual(index.look(["b"], item(2, now)), { hash: hash(2) })
  assert.equal(index.look(["c"], item(3, now)), "nothing")
})

test("a table that cannot be read or written is an empty one, and no error", async (t) => {
  const file = fileOf(t)
  fs.mkdirSync(file, { recursive: true })
  const index = StoredFiles.open(file)
  index.note(["a"], item(1), hash(1))
  index.committed()
  await index.save()
  for (const content of ["", "x".repeat(32 + 1024 * 32), Buffer.alloc(33)]) {
    fs.rmSync(file, { recursive: true, force: true })
    fs.writeFileSync(file, content)
    assert.equal(StoredFiles.open(file).look(["a"], item(1)), "nothing")
  }
})
