import assert from "node:assert/strict"
import { test } from "node:test"
import { Requests, requestLine } from "../src/requests.ts"

const request = { server: "id1", name: "getShares", items: 3, sentBytes: 96, receivedBytes: 2048, ms: 12.4 }

test("requests are counted by server, under the name that people know it by", () => {
  const requests = new Requests()
  requests.add(request)
  requests.add({ ...request, ms: 30, error: "ERR_SERVER_UNREACHABLE", receivedBytes: 0 })
  requests.add({ ...request, server: "id2" })
  assert.deepEqual(
    requests.lines((id) => (id === "id1" ? "n1" : id)),
    [
      "n1: 2 requests, 1 of them failed, 192 B sent, 2.0 KiB received, 21 ms on average, 30 ms at most",
      "id2: 1 request, 96 B sent, 2.0 KiB received, 12 ms on average, 12 ms at most",
    ],
  )
  assert.equal(requestLine(request, "n1"), "n1 getShares of 3: 96 B sent, 2.0 KiB received, 12 ms")
  assert.match(requestLine({ ...request, error: "ERR_REFUSED" }, "n1"), /, 12 ms, ERR_REFUSED$/)
})
