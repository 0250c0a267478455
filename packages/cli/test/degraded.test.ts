/** Places that take less than they are given: the line and the field that a command ends with. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { dirname } from "node:path"
import { test } from "node:test"
import { createMemoryPlace } from "@holdfast/backends"
import { createS3Backend, parseS3Location } from "@holdfast/backends/s3"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type BadService, send, startBadBucket } from "../../backends/test/bad-bucket.ts"
import { type Degraded, degradedText } from "../src/degraded.ts"
import { createHarness } from "./files-harness.ts"

const xml = (code: string) => Buffer.from(`<Error><Code>${code}</Code><Message>no</Message></Error>`)

/** A service that answers each write so. */
function refusing(status: number, code: string): BadService {
  return (response, honest, { method }) =>
    send(
      response,
      method === "PUT" ? { status, headers: { "content-type": "application/xml" }, body: xml(code) } : honest,
    )
}

for (const [status, code, said, why] of [
  [403, "QuotaExceeded", "quota", /its quota is used up/],
  [503, "SlowDown", "ERR_SERVER_UNREACHABLE", /503 \(SlowDown\)/],
  [403, "AccessDenied", "ERR_REFUSED", /refused our keys/],
] as const)
  test(`a bucket that answers ${status} ${code} is named in the result, and the rest is stored`, async (t) => {
    const { url } = await startBadBucket(t, refusing(status, code))
    const keys = `${fs.mkdtempSync(`${tmpdir()}/holdfast-keys-`)}/keys`
    fs.writeFileSync(keys, "[default]\naws_access_key_id = a\naws_secret_access_key = b\n", { mode: 0o600 })
    t.after(() => fs.rmSync(dirname(keys), { recursive: true }))
    const location = parseS3Location(`s3://bucket?endpoint=${url}&region=x&credentials=${keys}`)
    const { json, folder, run } = await createHarness(t, (access, clock) => [
      ...[1, 2, 3, 4].map((i) => createMemoryPlace(`n${i}`, crypto, clock).backendOf(access)),
      createS3Backend({ id: "b5", location, crypto, conditionalWrites: true, listing: "strong", access, attempts: 1 }),
    ])
    fs.writeFileSync(`${folder}/file`, randomBytes(200_000))
    const { degraded } = await json<{ degraded: Degraded }>("put", `${folder}/file`, "home:/file")
    assert.deepEqual(
      degraded.places.map((place) => [place.name, place.code]),
      [["b5", said]],
    )
    assert.match(degraded.places[0]!.why, why)
    assert.ok(degraded.chunks > 0)
    assert.match(degradedText(degraded), /^warning: .*took nothing: b5: .*lack.* a place.*check --deep --repair/)
    await run("get", "home:/file", `${folder}/back`)
    assert.ok(fs.readFileSync(`${folder}/back`).equals(fs.readFileSync(`${folder}/file`)))
  })

test("the line names places with one reason together, and tells none from a part", () => {
  const place = { volume: "grid", code: "full", shares: 1, marks: 0, registers: 0 }
  const text = degradedText({
    chunks: 1,
    places: [
      { ...place, server: "1", name: "n1", why: "it is full", tookSome: false },
      { ...place, server: "2", name: "n2", why: "it is full", tookSome: false },
      { ...place, server: "3", name: "n3", why: "it answered late", tookSome: true },
    ],
  })
  assert.match(
    text,
    /took nothing: n1, n2: it is full; took a part only: n3: it answered late\. 1 chunk lacks a place, so it bears/,
  )
  assert.match(degradedText({ chunks: 0, places: [] }), /Every chunk has its places elsewhere/)
})
