/** Which server a client takes for the one it wants, and what it shows of itself. The grid's authority is the only trust. */
import { createSecureContext, type PeerCertificate, type SecureContext } from "node:tls"
import { HoldfastError } from "@holdfast/core"
import { keyIdOf, type RevokedKeys } from "./revoked.ts"
import { type Role, subjectOf } from "./subject.ts"

/** The caller's side of TLS; without key and certificate only what strangers may ask for works. */
export interface Credentials {
  readonly caPem: string
  readonly keyPem?: string
  readonly certPem?: string
}

/** Which server to accept, and how many connections to keep. */
export interface AgentOptions {
  /** Member id that the server's certificate must name. Without it, any member with `expectedRole`. */
  readonly expectedId?: string
  /** Role that the server's certificate must name. Default: node or coordinator. */
  readonly expectedRole?: Role
  /** The key that the server's certificate must have: base64url of its SHA-256. */
  readonly expectedKey?: string | undefined
  /** Servers with these keys are refused; connections end as soon as their server's key is added. */
  readonly revoked?: RevokedKeys
  /** Most connections at once; more requests wait. Default 8. */
  readonly maxSockets?: number
}

/** The caller's side of a connection; TLS 1.3 only. */
export function contextFor({ caPem, keyPem, certPem }: Credentials): SecureContext {
  return createSecureContext({ minVersion: "TLSv1.3", ca: caPem, key: keyPem, cert: certPem })
}

/** For `checkServerIdentity`: the error to end a handshake with, unless the server is the one expected. */
export function checkServer(host: string, certificate: PeerCertificate, options: AgentOptions): Error | undefined {
  const subject = subjectOf(certificate.subject)
  const rightRole = options.expectedRole ? subject?.role === options.expectedRole : subject?.role !== "client"
  const keyId = keyIdOf(certificate.raw)
  if (options.revoked?.has(keyId))
    return new HoldfastError(
      "ERR_REFUSED",
      `The certificate of the server at ${host} was revoked, so nothing was sent to it. Its operator must join it again.`,
      { host, reason: "server-revoked" },
    )
  const isExpected = options.expectedId === undefined || subject?.memberId === options.expectedId
  if (subject && rightRole && isExpected) return checkKey(host, keyId, subject.memberId, options)
  const expected = options.expectedId ?? options.expectedRole ?? "a server of this grid"
  return new HoldfastError(
    "ERR_REFUSED",
    `The server at ${host} is ${subject?.memberId ?? "unknown"}, not ${expected}, so nothing was sent to it. Check its address.`,
    { host, expected, found: subject?.memberId },
  )
}

/** Whoever certifies servers could certify another machine under the same id. */
function checkKey(host: string, keyId: string, memberId: string, { expectedKey }: AgentOptions): Error | undefined {
  if (expectedKey === undefined || keyId === expectedKey) return undefined
  return new HoldfastError(
    "ERR_REFUSED",
    `The server at ${host} says that it is ${memberId}, but has another key than before, so nothing was sent to it. Ask the grid's operator.`,
    { host, expected: expectedKey, found: keyId, reason: "server-key" },
  )
}
