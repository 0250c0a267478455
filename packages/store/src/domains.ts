/**
 * Failure domains: what may be lost at once, such as a site, and how servers are put in an order that spreads over them. Why this
 * order: docs/decisions/0021-failure-domains.md.
 */
import type { Backend } from "@holdfast/protocol"
import { quorumOf } from "./register-quorum.ts"

/** Names of the domains that a server lies in, the widest first; none when it is lost alone. */
export type Domains = readonly string[]

/** A domain of a store. */
export interface Domain {
  readonly name: string
  /** Servers of shares in it. */
  readonly servers: ReadonlySet<Backend>
  /** Without it, registers can be read and written. */
  readonly keepsQuorum: boolean
}

/** A server as far as domains go. */
interface Placed {
  readonly backend: Backend
  readonly domains?: Domains | undefined
}

/**
 * Puts `order`, the best first, so that any number of its first ones lie in as many domains as can be: first the best of each, then
 * the second of each, the widest domains before those within them. What is in the `holding` is counted as if it came before. Who
 * leaves or comes moves nobody else in or out of the first n but one.
 */
export function overDomains<T>(
  order: readonly T[],
  domainsOf: (one: T) => Domains,
  holding: readonly T[] = [],
): readonly T[] {
  const levels = Math.max(0, ...order.map((one) => domainsOf(one).length))
  let spread = order
  for (let level = levels - 1; level >= 0; level--) {
    const counts = new Map<string, number>()
    const turnOf = (one: T): number => {
      const domain = domainsOf(one)[level]
      if (domain === undefined) return 0
      const turn = counts.get(domain) ?? 0
      counts.set(domain, turn + 1)
      return turn
    }
    holding.forEach(turnOf)
    const byTurn: T[][] = [] // equals stay as they were
    for (const one of spread) {
      const turn = turnOf(one)
      const equals = byTurn[turn]
      if (equals) equals.push(one)
      else byTurn[turn] = [one]
    }
    spread = byTurn.flat() // no turn may be anybody's, where some are held
  }
  return spread
}

/** The domains of a store, by name. */
export function domainsIn(
  placed: readonly Placed[],
  voters: readonly Placed[],
  mode: "crash" | "byzantine",
): readonly Domain[] {
  const names = new Set([...placed, ...voters].flatMap(({ domains = [] }) => domains))
  const needed = quorumOf(voters.length, mode)
  const isIn = (name: string) => (one: Placed) => one.domains?.includes(name) === true
  return [...names].sort().map((name) => ({
    name,
    servers: new Set(placed.filter(isIn(name)).map(({ backend }) => backend)),
    keepsQuorum: voters.filter((one) => !isIn(name)(one)).length >= needed,
  }))
}
