/** A bucket whose keys may not delete: it is of use, and whoever makes a volume of it is told. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { type TestContext, test } from "node:test"
import { parsePlaces } from "@holdfast/client/volumes"
import { send, startBadBucket } from "../../backends/test/bad-bucket.ts"

const denied = Buffer.from("<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

async function notesOf(t: TestContext, mayDelete: boolean): Promise<string[]> {
  const { url } = await startBadBucket(t, (response, honest, { method }) =>
    send(response, method === "DELETE" && !mayDelete ? { status: 403, headers: {}, body: denied } : honest),
  )
  const folder = fs.mkdtempSync(`${tmpdir()}/holdfast-keys-`)
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const keys = "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
  fs.writeFileSync(`${folder}/keys`, keys, { mode: 0o600 })
  const notes: string[] = []
  const place = `s3://bucket?endpoint=${url}&region=x&credentials=${folder}/keys`
  const [parsed] = await parsePlaces(undefined, [place], { onNote: (text) => notes.push(text) })
  assert.equal(parsed!.kind, "s3")
  return notes
}

test("keys that may not delete are told when a volume is made, and others are not", async (t) => {
  const notes = await notesOf(t, false)
  assert.equal(notes.length, 1)
  assert.match(notes[0]!, /may not delete.*pile up.*gc/)
  assert.deepEqual(await notesOf(t, true), [])
})
