import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { longTests } from "../../test-sizes.ts"

const root = paths.join(import.meta.dirname, "../../..")

test("every test file that is named as long is there, once", () => {
  assert.ok(longTests.length > 0)
  assert.deepEqual(
    longTests.filter((path) => !fs.existsSync(paths.join(root, path))),
    [],
  )
  assert.equal(new Set(longTests).size, longTests.length)
})
