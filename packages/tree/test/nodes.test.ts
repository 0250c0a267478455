/** Nodes that say what cannot be are refused as they are decoded, before anybody asks where they stand. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { type CborValue, encodeCbor } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { decodeDirectoryNode } from "../src/directory-node.ts"
import { decodeManifestNode } from "../src/manifest.ts"
import { samePlace } from "../src/node-place.ts"
import { encodeReference, type Reference } from "../src/reference.ts"

const any = (byte: number) => new Uint8Array(32).fill(byte)
const reference = (length: number): Reference => ({
  ...{ chunk: { id: any(1) as ChunkId, key: any(2) }, offset: 0, length },
})
const to = (length: number) => encodeReference(reference(length), undefined)
const largest = Number.MAX_SAFE_INTEGER

test("a manifest is refused that is empty, too long, leads nowhere, or gives a piece two lengths", () => {
  const decode = (level: number, items: CborValue[]) => decodeManifestNode(encodeCbor([1, level, items]), reference(1))
  assert.equal(
    decode(0, [
      [5, to(5)],
      [7, null],
    ]).items.length,
    2,
  )
  assert.equal(decode(1, [[5, to(40)]]).items.length, 1)
  const bad: readonly (readonly [number, CborValue[], RegExp])[] = [
    [0, [], /empty/],
    [
      0,
      [
        [largest, null],
        [1, null],
      ],
      /too long/,
    ],
    [1, [[5, null]], /refers to nothing/],
    [0, [[5, to(6)]], /two lengths/],
  ]
  for (const [level, items, message] of bad)
    assert.throws(() => decode(level, items), { code: "ERR_BAD_FORMAT", message })
})

test("a directory is refused that has more entries than can be, or a name that none may have", () => {
  const decode = (items: CborValue[]) => decodeDirectoryNode(encodeCbor([1, 1, items]), reference(1))
  assert.equal(
    decode([
      ["a", to(40), largest - 1],
      ["b", to(40), 1],
    ]).items.length,
    2,
  )
  assert.throws(
    () =>
      decode([
        ["a", to(40), largest],
        ["b", to(40), 1],
      ]),
    { code: "ERR_BAD_FORMAT", message: /more entries/ },
  )
  for (const name of ["", ".", "..", "a/b", "a\0"])
    assert.throws(() => decode([[name, to(40), 1]]), { code: "ERR_BAD_FORMAT", message: /name is wrong/ }, name)
})

test("places are the same only when they ask the same of a node", () => {
  const place = { level: 1, name: "a", count: 3, before: "m" }
  assert.ok(samePlace(place, { ...place }))
  for (const change of [{ level: 2 }, { name: "b" }, { count: 4 }, { before: "n" }, { before: undefined }])
    assert.ok(!samePlace(place, { ...place, ...change }), JSON.stringify(change))
})
