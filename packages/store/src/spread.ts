/** How widely shares are spread: a largest matching of servers with shares, so that no share and no server counts twice. */

/** For each server the share that counts for it, one of those in `held`; undefined where none is left for it. */
export function spreadOf(held: readonly (readonly number[])[]): (number | undefined)[] {
  const serverOf = new Map<number, number>()
  const give = (server: number, tried: Set<number>): boolean => {
    for (const index of held[server]!) {
      if (tried.has(index)) continue
      tried.add(index)
      const other = serverOf.get(index)
      if (other !== undefined && !give(other, tried)) continue
      serverOf.set(index, server)
      return true
    }
    return false
  }
  for (const server of held.keys()) give(server, new Set())
  const own = held.map((): number | undefined => undefined)
  for (const [index, server] of serverOf) own[server] = index
  return own
}
