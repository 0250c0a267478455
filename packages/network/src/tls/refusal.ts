/**
 * Why one end of a connection refuses the other, told so that nobody takes it for a server that cannot be reached.
 * A server that refuses a certificate says why in a header, before it reads anything; the words are the client's own.
 */
import type { IncomingHttpHeaders } from "node:http"
import type { TLSSocket } from "node:tls"
import { HoldfastError } from "@holdfast/core"
import { codeOf } from "@holdfast/core/node"
import { encodeGoAway, transportName } from "@holdfast/protocol"

/** The header of an answer that refuses the caller's certificate. */
const refusalHeader = "holdfast-refused"

const reasons = {
  "no-certificate": "it asks for a certificate of its grid. Join the grid with an invitation first",
  "other-authority": "our certificate is not of its grid. Check the address, or join that grid with an invitation",
  ended: "our certificate has ended. Check this machine's clock, or join again with a new invitation",
  "not-yet-valid": "our certificate is not valid yet. Check the clocks of this machine and of the server",
  revoked: "our certificate was revoked. Ask the grid's operator; a new invitation gives a new one",
  "unknown-member": "it does not know this member. Its state may be an old copy: ask the grid's operator",
  "bad-certificate": "it cannot use our certificate. Join the grid again with a new invitation",
  "too-many-connections": "this member has too many connections to it already. End other commands, then try again",
} as const

/** Why a server refuses a certificate. */
export type RefusalReason = keyof typeof reasons

/** Why the peer's certificate is not good enough; undefined when TLS verified it. */
export function refusalOf(socket: TLSSocket): RefusalReason | undefined {
  if (socket.authorized) return undefined
  if (!socket.getPeerX509Certificate()) return "no-certificate"
  const error: unknown = socket.authorizationError
  const code = typeof error === "string" ? error : codeOf(error)
  if (code === "CERT_HAS_EXPIRED") return "ended"
  if (code === "CERT_NOT_YET_VALID") return "not-yet-valid"
  return /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_SIGNATURE_)/.test(code) ? "other-authority" : "bad-certificate"
}

/** What the refused one is told. */
export function refusalMessage(who: string, reason: RefusalReason): string {
  return `${who} refused us: ${reasons[reason]}.`
}

/** Answers a refused connection without reading what it sends, and ends it. */
export function refuse(socket: TLSSocket, reason: RefusalReason): void {
  socket.on("error", () => undefined)
  socket.resume() // a reset for unread bytes could overtake the answer
  if (socket.alpnProtocol === transportName) socket.end(encodeGoAway(reason))
  else
    socket.end(
      `HTTP/1.1 401 Unauthorized\r\n${refusalHeader}: ${reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    )
  const timer = setTimeout(() => socket.destroy(), 1_000)
  socket.once("close", () => clearTimeout(timer))
}

/** Throws ERR_REFUSED when an answer refuses our certificate. */
export function throwIfRefused(address: string, status: number, headers: IncomingHttpHeaders): void {
  const reason = headers[refusalHeader]
  if (status !== 401 || typeof reason !== "string") return
  const error = refusedFor(address, reason)
  if (error) throw error
}

/** The error for a server's refusal of our certificate; undefined when `reason` is none of those known. */
export function refusedFor(address: string, reason: string): HoldfastError | undefined {
  if (!Object.hasOwn(reasons, reason)) return undefined
  return new HoldfastError("ERR_REFUSED", refusalMessage(`The server at ${address}`, reason as RefusalReason), {
    address,
    reason,
    proven: true, // it showed a certificate of this grid before it answered
    ofCertificate: reason !== "too-many-connections", // whatever we ask, and soon all servers say the same
  })
}

/** The error for a failed handshake, or undefined when `code` is not about certificates. */
export function handshakeError(address: string, code: string, cause: Error): HoldfastError | undefined {
  const refused = (reason: string, message: string) =>
    new HoldfastError("ERR_REFUSED", message, { address, code, reason }, { cause })
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE)/.test(code))
    return refused("bad-certificate", `The server at ${address} refused us (${code}): ${reasons["no-certificate"]}.`)
  if (code === "CERT_HAS_EXPIRED")
    return refused(
      "server-ended",
      `The certificate of the server at ${address} has ended, so nothing was sent to it. Its operator must renew it; if others reach it, check this machine's clock.`,
    )
  if (code === "CERT_NOT_YET_VALID")
    return refused(
      "server-not-yet-valid",
      `The certificate of the server at ${address} is not valid yet, so nothing was sent to it. Check the clocks of both machines.`,
    )
  if (/^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_|EPROTO$|HOSTNAME_)/.test(code))
    return refused(
      "server-unproven",
      `The server at ${address} did not prove to belong to this grid (${code}), so nothing was sent to it. Check its address.`,
    )
  return undefined
}
