/** Buckets behind a proxy: real ones over HTTP, and the way to a bucket that only the proxy knows. */
import assert from "node:assert/strict"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { type TestContext, test } from "node:test"
import { openBucket } from "../src/s3/bucket.ts"
import { proxyOf } from "../src/s3/proxy.ts"
import { send, startBadBucket } from "./bad-bucket.ts"

/** A proxy that takes every host for `target`; gives its URL and what it was asked for. */
async function startProxy(t: TestContext, target: string) {
  const asked: string[] = []
  const proxy = createServer((incoming, response) => {
    const { pathname, search, host } = new URL(incoming.url!)
    asked.push(`${incoming.method} ${host}`)
    const url = new URL(`${pathname}${search}`, target)
    const { "proxy-connection": _, ...headers } = incoming.headers
    const onward = request(url, { method: incoming.method!, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    incoming.pipe(onward)
  })
  proxy.on("connect", (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url} ${Object.keys(incoming.headers).join()}`)
    socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n")
  })
  t.after(() => {
    proxy.close()
    proxy.closeAllConnections()
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, asked }
}

const location = { region: "us-east-1", bucket: "bucket", prefix: "", pathStyle: true }
const keys = { accessKeyId: "id", secretAccessKey: "not the real one" }

test("a bucket that only the proxy reaches is used through it, and one of this machine without it", async (t) => {
  process.env["AWS_ACCESS_KEY_ID"] = keys.accessKeyId
  process.env["AWS_SECRET_ACCESS_KEY"] = keys.secretAccessKey
  const service = await startBadBucket(t, (response, honest) => send(response, honest))
  const proxy = await startProxy(t, service.url)
  const env = { HTTP_PROXY: proxy.url, https_proxy: proxy.url }
  const far = openBucket({ ...location, endpoint: "http://store.example:8080" }, { env, attempts: 1 })
  await far.put("key", new Uint8Array([1, 2, 3]))
  assert.deepEqual((await far.get("key", 10))?.bytes, new Uint8Array([1, 2, 3]))
  assert.deepEqual(proxy.asked, ["PUT store.example:8080", "GET store.example:8080"])
  const near = openBucket({ ...location, endpoint: service.url }, { env, attempts: 1 })
  assert.deepEqual((await near.get("key", 10))?.bytes, new Uint8Array([1, 2, 3]))
  assert.equal(proxy.asked.length, 2)
  // Through the proxy goes what is encrypted for the bucket: the proxy sees its name and no key.
  const secure = openBucket({ ...location, endpoint: "https://store.example" }, { env, attempts: 1 })
  await assert.rejects(secure.get("key", 10), { code: "ERR_SERVER_UNREACHABLE" })
  assert.match(proxy.asked[2]!, /^CONNECT store\.example:443 /)
  assert.doesNotMatch(proxy.asked[2]!, /authorization/i)
  for (const bucket of [far, near, secure]) bucket.close()
})

test("the environment names a proxy as for other programs, and hosts that are reached without", () => {
  assert.deepEqual(proxyOf({ HTTP_PROXY: "", NO_PROXY: "a" }), {})
  assert.deepEqual(proxyOf({ https_proxy: "http://p:1", HTTPS_PROXY: "http://q:2", NO_PROXY: "a.example" }), {
    proxyEnv: { HTTPS_PROXY: "http://p:1", NO_PROXY: "a.example,localhost,127.0.0.1,::1" },
  })
})
