/**
 * The storage protocol's transport alone, between two processes on loopback: bodies of 1.4 MB put and got over mutual TLS, several
 * at once, with nothing stored or checked. MB/s and processor time of both sides.
 */
import { fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { BufferPool } from "@holdfast/core"
import {
  createAuthority,
  createKeyAndRequest,
  createTlsServer,
  type Exchange,
  type IdentityFiles,
  listen,
  type Role,
  TransportClient,
} from "@holdfast/network"
import { record } from "./command.ts"
import { gib } from "./data.ts"

const bodyBytes = 1_400_000
const totalBytes = gib
const parallel = 6
const share = new Uint8Array(bodyBytes).fill(7)

/** Takes what is put, and gives a share of its own. */
function serve(identity: IdentityFiles): Promise<number> {
  const bodies = new BufferPool({ maxIdleBytes: 32 * 1024 * 1024 })
  const onExchange = async (exchange: Exchange) => {
    const body = bodies.take(exchange.bodyBytes)
    let at = 0
    const take = (piece: Uint8Array) => {
      body.set(piece, at)
      at += piece.length
      return undefined
    }
    await exchange.receive(take, new AbortController().signal)
    bodies.give(body)
    await exchange.answer({ status: 200, parts: exchange.endpoint === "get" ? [share] : [] })
  }
  return listen(
    createTlsServer(identity, (_, response) => response.end(), { onExchange }),
    { host: "127.0.0.1", port: 0 },
  )
}

async function members(): Promise<(memberId: string, role: Role) => Promise<IdentityFiles>> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const authority = await createAuthority(join(folder, "ca"), "bench")
  process.once("exit", () => rmSync(folder, { recursive: true }))
  return async (memberId, role) => {
    const { keyPem, csrPem } = await createKeyAndRequest()
    const certPem = await authority.sign(csrPem, { memberId, role, tenant: "bench" })
    return { keyPem, certPem, caPem: authority.caPem }
  }
}

const secondsOf = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1e6

async function main(): Promise<void> {
  const member = await members()
  const server = fork(import.meta.filename, ["server"])
  const asked = <T>(message: object) =>
    new Promise<T>((resolve) => {
      server.once("message", (answer) => resolve(answer as T))
      server.send(message)
    })
  const port = await asked<number>({ identity: await member("n1", "node") })
  const client = new TransportClient(await member("c1", "client"))
  const pool = new BufferPool({ maxIdleBytes: 32 * 1024 * 1024 })
  const at = { host: "127.0.0.1", port, maxBytes: bodyBytes, allocate: (length: number) => pool.take(length) }
  for (const endpoint of ["put", "get", "put", "get"]) {
    const [startMs, before, theirs] = [performance.now(), process.cpuUsage(), await asked<NodeJS.CpuUsage>({})]
    let left = Math.ceil(totalBytes / bodyBytes)
    const work = async () => {
      while (left-- > 0) {
        const { body } = await client.request({ ...at, endpoint, body: endpoint === "put" ? [share] : [] })
        pool.give(body)
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
    const elapsedMs = performance.now() - startMs
    const own = secondsOf(process.cpuUsage(before))
    const other = secondsOf(await asked<NodeJS.CpuUsage>({})) - secondsOf(theirs)
    const figures = `client ${own.toFixed(2)}, server ${other.toFixed(2)} CPU s/GiB`
    record(endpoint, { seconds: elapsedMs / 1000, bytes: totalBytes, clientCpuSeconds: own, serverCpuSeconds: other })
    process.stdout.write(`${endpoint} ${(totalBytes / 1e3 / elapsedMs).toFixed(0).padStart(7)} MB/s   ${figures}\n`)
  }
  client.close()
  server.kill()
}

if (process.argv[2] === "server")
  process.on("message", ({ identity }: { identity?: IdentityFiles }) => {
    if (identity) void serve(identity).then((port) => process.send!(port))
    else process.send!(process.cpuUsage())
  })
else await main()
