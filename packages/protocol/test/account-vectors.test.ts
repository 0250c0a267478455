import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { nodeCrypto } from "@holdfast/core/node"
import { type AccountVectors, checkAccountVectors } from "@holdfast/protocol/vectors"

const path = new URL("../../../interop/vectors/account.json", import.meta.url)

test("grants, records, orders and statements agree with the frozen vectors, and damaged ones are refused", async () => {
  const vectors = JSON.parse(readFileSync(path, "utf8")) as AccountVectors
  assert.ok(vectors.good.length >= 9 && vectors.bad.length >= 20)
  await checkAccountVectors(nodeCrypto, vectors)
})
