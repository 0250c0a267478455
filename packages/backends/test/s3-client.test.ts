/** How requests to an S3 service are made: signed, sent again, addressed; and what is taken for XML. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { openBucket } from "../src/s3/bucket.ts"
import { urlOf } from "../src/s3/client.ts"
import { parseXml } from "../src/s3/xml.ts"

const hourMs = 3_600_000

/** A service that gives `answer`, and a bucket of it. */
async function serving(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  keys = "",
) {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    request.resume().on("end", () => answer(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const folder = mkdtempSync(join(tmpdir(), "holdfast-s3-client-"))
  const credentials = join(folder, "keys")
  writeFileSync(credentials, `[default]\naws_access_key_id = A\naws_secret_access_key = S\n${keys}`, { mode: 0o600 })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const bucket = openBucket({ bucket: "b", prefix: "p/", endpoint, region: "eu-1", pathStyle: true, credentials })
  t.after(() => {
    bucket.close()
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  })
  return { bucket, seen }
}

const refused = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`

test("a request that a busy service refuses is sent again, three times in all, and no other", async (t) => {
  let failing = 2
  let [status, said] = [503, "SlowDown"]
  const { bucket, seen } = await serving(t, (_, response) => {
    if (failing-- > 0) response.writeHead(status).end(refused(said))
    else response.writeHead(200, { "content-length": 2 }).end("ok")
  })
  assert.equal(Buffer.from((await bucket.get("key", 10))!.bytes).toString(), "ok")
  assert.equal(seen.length, 3)
  failing = 9
  await assert.rejects(bucket.get("key", 10), { code: "ERR_SERVER_UNREACHABLE" })
  assert.equal(seen.length, 6)
  ;[status, said] = [403, "AccessDenied"]
  await assert.rejects(bucket.get("key", 10), { code: "ERR_REFUSED" })
  assert.equal(seen.length, 7)
})

test("a conditional write that meets another one is sent again as it was, and never told to have found something", async (t) => {
  let failing = 2
  const { bucket, seen } = await serving(t, (_, response) => {
    if (failing-- > 0) response.writeHead(409).end(refused("ConditionalRequestConflict"))
    else response.end()
  })
  const put = () => bucket.put("key", Buffer.from("value"), { ifAbsent: true })
  assert.equal((await put()).stored, true)
  failing = 9
  await assert.rejects(put(), { code: "ERR_SERVER_UNREACHABLE", message: /ConditionalRequestConflict/ })
  assert.deepEqual(
    seen.map(({ method, headers }) => `${method} ${headers["if-none-match"]}`),
    Array.from({ length: 6 }, () => "PUT *"),
  )
})

test("a signature that is refused since this machine's clock is wrong is made by the service's clock", async (t) => {
  const { bucket, seen } = await serving(t, (request, response) => {
    const [year, month, day, hour, minute] = /(....)(..)(..)T(..)(..)/
      .exec(`${request.headers["x-amz-date"]}`)!
      .slice(1)
    const isRight = Math.abs(Date.parse(`${year}-${month}-${day}T${hour}:${minute}Z`) - Date.now() - hourMs) < 300_000
    const date = new Date(Date.now() + hourMs).toUTCString()
    if (isRight) response.writeHead(200, { date, "content-length": 2 }).end("ok")
    else response.writeHead(403, { date }).end(refused("RequestTimeTooSkewed"))
  })
  await Promise.all([1, 2, 3].map(() => bucket.get("key", 10)))
  assert.equal(seen.length, 6, "each of those that were made at once is made again")
  assert.ok(await bucket.get("key", 10))
  assert.equal(seen.length, 7, "a later one knows the clock")
})

test("bodies are not signed, everything else is, with the token of keys that have one", async (t) => {
  const { bucket, seen } = await serving(t, (_, response) => void response.end(), "aws_session_token = T\n")
  await bucket.put("a b/ü+", Buffer.from("secret"), { ifAbsent: true })
  const [{ url, headers } = assert.fail()] = seen
  assert.equal(url, "/b/p/a%20b/%C3%BC%2B")
  assert.equal(headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD")
  assert.equal(headers["x-amz-security-token"], "T")
  assert.match(
    headers.authorization!,
    /^AWS4-HMAC-SHA256 Credential=A\/\d{8}\/eu-1\/s3\/aws4_request, SignedHeaders=content-length;content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/,
  )
})

test("a bucket at Amazon is a host of its own, or part of the path where its name has dots", () => {
  const at = (bucket: string, region: string) =>
    urlOf({ bucket, prefix: "", region, pathStyle: false }, { method: "GET", key: "k/1", query: { prefix: "a b" } })
      .href
  assert.equal(at("photos", "eu-west-1"), "https://photos.s3.eu-west-1.amazonaws.com/k/1?prefix=a%20b")
  assert.equal(at("my.photos", "eu-west-1"), "https://s3.eu-west-1.amazonaws.com/my.photos/k/1?prefix=a%20b")
  assert.equal(at("photos", "cn-north-1"), "https://photos.s3.cn-north-1.amazonaws.com.cn/k/1?prefix=a%20b")
})

test("XML is read with its escapes, and what is no XML is nothing", () => {
  const root = parseXml("<a><b>1 &lt; 2 &amp;&#x41;</b><!-- no --><b><![CDATA[<c>]]></b></a>", "n")
  assert.deepEqual(
    root?.children.map(({ name, text }) => [name, text]),
    [
      ["b", "1 < 2 &A"],
      ["b", "<c>"],
    ],
  )
  for (const text of [
    "",
    "a",
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "<a>&b;</a>",
    `${"<a>".repeat(17)}${"</a>".repeat(17)}`,
    `<a>${"<b/>".repeat(65_536)}</a>`,
    `<a ${Array.from({ length: 65_536 }, (_, i) => `b${i}=""`).join(" ")}/>`,
  ])
    assert.equal(parseXml(text, "n"), undefined, text.slice(0, 20))
  assert.throws(() => parseXml("<!DOCTYPE a><a/>", "n"), { code: "ERR_BAD_FORMAT" })
})
