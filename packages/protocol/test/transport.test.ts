import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { concat } from "@holdfast/core"
import { dataHead, encodeRequest, mostDataBytes, type TransportEvent, TransportReader } from "@holdfast/protocol"
import { checkTransportVectors, type TransportVectors } from "@holdfast/protocol/vectors"

const path = new URL("../../../interop/vectors/transport.json", import.meta.url)

test("frames agree with the frozen vectors, in pieces of any size, and what is no frame is refused", () => {
  const vectors = JSON.parse(readFileSync(path, "utf8")) as TransportVectors
  assert.ok(vectors.good.length >= 6 && vectors.bad.length >= 20)
  checkTransportVectors(vectors)
})

test("a piece of a body is a view of what was read, and no more is held of it", () => {
  const body = new Uint8Array(mostDataBytes).fill(9)
  const bytes = concat(dataHead(5, body.length), body)
  const events = [...new TransportReader("node").read(bytes)]
  assert.equal(events.length, 1)
  const [event] = events as [TransportEvent & { type: "data" }]
  assert.equal(event.bytes.buffer, bytes.buffer)
  assert.equal(event.bytes.length, body.length)
})

test("a reader knows when it is within the fields of a frame, where nobody has a reason to pause", () => {
  const reader = new TransportReader("client")
  const request = encodeRequest(1, { endpoint: "shares/put", headers: {}, bodyBytes: 10 })
  const feed = (bytes: Uint8Array) => [...reader.read(bytes)].length
  assert.equal(reader.isWithinFields, false)
  feed(request.subarray(0, 3))
  assert.equal(reader.isWithinFields, true)
  feed(request.subarray(3, 12))
  assert.equal(reader.isWithinFields, true)
  assert.equal(feed(request.subarray(12)), 1)
  assert.equal(reader.isWithinFields, false)
  feed(concat(dataHead(1, 10), new Uint8Array(4)))
  assert.equal(reader.isWithinFields, false, "a body may come slowly; its pace is looked at elsewhere")
})

test("fields that are too long to be sent are refused before they are", () => {
  assert.throws(() => encodeRequest(1, { endpoint: "usage", headers: { grant: "x".repeat(17_000) }, bodyBytes: 0 }), {
    code: "ERR_LIMIT",
  })
})
