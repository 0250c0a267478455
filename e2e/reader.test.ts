import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"

const interop = join(dirname(import.meta.dirname), "interop")
const reader = join(interop, "reader", "holdfast_reader.py")
const python = ["python3", "/usr/bin/python3"].find(
  (program) => spawnSync(program, ["-c", "import cryptography"]).status === 0,
)

/** Runs the second reader, or skips the test where its library is missing. */
function read(t: TestContext, args: readonly string[], input = "") {
  if (python) return spawnSync(python, [reader, ...args], { encoding: "utf8", input })
  assert.ok(!process.env.HOLDFAST_REQUIRE_ALL, "python3-cryptography is not installed")
  t.skip("python3-cryptography is not installed")
  return undefined
}

test("the second reader agrees with all frozen vectors", (t) => {
  const files = ["capability.json", "chunk.json", "register.json"].map((name) => join(interop, "vectors", name))
  const result = read(t, ["vectors", ...files])
  if (!result) return
  assert.equal(result.status, 0, result.stderr)
  assert.equal(result.stdout.trim().split("\n").length, files.length)
})
