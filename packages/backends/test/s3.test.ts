import assert from "node:assert/strict"
import { existsSync } from "node:fs"
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { it, type TestContext } from "node:test"
import { fromHex, HoldfastError, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { pack, records } from "../src/s3/ids.ts"
import { credentialsFor, nameOfBucket, parseS3Location, probeBucket } from "../src/s3/index.ts"
import { parseShareKey, registerKey, shareKey } from "../src/s3/keys.ts"
import {
  condemnedOf,
  condemnedRecordBytes,
  decodeCondemned,
  decodeMarks,
  decodeRetired,
  encodeCondemned,
  encodeMarks,
  encodeRetired,
} from "../src/s3/lists.ts"
import { parseMarker } from "../src/s3/marker.ts"

interface Vectors {
  readonly shares: readonly { readonly id: string; readonly index: number; readonly key: string }[]
  readonly registers: readonly { readonly id: string; readonly sequence: number; readonly key: string }[]
  readonly notShares: readonly string[]
}

it("names objects as the vectors do", async () => {
  const path = new URL("../../../interop/vectors/bucket.json", import.meta.url)
  const vectors = JSON.parse(await readFile(path, "utf8")) as Vectors
  for (const { id, index, key } of vectors.shares) {
    assert.equal(shareKey(fromHex(id), index), key)
    const parsed = parseShareKey(key)
    assert.deepEqual(parsed && { id: toHex(parsed.id), index: parsed.index }, { id, index })
  }
  for (const { id, sequence, key } of vectors.registers) assert.equal(registerKey(fromHex(id), sequence), key)
  for (const key of vectors.notShares) assert.equal(parseShareKey(key), undefined, key)
  const keys = vectors.registers.map(({ key }) => key)
  assert.deepEqual(keys.toSorted(), keys.toReversed(), "the newest sorts first")
})

it("reads and writes marks, lists and markers as the vectors do", async () => {
  const path = new URL("../../../interop/vectors/bucket-2.json", import.meta.url)
  const vectors = JSON.parse(await readFile(path, "utf8"))
  for (const { id, index, generation, key } of vectors.shares) {
    assert.equal(shareKey(fromHex(id), index, generation), key)
    const parsed = parseShareKey(key)
    assert.deepEqual(parsed && { ...parsed, id: toHex(parsed.id) }, { id, index, generation })
  }
  for (const key of vectors.notShares) assert.equal(parseShareKey(key), undefined, key)
  const { marks, retired, condemned, markers, badMarks } = vectors
  const packed = (ids: string[]) => pack(ids.map(fromHex))
  const made = { chunks: packed(marks.chunks), registers: packed(marks.registers), sinceMs: marks.sinceMs }
  assert.equal(toHex(await encodeMarks(crypto, made)), marks.bytes)
  assert.deepEqual(await decodeMarks(crypto, fromHex(marks.bytes), "key"), made)
  assert.deepEqual(await decodeRetired(crypto, fromHex(retired.bytes), "key"), retired.names)
  assert.equal(toHex(await encodeRetired(crypto, retired.names)), retired.bytes)
  const list = await decodeCondemned(crypto, fromHex(condemned.bytes), "key")
  const objects = [...records(list, condemnedRecordBytes)].map(condemnedOf)
  assert.deepEqual(
    objects.map((object) => ({ ...object, id: toHex(object.id) })),
    condemned.objects,
  )
  assert.equal(toHex(await encodeCondemned(crypto, list)), condemned.bytes)
  for (const { text, ...marker } of markers) assert.deepEqual(parseMarker(utf8(text), "b"), marker)
  for (const { why, bytes, error } of badMarks)
    await assert.rejects(decodeMarks(crypto, fromHex(bytes), "key"), { code: error }, why)
})

it("reads a bucket's location as people write it", () => {
  const endpoint = "https://s3.example.org:9000"
  assert.deepEqual(parseS3Location(`s3://photos/a/b/?endpoint=${endpoint}/&region=eu-1&profile=x`), {
    ...{ bucket: "photos", prefix: "a/b/", endpoint, region: "eu-1", pathStyle: true, profile: "x" },
  })
  const amazon = parseS3Location("s3://photos?region=eu-west-1&credentials=/keys")
  assert.deepEqual(amazon, {
    ...{ bucket: "photos", prefix: "", region: "eu-west-1", pathStyle: false, credentials: "/keys" },
  })
  assert.equal(nameOfBucket(amazon), "photos@s3.eu-west-1.amazonaws.com")
  assert.equal(nameOfBucket(parseS3Location(`s3://photos/a?endpoint=${endpoint}`)), "photos@s3.example.org:9000/a")
})

it("refuses a location that holds a key, or that it does not understand, without repeating the key", () => {
  const secret = "wJalrXUtnFEMI"
  for (const text of [
    `s3://KEY:${secret}@photos?endpoint=https://s3.example.org`,
    `s3://photos?endpoint=https://KEY:${secret}@s3.example.org`,
    `s3://photos?secret_key=${secret}`,
    "s3://PHOTOS!",
    "s3://photos?style=other",
    "s3://photos?endpoint=ftp://s3.example.org",
    "http://photos",
  ])
    assert.throws(
      () => parseS3Location(text),
      (error) =>
        error instanceof HoldfastError &&
        error.code === "ERR_INVALID_ARGUMENT" &&
        !`${error.message}${JSON.stringify(error.details)}`.includes(secret),
      text,
    )
})

it("refuses a credentials file that others may read, and one without keys, before it connects", async (t) => {
  const folder = await temporary(t)
  const file = join(folder, "keys")
  const location = parseS3Location(`s3://photos?endpoint=http://127.0.0.1:1&credentials=${file}`)
  await writeFile(file, "[default]\naws_access_key_id = A\naws_secret_access_key = S3CRET\n", { mode: 0o600 })
  await chmod(file, 0o640)
  await assert.rejects(probeBucket(location, { crypto }), hasCode("ERR_EXPOSED"))
  await writeFile(file, "[other]\naws_secret_access_key = S3CRET\n")
  await chmod(file, 0o600)
  await assert.rejects(
    probeBucket(location, { crypto }),
    (error) => hasCode("ERR_CREDENTIALS")(error) && !(error as Error).message.includes("S3CRET"),
  )
  await rm(file)
  await assert.rejects(probeBucket(location, { crypto }), hasCode("ERR_CREDENTIALS"))
})

it("takes keys from a file that is named and nothing else: no program is run, no other file read, no device without end", async (t) => {
  const folder = await temporary(t)
  const file = join(folder, "keys")
  const ran = join(folder, "ran")
  const keys = "aws_access_key_id = A # mine\nAWS_SECRET_ACCESS_KEY = s=/+#x=\n"
  const program = `credential_process = sh -c "touch ${ran}"`
  const role = `role_arn = arn:aws:iam::1:role/x\nweb_identity_token_file = ${file}\nsource_profile = other`
  const of = async (text: string, profile = "") => {
    await writeFile(file, text, { mode: 0o600 })
    const named = profile === "" ? "" : `&profile=${profile}`
    return credentialsFor(parseS3Location(`s3://photos?endpoint=http://127.0.0.1:1&credentials=${file}${named}`))()
  }
  for (const text of [`[default]\n${program}\n[other]\n${keys}`, `[default]\n${role}\n[other]\n${keys}`])
    await assert.rejects(of(text), hasCode("ERR_CREDENTIALS"))
  const expected = { accessKeyId: "A", secretAccessKey: "s=/+#x=" }
  assert.deepEqual(await of(`\ufeff# of photos\r\n[default]\n${keys}${program}\n[other]\n${program}`), expected)
  assert.deepEqual(await of(`[default]\n${program}\n[ profile "other" ]\n${keys}`, "other"), expected)
  assert.deepEqual(await of(`[default]\n${keys}aws_session_token=T`), { ...expected, sessionToken: "T" })
  assert.ok(!existsSync(ran))
  const endless = parseS3Location("s3://photos?endpoint=http://127.0.0.1:1&credentials=/dev/zero")
  await assert.rejects(credentialsFor(endless)(), hasCode("ERR_LIMIT"))
})

it("says that a service cannot be reached", async (t) => {
  const file = join(await temporary(t), "keys")
  await writeFile(file, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", { mode: 0o600 })
  const location = parseS3Location(`s3://photos?endpoint=http://127.0.0.1:1&credentials=${file}`)
  await assert.rejects(probeBucket(location, { crypto, attempts: 1 }), hasCode("ERR_SERVER_UNREACHABLE"))
})

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-s3-"))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof HoldfastError && error.code === code
}
