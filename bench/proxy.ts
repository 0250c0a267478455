/** A proxy before a server of this machine that holds back what comes from it, as a long way does: the kernel here has no netem. */
import * as net from "node:net"

/** A running proxy. */
export interface DelayingProxy {
  readonly port: number
  /** How long what comes from the server is held back: a round trip takes so much longer. */
  delayMs: number
  close(): void
}

/** Starts a proxy before a port of 127.0.0.1, on a port of its own. */
export async function startProxy(target: number): Promise<DelayingProxy> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    const upstream = net.connect(target, "127.0.0.1")
    socket.pipe(upstream)
    // Timers of one length end in the order in which they began.
    const later = (work: () => void) => (proxy.delayMs > 0 ? setTimeout(work, proxy.delayMs) : work())
    upstream.on("data", (bytes) => later(() => socket.write(bytes)))
    upstream.on("end", () => later(() => socket.end()))
    for (const end of [socket, upstream]) {
      end.setNoDelay()
      end.on("error", () => undefined)
      end.on("close", () => sockets.delete(end))
      sockets.add(end)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as net.AddressInfo
  const proxy: DelayingProxy = {
    port,
    delayMs: 0,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  return proxy
}
