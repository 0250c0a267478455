/**
 * Loaded into a command before it starts: its connections to the ports named in HOLDFAST_BENCH_DETOURS (JSON, from port to port) go to
 * others of this machine. What is at the other end proves who it is by its certificate, wherever it is reached.
 */
import * as net from "node:net"

const detours = JSON.parse(process.env["HOLDFAST_BENCH_DETOURS"] ?? "{}") as Readonly<Record<string, number>>
const { connect } = net.Socket.prototype

net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
  // Node hands its own calls over as a list of options and listener.
  const [first] = args
  const options = (Array.isArray(first) ? first[0] : first) as { port?: number }
  const detour = detours[String(options.port)]
  if (detour !== undefined) options.port = detour
  return Reflect.apply(connect, this, args)
} as typeof connect
