/** Services that answer a write before they have taken its body, whose memory then serves for something else. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { openBucket } from "../src/s3/bucket.ts"

/** More than a connection of this machine holds by itself. */
const bodyBytes = 32 * 1024 * 1024
const secret = 0x53

/** A service that answers at the head of a request, and reads on when it is told to; and a bucket of it. */
async function answeringEarly(t: TestContext, status: string, said: string) {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on("error", () => undefined)
    socket.once("data", () => {
      socket.pause()
      const date = new Date().toUTCString()
      socket.write(`HTTP/1.1 ${status}\r\nDate: ${date}\r\nContent-Length: ${said.length}\r\n\r\n${said}`)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const folder = mkdtempSync(join(tmpdir(), "holdfast-early-"))
  const credentials = join(folder, "keys")
  writeFileSync(credentials, "[default]\naws_access_key_id = A\naws_secret_access_key = S\n", { mode: 0o600 })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const bucket = openBucket({ bucket: "b", prefix: "", endpoint, region: "eu-1", pathStyle: true, credentials })
  t.after(() => {
    bucket.close()
    for (const socket of sockets) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  /** All that comes from now on, on all connections, until they end. */
  const readOn = async (): Promise<Buffer[]> => {
    const pieces: Buffer[] = []
    await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<void>((resolve) => {
            let bytes = 0
            socket.on("data", (piece: Buffer) => {
              pieces.push(piece)
              bytes += piece.length
              if (bytes >= bodyBytes - 64 * 1024) resolve()
            })
            socket.once("close", () => resolve())
            socket.resume()
          }),
      ),
    )
    return pieces
  }
  return { bucket, readOn }
}

const refusal = "<Error><Code>AccessDenied</Code></Error>"

for (const [status, said] of [
  ["200 OK", ""],
  ["412 Precondition Failed", ""],
  ["403 Forbidden", refusal],
] as const)
  test(`what lies in the memory of a body after its write is over never goes out, where a service answers ${status} early`, async (t) => {
    const { bucket, readOn } = await answeringEarly(t, status, said)
    const body = new Uint8Array(bodyBytes)
    await bucket.put("key", body, { ifAbsent: true }).catch(() => undefined)
    body.fill(secret)
    const pieces = await readOn()
    assert.ok(!pieces.some((piece) => piece.includes(secret)))
  })
