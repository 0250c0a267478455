/** What a volume survives. */
import { domainsOf, type GridDescription, type Labels, type VolumeDescription, votersOf } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"

/** So many places may be lost, and so many of them may lie, without harm to reading. */
export interface Survival {
  readonly lost: number
  readonly lying: number
}

/** What a volume of `places` places survives: its shares and its registers both. */
export function survivalOf(
  { coding: { k, happy, n }, registerMode }: Pick<VolumeDescription, "coding" | "registerMode">,
  places: number,
): Survival {
  const lost = Math.max(0, Math.min(n - k, places - quorumOf(places, registerMode)))
  // Of the `happy` places that took a put, those that lie keep nothing; k of the others must be left.
  return { lost, lying: registerMode === "byzantine" ? Math.min(lost, happy - k) : 0 }
}

/** Those of a volume's witnesses without which it would survive as many lost places: these add nothing. */
export function uselessWitnesses(
  volume: Pick<VolumeDescription, "coding" | "registerMode" | "backends">,
): VolumeDescription["backends"] {
  const places = volume.backends.length
  const isUseful = survivalOf(volume, places).lost > survivalOf(volume, places - 1).lost
  return isUseful ? [] : volume.backends.filter(({ witness }) => witness)
}

/** `survives 2 lost, 1 lying`. */
export function survivalText({ lost, lying }: Survival): string {
  return `survives ${lost} lost, ${lying} lying`
}

/** What is left of a volume whose places of one domain are all lost, once its shares are where they belong. */
export interface DomainSurvival {
  /** Such as `site=home`. */
  readonly domain: string
  /** Shares of a chunk that are left at least. */
  readonly sharesLeft: number
  /** Places of registers that are left. */
  readonly votersLeft: number
  /** True when everything can still be read. */
  readonly survives: boolean
}

/** A place as far as its loss goes. */
interface Lying {
  readonly id: string
  readonly labels?: Labels | undefined
  /** It keeps no shares. */
  readonly witness?: true | undefined
  /** It keeps registers; it does when absent. */
  readonly votes?: boolean
  /** It is lost already, and counts among those of whom a quorum is needed. */
  readonly gone?: true
}

/** How a volume or a grid lies. */
export interface Spread extends Pick<VolumeDescription, "coding" | "registerMode"> {
  readonly backends: readonly Lying[]
}

/** How a grid lies over its servers. */
export function spreadOf(grid: GridDescription, voters: readonly string[] = votersOf(grid)): Spread {
  const { coding, registerMode, servers } = grid
  const known = servers.map(({ id, labels, witness }) => ({ id, labels, witness, votes: voters.includes(id) }))
  const gone = voters.filter((id) => !servers.some((server) => server.id === id))
  return {
    coding,
    registerMode,
    backends: [...known, ...gone.map((id) => ({ id, witness: true, gone: true }) as const)],
  }
}

function votersIn({ backends }: Spread): number {
  return backends.filter(({ votes = true }) => votes).length
}

/** What a grid survives beyond what it has lost already: its servers of shares may be fewer than n, and some of its voters gone. */
export function survivalIn(spread: Spread): Survival {
  const { coding, registerMode, backends } = spread
  const { k, happy, n } = coding
  const holders = backends.filter(({ witness }) => !witness).length
  const answering = backends.filter(({ votes = true, gone = false }) => votes && !gone).length
  const lost = Math.max(0, Math.min(Math.min(n, holders) - k, answering - quorumOf(votersIn(spread), registerMode)))
  return { lost, lying: registerMode === "byzantine" ? Math.min(lost, happy - k) : 0 }
}

/** What the loss of each domain leaves, by the labels of places; none without labels. */
export function domainSurvivalOf(spread: Spread): DomainSurvival[] {
  const { coding, registerMode, backends } = spread
  const lies = backends.map(({ labels, id, witness, votes = true, gone = false }) => ({
    path: [...domainsOf(labels), `place ${id}`],
    ...{ answers: votes && !gone, witness: witness === true },
  }))
  const holders = lies.filter(({ witness }) => !witness).map(({ path }) => path)
  const shares = Math.min(coding.n, holders.length) // a grid may have fewer servers yet than its coding has shares
  const names = new Set(backends.flatMap(({ labels }) => domainsOf(labels)))
  const needed = quorumOf(votersIn(spread), registerMode)
  return [...names].sort().map((domain) => {
    const votersLeft = lies.filter(({ path, answers }) => answers && !path.includes(domain)).length
    const sharesLeft = shares - mostSharesIn(domain, holders, shares)
    return { domain, sharesLeft, votersLeft, survives: sharesLeft >= coding.k && votersLeft >= needed }
  })
}

/** Most of `shares` that placement puts into a domain, of places that lie so: level by level, by the turns of `overDomains`. */
function mostSharesIn(domain: string, lies: readonly (readonly string[])[], shares: number): number {
  if (!lies.some((path) => path.includes(domain))) return 0
  let [most, within] = [shares, lies]
  for (let level = 0; ; level++) {
    const sizes = new Map<string, number>()
    for (const path of within) sizes.set(path[level]!, (sizes.get(path[level]!) ?? 0) + 1)
    const around = within.find((path) => path.includes(domain))![level]!
    most = mostOf(sizes.get(around)!, [...sizes.values()], most)
    if (around === domain) return most
    within = within.filter((path) => path[level] === around)
  }
}

/** Most of `shares` for a group of `size` places: full turns of all groups, and one of the turn that is not full. */
function mostOf(size: number, sizes: readonly number[], shares: number): number {
  const within = (turns: number) => sizes.reduce((sum, one) => sum + Math.min(one, turns), 0)
  let turns = 0
  while (turns < shares && within(turns + 1) <= shares) turns++
  return Math.min(size, turns + (within(turns) < shares ? 1 : 0))
}

/** Lines for what the loss of domains leaves: those that are survived in one, each of the others with its reason. */
export function domainText(domains: readonly DomainSurvival[], spread: Spread): string[] {
  const { k } = spread.coding
  const survived = domains.filter(({ survives }) => survives).map(({ domain }) => domain)
  const needed = quorumOf(votersIn(spread), spread.registerMode)
  const lines = survived.length > 0 ? [`survives all of any one of these lost: ${survived.join(", ")}`] : []
  for (const { domain, sharesLeft, votersLeft, survives } of domains) {
    if (survives) continue
    const whys = [
      ...(sharesLeft < k ? [`${sharesLeft} of the ${k} shares needed could be left`] : []),
      ...(votersLeft < needed ? [`${votersLeft} of the ${needed} places needed for roots of trees would be left`] : []),
    ]
    lines.push(`does NOT survive the loss of ${domain}: ${whys.join("; ")}`)
  }
  return lines
}
