import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { fileURLToPath } from "node:url"
import { announce, fetchGrid, join } from "@holdfast/network"
import { createInvite } from "../src/index.ts"
import { temporaryDirectory } from "./fixtures.ts"

const script = fileURLToPath(new URL("process.ts", import.meta.url))

test("after kill -9 members use the cached grid, and a restart knows every acknowledged announcement", async (t) => {
  const base = await temporaryDirectory(t)
  const [dir, nodeDir, clientDir] = ["coordinator", "node", "client"].map((name) => joinPath(base, name)) as [
    string,
    string,
    string,
  ]
  const first = await launch(t, dir, 0)
  await join(await createInvite({ dir, role: "node", tenant: "grid" }), { dir: nodeDir, name: "n1" })
  await join(await createInvite({ dir, role: "client", tenant: "alice" }), { dir: clientDir, name: "alice" })
  const { serial } = await announce(nodeDir, { address: "127.0.0.1:8441", capacityBytes: 5 })
  assert.equal((await fetchGrid(clientDir)).fresh, true)
  first.child.kill("SIGKILL")
  await once(first.child, "exit")

  const offline = await fetchGrid(clientDir)
  assert.deepEqual([offline.fresh, offline.grid.serial, offline.grid.servers.length], [false, serial, 1])
  await assert.rejects(announce(nodeDir, { address: "127.0.0.1:8442", capacityBytes: 5 }), {
    code: "ERR_SERVER_UNREACHABLE",
  })

  await launch(t, dir, first.port)
  const online = await fetchGrid(clientDir)
  assert.deepEqual([online.grid, online.fresh], [offline.grid, true])
})

async function launch(t: TestContext, dir: string, port: number): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [script, dir, String(port)], { stdio: ["ignore", "pipe", "inherit"] })
  t.after(() => child.kill("SIGKILL"))
  const [line] = (await once(child.stdout!, "data")) as [Buffer]
  return { child, port: Number(line.toString()) }
}
