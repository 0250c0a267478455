/**
 * How many parts a recovery kit needs. Whoever has one credential reads all that it opens, so a kit that no words protect counts
 * parties and not places.
 */

/** How many parts, and how few parties hold so many together. */
export interface KitThreshold {
  readonly threshold: number
  readonly parties: number
}

/** What is known of the places. */
export interface KitExtent {
  readonly places: number
  /** How many of them may be lost, or lie. */
  readonly faults: number
  /** Sizes of the groups of places that one credential reads, the largest first. */
  readonly parties: readonly number[]
  readonly isProtected: boolean
}

/**
 * One more than the places that may lie; without words more than any so many parties hold. Undefined when it could then not spare
 * as many places.
 */
export function kitThreshold({ places, faults, parties, isProtected }: KitExtent): KitThreshold | undefined {
  const threshold = isProtected ? faults + 1 : openThreshold(places, faults, parties)
  return threshold === undefined ? undefined : { threshold, parties: partiesFor(threshold, parties) }
}

/**
 * So many parts must a kit without words need: more than any f parties hold together, and than any f places. Undefined
 * when it could then not spare f places, or a single party holds enough.
 */
export function openThreshold(places: number, f: number, parties: readonly number[]): number | undefined {
  const held = parties.slice(0, f).reduce((sum, size) => sum + size, 0)
  const threshold = Math.max(f, held) + 1
  return threshold <= places - f ? threshold : undefined
}

/** So few parties hold `threshold` parts together. */
export function partiesFor(threshold: number, parties: readonly number[]): number {
  const held = parties.map((_, i) => parties.slice(0, i + 1).reduce((sum, size) => sum + size, 0))
  return 1 + held.findIndex((parts) => parts >= threshold)
}

/** Places that have any mark in common, also by way of others, are one group; sizes of the groups, the largest first. */
export function groupSizes(marks: readonly (readonly string[])[]): number[] {
  const groups: { marks: Set<string>; size: number }[] = []
  for (const own of marks) {
    const joined = groups.filter((group) => own.some((mark) => group.marks.has(mark)))
    for (const group of joined) groups.splice(groups.indexOf(group), 1)
    groups.push({
      marks: new Set([...own, ...joined.flatMap((group) => [...group.marks])]),
      size: 1 + joined.reduce((sum, { size }) => sum + size, 0),
    })
  }
  return groups.map(({ size }) => size).sort((a, b) => b - a)
}
