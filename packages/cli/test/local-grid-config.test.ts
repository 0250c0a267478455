import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { loadConfig, makeConfig } from "../src/local-grid/config.ts"

test("a local grid's ports are each another's, and none that a system gives to outgoing connections", async (t) => {
  const dir = fs.mkdtempSync(join(tmpdir(), "holdfast-config-"))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const { coordinatorPort, nodes, witness } = await makeConfig(dir, {
    ...{ nodes: 60, coding: { k: 3, happy: 4, n: 5 }, witness: true },
  })
  const ports = [coordinatorPort, witness!.port, ...nodes.map(({ port }) => port)]
  assert.equal(new Set(ports).size, 62)
  for (const port of ports) assert.ok(port >= 20_000 && port < 32_768, `${port}`)
  assert.deepEqual((await loadConfig(dir))!.nodes, nodes)
})
