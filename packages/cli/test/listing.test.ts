import assert from "node:assert/strict"
import { test } from "node:test"
import { globMatches } from "../src/commands/files/glob.ts"
import { humanSize, type Listed, ListingLines, modeText, timeText } from "../src/commands/files/listing.ts"

const item: Listed = {
  ...{ name: "a", kind: "file", mode: 0o644, uid: 0, gid: 0, sizeBytes: 1536 },
  mtimeNs: 1_700_000_000_000_000_000n,
}
process.env["TZ"] = "UTC"

test("a long listing lines up sizes and shows where symlinks point", () => {
  const link: Listed = {
    ...item,
    uid: 1000,
    gid: 100,
    name: "l",
    kind: "symlink",
    mode: 0o777,
    sizeBytes: 0,
    target: "a",
  }
  assert.deepEqual(new ListingLines({ long: true, human: false }).of([item, link]), [
    "-rw-r--r-- 0:0      1536 2023-11-14 22:13 a",
    "lrwxrwxrwx 1000:100    0 2023-11-14 22:13 l -> a",
  ])
})

test("what is listed later keeps the columns of what came before", () => {
  const lines = new ListingLines({ long: true, human: false })
  const before = lines.of([{ ...item, sizeBytes: 1_000_000, uid: 1000, gid: 1000 }])
  assert.deepEqual(
    [...before, ...lines.of([item])],
    ["-rw-r--r-- 1000:1000 1000000 2023-11-14 22:13 a", "-rw-r--r-- 0:0          1536 2023-11-14 22:13 a"],
  )
})

test("a listing of 100,000 entries fits the stack", () => {
  assert.equal(new ListingLines({ long: true, human: true }).of(new Array<Listed>(100_000).fill(item)).length, 100_000)
})

test("sizes round to the unit people expect", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 10_240, 1_048_575, 5 * 2 ** 30].map(humanSize), [
    "0",
    "1023",
    "1.0K",
    "1.5K",
    "10K",
    "1.0M",
    "5.0G",
  ])
})

test("modes and times of any value have a text", () => {
  assert.equal(modeText({ kind: "directory", mode: 0o750 }), "drwxr-x---")
  assert.equal(modeText({ kind: "file", mode: 0o6754 }), "-rwsr-sr--")
  assert.equal(modeText({ kind: "file", mode: 0o4644 }), "-rwSr--r--")
  assert.equal(modeText({ kind: "directory", mode: 0o1777 }), "drwxrwxrwt")
  assert.equal(timeText(-(10n ** 30n)), "????-??-?? ??:??")
})

test("times are those of the time zone of who looks", () => {
  process.env["TZ"] = "Asia/Kolkata"
  assert.equal(timeText(item.mtimeNs), "2023-11-15 03:43")
  process.env["TZ"] = "UTC"
  assert.equal(timeText(item.mtimeNs), "2023-11-14 22:13")
})

test("globs match whole names, and no pattern takes long", () => {
  assert.ok(
    globMatches("*.jpg", "a.jpg") && globMatches("?", "🎉") && globMatches("*", "") && globMatches("a*b*c", "aXbbYc"),
  )
  assert.ok(!globMatches("*.jpg", "a.jpeg") && !globMatches("?", "") && !globMatches("a*b", "abc"))
  assert.ok(!globMatches(`${"*a".repeat(60)}b`, "a".repeat(255)))
})
