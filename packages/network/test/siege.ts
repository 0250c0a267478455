/** Strangers from many addresses of loopback who hold every place that they can get, and come back when they are ended. */
import { connect, type Socket } from "node:net"
import type { TestContext } from "node:test"
import { connect as connectTls } from "node:tls"

/** What strangers do: connect and say nothing, or end the handshake and send half of a request. */
export type SiegeKind = "silent" | "half-request"

/** Besieges `port` of 127.0.0.1 until the test ends: `each` connections from each of `addresses`. Resolves once all have dialled. */
export async function besiege(
  t: TestContext,
  { port, addresses, each, kind }: { port: number; addresses: readonly string[]; each: number; kind: SiegeKind },
): Promise<{ readonly opened: () => number }> {
  const open = new Set<Socket>()
  const timers = new Set<NodeJS.Timeout>()
  let opened = 0
  let isOver = false
  t.after(() => {
    isOver = true
    for (const timer of timers) clearTimeout(timer)
    for (const socket of open) socket.destroy()
  })
  const dial = (localAddress: string) =>
    new Promise<void>((resolve) => {
      const bare = connect({ host: "127.0.0.1", port, localAddress })
      bare.on("error", () => undefined)
      const socket: Socket = kind === "silent" ? bare : connectTls({ socket: bare, rejectUnauthorized: false })
      open.add(socket)
      socket.on("error", () => undefined)
      socket.resume()
      socket.once(kind === "silent" ? "connect" : "secureConnect", () => {
        opened++
        if (kind === "half-request")
          socket.write("POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        resolve()
      })
      socket.once("close", () => {
        open.delete(socket)
        resolve()
        if (isOver) return
        const timer = setTimeout(() => {
          timers.delete(timer)
          void dial(localAddress)
        }, 4_000)
        timers.add(timer)
      })
    })
  for (const address of addresses) await Promise.all(Array.from({ length: each }, () => dial(address)))
  return { opened: () => opened }
}
