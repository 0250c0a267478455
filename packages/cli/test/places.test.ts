import assert from "node:assert/strict"
import { test } from "node:test"
import { isHoldfastError, printable } from "@holdfast/core"
import { formatPath } from "@holdfast/fs"
import { nameProblem } from "@holdfast/tree"
import fc from "fast-check"
import { isStdio, looksRemote, parseRemote, snapshotReadings } from "../src/places.ts"

const cap = "hf:dr:mfrggzdfmztwq2lkmfrggzdfmztwq2lk"

test("an alias with and without a path is parsed", () => {
  assert.deepEqual(parseRemote("home:"), { base: { kind: "alias", alias: "home" }, path: [], inside: true })
  assert.deepEqual(parseRemote("home:docs/a").path, ["docs", "a"])
  assert.deepEqual(parseRemote("home:/docs//a/./b").path, ["docs", "a", "b"])
})

test("a slash at the end means inside", () => {
  assert.equal(parseRemote("home:/docs").inside, false)
  assert.equal(parseRemote("home:/docs/").inside, true)
  assert.equal(parseRemote("home:/docs/.").inside, true)
})

test("a capability keeps its text and gets the path after the slash", () => {
  assert.deepEqual(parseRemote(`${cap}/a/b`), { base: { kind: "cap", text: cap }, path: ["a", "b"], inside: false })
})

test("a capability in a file is named without being on the command line", () => {
  assert.deepEqual(parseRemote("@file:/run/secret//docs/a"), {
    base: { kind: "cap-file", file: "/run/secret" },
    path: ["docs", "a"],
    inside: false,
  })
  assert.deepEqual(parseRemote("@file:-").base, { kind: "cap-file", file: "-" })
})

test("a local path is refused with a message that says what to write", () => {
  for (const text of ["./a", "a/b:c", "", "docs", ":a"]) assert.throws(() => parseRemote(text), /alias:\/path/, text)
})

test("names that could lead elsewhere are refused", () => {
  assert.throws(
    () => parseRemote("home:/a/../b"),
    (error) => isHoldfastError(error, "ERR_INVALID_NAME"),
  )
  for (const name of ["", ".", "..", "a/b", "a\0", "\ud800", "x".repeat(256), "é".repeat(128)])
    assert.notEqual(nameProblem(name), undefined, JSON.stringify(name))
  for (const name of ["...", " ", "é".repeat(127), "a\nb", "e\u0301", "-", "@"])
    assert.equal(nameProblem(name), undefined)
})

test("a path deeper than the limit is refused", () => {
  assert.throws(
    () => parseRemote(`home:${"/a".repeat(257)}`),
    (error) => isHoldfastError(error, "ERR_LIMIT"),
  )
})

test("an error never repeats a capability", () => {
  try {
    parseRemote(`${cap}/../x`)
    assert.fail("should throw")
  } catch (error) {
    assert.ok(error instanceof Error && !error.message.includes("mfrggzdf"))
  }
})

test("paths into snapshots are read leftmost first, and @name without a snapshot is not one", () => {
  assert.deepEqual(snapshotReadings(["docs@friday", "a"]), [{ snapshot: "friday", path: ["docs", "a"] }])
  assert.deepEqual(snapshotReadings(["@friday", "a"]), [{ snapshot: "friday", path: ["a"] }])
  assert.deepEqual(snapshotReadings(["a@", "b"]), [])
  assert.deepEqual(snapshotReadings(["x@1", "y@2"]), [
    { snapshot: "1", path: ["x", "y@2"] },
    { snapshot: "2", path: ["x@1", "y"] },
  ])
})

test("stdin, remote and local names are told apart", () => {
  assert.ok(isStdio("-"))
  assert.ok(looksRemote("home:/a") && looksRemote(cap) && looksRemote("@file:x"))
  assert.ok(!looksRemote("./home:/a") && !looksRemote("/a:b"))
})

test("control characters, line ends and direction marks never reach a terminal", () => {
  assert.equal(printable("a\u001b[31mb\nc\u202ed\u009b"), "a\\x1b[31mb\\x0ac\\u202ed\\x9b")
  assert.equal(printable("Grüße 日本 🎉"), "Grüße 日本 🎉")
})

test("a formatted path parses to itself", () => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((s) => nameProblem(s) === undefined)
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 6 }), (path) => {
      assert.deepEqual(parseRemote(`home:${formatPath(path)}`).path, path)
    }),
  )
})
