/** Vectors of the storage transport: frames of either side, and such as must be refused. */
import { type CborValue, concat, encodeCbor, fromHex, toHex, utf8 } from "@holdfast/core"
import { dataHead, encodeAnswer, encodeCancel, encodeGoAway, encodeRequest } from "@holdfast/protocol"
import { type TransportVector, type TransportVectors, transportEvents } from "@holdfast/protocol/vectors"

/** Makes them; the same each time. */
export function transportVectors(): TransportVectors {
  const data = (id: number, text: string) => concat(dataHead(id, utf8(text).length), utf8(text))
  const good: readonly (readonly [name: string, from: "client" | "node", ...frames: Uint8Array[]])[] = [
    ["a request without a body", "client", encodeRequest(1, { endpoint: "usage", headers: {}, bodyBytes: 0 })],
    [
      "a request with a grant and a body",
      "client",
      encodeRequest(2, {
        endpoint: "shares/get",
        headers: { grant: "hGZncmFudA", knows: "refusal-codes" },
        bodyBytes: 3,
      }),
      data(2, "abc"),
    ],
    [
      "two requests, and one of them given up",
      "client",
      encodeRequest(0x01020304, { endpoint: "registers/wait", headers: {}, bodyBytes: 5 }),
      data(0x01020304, "hello"),
      encodeRequest(0xffffffff, { endpoint: "shares/has", headers: { purpose: "removal" }, bodyBytes: 2 ** 40 }),
      encodeCancel(0x01020304),
    ],
    [
      "answers whose pieces come in turn",
      "node",
      encodeAnswer(1, { status: 200, headers: {}, bodyBytes: 6 }),
      encodeAnswer(2, { status: 507, headers: { dropped: "1790000000000" }, bodyBytes: 3 }),
      data(1, "abc"),
      data(2, "xyz"),
      data(1, "def"),
    ],
    ["an answer without a body", "node", encodeAnswer(7, { status: 404, headers: {}, bodyBytes: 0 })],
    ["a request that was given up", "node", encodeCancel(7)],
    ["a server that stops, and one that refuses", "node", encodeGoAway(""), encodeGoAway("revoked")],
  ]
  return {
    good: good.map(([name, from, ...frames]) => {
      const vector: TransportVector = { name, from, bytes: toHex(concat(...frames)) }
      return { ...vector, events: transportEvents(vector, 1e9) }
    }),
    bad: badVectors(),
  }
}

function badVectors(): TransportVectors["bad"] {
  const frame = (type: number, id: number, payload: Uint8Array, length = payload.length) => {
    const head = new DataView(new ArrayBuffer(8))
    head.setUint32(0, length)
    head.setUint8(0, type)
    head.setUint32(4, id)
    return concat(new Uint8Array(head.buffer), payload)
  }
  const fields = (type: number, ...values: CborValue[]) => frame(type, 1, encodeCbor(values))
  const letters = "abcdefghijklmnopqrstuvwxyz"
  const many = Object.fromEntries(
    Array.from({ length: 33 }, (_, i) => [`x${letters[i % 26]}${"-".repeat(i / 26)}`, ""]),
  )
  const from: Record<"client" | "node", Readonly<Record<string, Uint8Array>>> = {
    client: {
      "a web request": utf8("GET / HTTP/1.1\r\n\r\n"),
      "a type that is none": frame(6, 1, new Uint8Array(1)),
      "an answer of a client": encodeAnswer(1, { status: 200, headers: {}, bodyBytes: 0 }),
      "a goaway of a client": encodeGoAway(""),
      "request number 0": frame(1, 0, encodeCbor(["usage", {}, 0])),
      "a request without fields": frame(1, 1, new Uint8Array()),
      "no CBOR": frame(1, 1, new Uint8Array([0xff])),
      "CBOR that is not canonical": frame(1, 1, fromHex("83657573616765a01800")),
      "a field too few": fields(1, "usage", {}),
      "a field too many": fields(1, "usage", {}, 0, 0),
      "an endpoint with other letters": fields(1, "Usage", {}, 0),
      "an endpoint that is no text": fields(1, utf8("usage"), {}, 0),
      "an empty endpoint": fields(1, "", {}, 0),
      "headers that are a list": fields(1, "usage", [], 0),
      "a header's name with other letters": fields(1, "usage", { "Gr ant": "" }, 0),
      "a header that is no text": fields(1, "usage", { grant: new Uint8Array(2) }, 0),
      "33 headers": fields(1, "usage", many, 0),
      "a body of less than nothing": fields(1, "usage", {}, -1),
      "a body of more than 2^40 bytes": fields(1, "usage", {}, 2 ** 40 + 1),
      "an empty piece of a body": frame(2, 1, new Uint8Array()),
      "a cancel with something in it": frame(4, 1, new Uint8Array(1)),
    },
    node: {
      "a request of a node": encodeRequest(1, { endpoint: "usage", headers: {}, bodyBytes: 0 }),
      "status 99": fields(3, 99, {}, 0),
      "status 600": fields(3, 600, {}, 0),
      "an answer with number 0": frame(3, 0, encodeCbor([200, {}, 0])),
      "a goaway with a number": frame(5, 1, encodeCbor("")),
      "a goaway whose reason is no text": frame(5, 0, encodeCbor(["revoked"])),
      "a goaway whose reason is too long": frame(5, 0, encodeCbor("x".repeat(65))),
    },
  }
  const tooLong = {
    "fields of 16 KiB and a byte": frame(1, 1, new Uint8Array(1), 16 * 1024 + 1),
    "a piece of 256 KiB and a byte": frame(2, 1, new Uint8Array(1), 256 * 1024 + 1),
  }
  const listed = (
    side: "client" | "node",
    frames: Readonly<Record<string, Uint8Array>>,
    error: "ERR_BAD_FORMAT" | "ERR_LIMIT",
  ) => Object.entries(frames).map(([name, bytes]) => ({ name, from: side, bytes: toHex(bytes), error }))
  return [
    ...listed("client", from.client, "ERR_BAD_FORMAT"),
    ...listed("node", from.node, "ERR_BAD_FORMAT"),
    ...listed("client", tooLong, "ERR_LIMIT"),
  ]
}
