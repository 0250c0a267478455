/** Addresses, and what a server that cannot be reached is called by people. */
import { isIPv6 } from "node:net"
import { excerpt, HoldfastError } from "@holdfast/core"
import { codeOf } from "@holdfast/core/node"
import { handshakeError } from "./refusal.ts"

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** Splits "host:port" or "[v6]:port". Throws ERR_INVALID_ARGUMENT. */
export function parseAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/]+)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (!match || port < 1 || port > 65_535 || (match[1] !== undefined && !isIPv6(match[1])))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `"${excerpt(address, 300)}" is not an address. Write host:port.`)
  return { host: match[1] ?? match[2]!, port }
}

/** "host:port", with brackets around an IPv6 host. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") && isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** What a connection failed with, as ERR_REFUSED, ERR_BAD_FORMAT or ERR_SERVER_UNREACHABLE. */
export function explain(at: Address, cause: Error): HoldfastError {
  if (cause instanceof HoldfastError) return cause
  const code = codeOf(cause)
  const address = formatAddress(at.host, at.port)
  const refused = handshakeError(address, code, cause)
  if (refused) return refused
  if (code.startsWith("HPE_"))
    return new HoldfastError(
      "ERR_BAD_FORMAT",
      `The server at ${address} does not answer as a server of a grid does (${code}). Check its address.`,
      { address, code },
      { cause },
    )
  const why: Record<string, string> = {
    ECONNREFUSED: "nothing listens there",
    ENOTFOUND: "its name is unknown",
    EAI_AGAIN: "its name could not be looked up",
    EHOSTUNREACH: "there is no route to it",
    ENETUNREACH: "there is no network to it",
    ETIMEDOUT: "it did not answer in time",
    ECONNRESET: "it closed the connection: it stopped, or refuses our certificate",
    EPIPE: "it closed the connection: it stopped, or refuses our certificate",
  }
  return unreachable(at, why[code] ?? (code || "the connection failed"), cause)
}

/** The error for a server that gives no answer, for the reason `why`. */
export function unreachable(at: Address, why: string, cause?: Error): HoldfastError {
  const address = formatAddress(at.host, at.port)
  return new HoldfastError(
    "ERR_SERVER_UNREACHABLE",
    `The server at ${address} cannot be reached: ${why}. Check that it runs and that a firewall lets it through.`,
    { address, code: codeOf(cause) },
    cause ? { cause } : undefined,
  )
}

/** The error for what its caller ended. */
export function aborted(signal: AbortSignal | undefined): HoldfastError {
  return new HoldfastError("ERR_ABORTED", "The request was cancelled.", {}, { cause: signal?.reason })
}
