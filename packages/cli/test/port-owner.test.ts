import assert from "node:assert/strict"
import { createServer } from "node:net"
import { test } from "node:test"
import { ownerOfPort } from "../src/local-grid/port-owner.ts"

test("a port's owner is the process that listens on it, of either family, and nobody once it is free", async () => {
  for (const host of ["127.0.0.1", "::1"]) {
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve))
    const { port } = server.address() as { port: number }
    const owner = await ownerOfPort(port)
    assert.equal(owner?.pid, process.pid)
    assert.ok(owner.name.length > 0)
    await new Promise((resolve) => server.close(resolve))
    assert.equal(await ownerOfPort(port), undefined)
  }
})
