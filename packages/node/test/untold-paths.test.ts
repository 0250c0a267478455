/** Where a node keeps things on its disk is its operator's to know: no answer names it, and the log does. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { join, relative } from "node:path"
import { test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { createLogger } from "@holdfast/network"
import { decodeFailure } from "@holdfast/protocol"
import { makeAccount, newBatch, randomChunk } from "@holdfast/protocol/testing"
import { failureAnswer } from "../src/routes.ts"
import { connect, grantFor, newGrid } from "./fixtures.ts"

const failed = "The server failed; its log says why."

for (const [how, toDir] of [
  ["in full", (dir: string) => dir],
  ["from where it runs", (dir: string) => relative(process.cwd(), dir)],
] as const)
  test(`a node whose folder, named ${how}, has another thing for its shares says so without the path, which its log has`, async (t) => {
    const grid = await newGrid()
    t.after(() => grid.remove())
    const alice = await grid.member("alice-laptop", "client", "alice")
    const grant = await grantFor(alice, await makeAccount(crypto))
    const logged: string[] = []
    const logger = createLogger({ stream: { write: (line: string) => logged.push(line) } })
    const node = await grid.start({ logger, dir: toDir(join(grid.dir, "data")) })
    t.after(() => node.close())
    const shares = join(grid.dir, "data/shares")
    fs.mkdirSync(shares, { recursive: true })
    fs.writeFileSync(join(shares, "alice"), "no folder")
    const backend = connect(node.address, alice, { grant })
    t.after(() => backend.close())
    const { shares: given } = await randomChunk(crypto, 900_000)
    const [outcome] = await backend.putShares([given[0]!], newBatch(crypto))
    assert.ok(outcome && !outcome.ok && outcome.code === "io", JSON.stringify(outcome))
    assert.equal(outcome.message, failed)
    assert.ok(
      logged.some((line) => line.includes('"not-taken"') && line.includes("shares/alice is a link or a file")),
      logged.join(""),
    )
  })

test("an error that names a path of the node's disk is told as a failure of the server, whatever its code", () => {
  const told = (error: unknown) => {
    const { status, body } = failureAnswer(error, "/srv/holdfast")
    return [status, decodeFailure(body).message]
  }
  const where = "/srv/holdfast/shares/alice"
  assert.deepEqual(told(new HoldfastError("ERR_CORRUPT", `${where} is a link or a file.`)), [500, failed])
  assert.deepEqual(told(new HoldfastError("ERR_NOT_FOUND", `"${where}" does not exist.`)), [500, failed])
  assert.deepEqual(told(new HoldfastError("ERR_LIMIT", "It is long.", { path: "/elsewhere" })), [500, failed])
  assert.deepEqual(told(new HoldfastError("ERR_CORRUPT", "This share is damaged.")), [400, "This share is damaged."])
})
