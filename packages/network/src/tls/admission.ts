/**
 * Who gets a place on a server. A connection is a stranger's until its certificate is verified, and strangers have places of their
 * own, so that no number of them keeps a member out; whoever does not prove itself soon is ended.
 */
import type { Server } from "node:https"
import type { Socket } from "node:net"
import type { TLSSocket } from "node:tls"
import { transportName } from "@holdfast/protocol"
import { Crowd } from "./crowd.ts"
import { MemberPlaces } from "./members.ts"
import { type RefusalReason, refusalOf, refuse } from "./refusal.ts"
import { keyIdOf, type RevokedKeys } from "./revoked.ts"
import { subjectOf } from "./subject.ts"

/** How many get a place, and how long strangers keep theirs. */
export interface AdmissionOptions {
  /** Refuses a connection without a valid client certificate. Default true; with false, ask `peerOf` yourself. */
  readonly requireClientCertificate?: boolean
  /** Refuses these keys; connections that are open end as soon as their key is added. */
  readonly revoked?: RevokedKeys
  /** Most connections whose certificate was verified; strangers have places of their own. Default 1024. */
  readonly maxConnections?: number
  /** Most connections of one certificate. Default 256. */
  readonly maxConnectionsPerPeer?: number
  /** Most connections of one tenant. Default all: when they are taken, a tenant with fewer gets one of who has most. */
  readonly maxConnectionsPerTenant?: number
  /** Most connections that have not shown a certificate yet; then the oldest ends for a new one. Default 256. */
  readonly maxUnproven?: number
  /** How long a connection has to show its certificate. Default 5 s. */
  readonly proveTimeoutMs?: number
  /** Where no certificate is required: most connections without one; then the oldest ends for a new one. Default 64. */
  readonly maxStrangers?: number
  /** The longest that a connection without a certificate is kept. Default 20 s. */
  readonly strangerTimeoutMs?: number
  /** Hears of connections refused; the reason is a code without secrets. */
  readonly onRefused?: (reason: string) => void
}

/** Sockets that are closing and still counted by the listener; all others are counted here. */
const slack = 64

/** Serves connections that agreed on another protocol than HTTP. */
interface OtherProtocol {
  take(socket: TLSSocket): void
}

/**
 * Lets a connection reach HTTP, or `other` where TLS agreed on that, only once it has a place there, as a member or, where `options`
 * allow it, as a stranger.
 */
export function admitConnections(server: Server, options: AdmissionOptions, other?: OtherProtocol): void {
  const { maxConnections = 1024, maxUnproven = 256, maxStrangers = 64, onRefused } = options
  const needsCertificate = options.requireClientCertificate ?? true
  const unproven = new Crowd(maxUnproven)
  const strangers = new Crowd(needsCertificate ? 0 : maxStrangers)
  const members = new MemberPlaces({
    most: maxConnections,
    mostPerPeer: options.maxConnectionsPerPeer ?? 256,
    mostPerTenant: options.maxConnectionsPerTenant ?? maxConnections,
  })
  server.maxConnections = maxConnections + maxUnproven + maxStrangers + slack
  const closeIdle = server.closeIdleConnections.bind(server)
  server.closeIdleConnections = () => {
    for (const socket of unproven.sockets()) socket.destroy() // HTTP does not know of them, and closing would wait
    closeIdle()
  }
  const raw = new Map<string, Socket>()
  server.on("connection", (socket: Socket) => {
    const name = endsOf(socket)
    raw.set(name, socket)
    socket.once("close", () => {
      if (raw.get(name) === socket) raw.delete(name)
    })
    end(unproven.add(socket))
  })

  const serveHttp = server.listeners("secureConnection")
  server.removeAllListeners("secureConnection")
  server.on("secureConnection", (socket: TLSSocket) => {
    const under = raw.get(endsOf(socket))
    if (!under) return void socket.destroy() // it closed meanwhile
    const reason = admit(socket, under)
    if (reason) {
      onRefused?.(reason)
      return refuse(socket, reason) // still unproven: it may be ended for another
    }
    unproven.delete(under)
    if (other && socket.alpnProtocol === transportName) return other.take(socket)
    for (const serve of serveHttp) serve.call(server, socket)
  })

  function admit(socket: TLSSocket, under: Socket): RefusalReason | undefined {
    const reason = refusalOf(socket)
    const certificate = socket.getPeerX509Certificate()
    const keyId = certificate ? keyIdOf(certificate) : ""
    const isRevoked = options.revoked?.has(keyId) ?? false
    if (!reason && !isRevoked) {
      const tenant = subjectOf(socket.getPeerCertificate().subject)?.tenant ?? ""
      return members.take(under, { tenant, keyId }) ? undefined : "too-many-connections"
    }
    if (needsCertificate) return reason ?? "revoked"
    end(strangers.add(under))
    const timer = setTimeout(() => under.destroy(), options.strangerTimeoutMs ?? 20_000)
    under.once("close", () => clearTimeout(timer))
    return undefined
  }

  function end(socket: Socket | undefined): void {
    if (!socket) return
    onRefused?.("too-many-unproven")
    socket.destroy()
  }
}

/** Names a connection by its two ends: TLS and the TCP beneath it are two sockets. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}
