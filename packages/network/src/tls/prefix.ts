/**
 * The networks that an address lies in. Whoever has one IPv6 address has 2^64 of them, and often a /48, so strangers are
 * counted by prefix and never by single address.
 */
import { isIP } from "node:net"

/** What one subscriber has, and what one site or provider's block has. */
export interface Prefixes {
  /** IPv4 /32, IPv6 /64. */
  readonly narrow: string
  /** IPv4 /24, IPv6 /48. */
  readonly wide: string
}

/** The prefixes of `address` as a socket names it; what is no address is a network of its own. */
export function prefixesOf(address: string | undefined): Prefixes {
  const text = (address ?? "").split("%")[0]!
  const inner = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text
  const version = isIP(inner)
  if (version === 4) return { narrow: inner, wide: inner.slice(0, inner.lastIndexOf(".")) }
  if (version !== 6) return { narrow: "?", wide: "?" }
  const groups = groupsOf(inner)
  return { narrow: groups.slice(0, 4).join(":"), wide: groups.slice(0, 3).join(":") }
}

/** The first groups of an IPv6 address; an IPv4 tail lies behind those that are looked at. */
function groupsOf(address: string): string[] {
  const [before = "", after] = address.split("::")
  const head = before === "" ? [] : before.split(":")
  if (after === undefined) return head.map(plain)
  const tail = after === "" ? [] : after.split(":")
  const tailGroups = tail.length + (tail.at(-1)?.includes(".") ? 1 : 0)
  return [...head, ...new Array<string>(Math.max(0, 8 - head.length - tailGroups)).fill("0"), ...tail].map(plain)
}

function plain(group: string): string {
  return group.replace(/^0+(?=.)/, "").toLowerCase()
}
