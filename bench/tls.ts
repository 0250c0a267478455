/** TLS 1.3 alone between two processes on loopback, as storage nodes and clients speak it: the limit of any put or get. */
import { fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as tls from "node:tls"
import { createAuthority, createKeyAndRequest } from "@holdfast/network"
import { record } from "./command.ts"
import { gib } from "./data.ts"

const totalBytes = gib
const piece = Buffer.alloc(256 * 1024, 7)

/** Sends `totalBytes` and resolves when the other side has read them all. */
async function send(socket: NodeJS.WritableStream & NodeJS.ReadableStream): Promise<number> {
  const start = performance.now()
  for (let sent = 0; sent < totalBytes; sent += piece.length)
    if (!socket.write(piece)) await new Promise((resolve) => socket.once("drain", resolve))
  const answered = new Promise((resolve) => socket.once("data", resolve))
  await answered
  return performance.now() - start
}

/** Reads `totalBytes` and says so. */
function receive(socket: NodeJS.WritableStream & NodeJS.ReadableStream): void {
  let received = 0
  socket.on("data", (bytes: Buffer) => {
    received += bytes.length
    if (received === totalBytes) socket.end("done")
  })
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const authority = await createAuthority(join(folder, "ca"), "bench")
  const { keyPem, csrPem } = await createKeyAndRequest()
  const certPem = await authority.sign(csrPem, { memberId: "n1", role: "node", tenant: "bench" })
  rmSync(folder, { recursive: true })
  const identity = { key: keyPem, cert: certPem, ca: authority.caPem }
  for (const kind of ["tcp", "tls"] as const) {
    const sink = fork(import.meta.filename, ["sink"])
    sink.send({ kind, identity })
    const port = await new Promise<number>((resolve) => sink.once("message", (message) => resolve(message as number)))
    const options = { port, host: "127.0.0.1", ...identity, checkServerIdentity: () => undefined }
    const socket = kind === "tcp" ? connect(options) : tls.connect(options)
    await new Promise((resolve) => socket.once(kind === "tcp" ? "connect" : "secureConnect", resolve))
    const elapsedMs = await send(socket)
    const name = kind === "tcp" ? "TCP alone" : "TLS 1.3 alone, both certificates checked"
    record(name, { seconds: elapsedMs / 1000, bytes: totalBytes })
    process.stdout.write(`${name.padEnd(42)}${(totalBytes / 1e3 / elapsedMs).toFixed(0).padStart(7)} MB/s\n`)
    sink.kill()
  }
}

if (process.argv[2] === "sink")
  process.once("message", (message) => {
    const { kind, identity } = message as { kind: string; identity: tls.TlsOptions }
    const server =
      kind === "tcp"
        ? createServer(receive)
        : tls.createServer({ ...identity, minVersion: "TLSv1.3", requestCert: true }, receive)
    server.listen(0, "127.0.0.1", () => process.send!((server.address() as { port: number }).port))
  })
else await main()
