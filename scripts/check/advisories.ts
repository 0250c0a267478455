/**
 * Known faults of the packages that we use, held against the lock file without a network: `scripts/advisories.json` has what was
 * published about them when somebody last asked, in the words of OSV (https://ossf.github.io/osv-schema/).
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import semver from "semver"
import type { Violation } from "./source.ts"

/** What is known of one fault. */
export interface Advisory {
  readonly id: string
  readonly summary: string
  readonly affected: readonly Affected[]
}

/** Versions of a package that have the fault: in ranges, or one by one, as malicious ones are told. */
export interface Affected {
  readonly name: string
  readonly ranges: readonly (readonly RangeEvent[])[]
  readonly versions?: readonly string[]
}

/** Where a range of versions begins or ends. */
export interface RangeEvent {
  readonly introduced?: string
  readonly fixed?: string
  readonly last_affected?: string
}

/** The committed file. */
export interface Advisories {
  /** The day when the source was asked last. */
  readonly asked: string
  readonly source: string
  /** Names of the packages that it was asked about. */
  readonly packages: readonly string[]
  readonly advisories: readonly Advisory[]
  /** Faults that cannot be met in our use of the package, and why. */
  readonly accepted: readonly { readonly id: string; readonly why: string }[]
}

/** Packages of the lock file that an advisory names and nobody has accepted; accepted ones that no package needs any more. */
export function checkAdvisories(root: string): Violation[] {
  const where = "package-lock.json"
  const { advisories, accepted } = readAdvisories(root)
  const found = lockedPackages(root).flatMap(({ name, version }) =>
    advisories
      .filter((advisory) => isAffected(advisory, name, version))
      .map(({ id, summary }) => ({ id, summary, name, version })),
  )
  const open = found.filter(({ id }) => !accepted.some((one) => one.id === id))
  const idle = accepted.filter(({ id }) => !found.some((one) => one.id === id))
  return [
    ...open.map(({ id, summary, name, version }) => ({
      where,
      rule: "advisory",
      message: `${name} ${version}: ${summary} (${id})`,
    })),
    ...idle.map(({ id }) => ({
      where: "scripts/advisories.json",
      rule: "advisory",
      message: `${id} is accepted and met by no package`,
    })),
  ]
}

const dayMs = 86_400_000
/** After so many days it is time to ask again. */
const freshDays = 60

/** How old what is known is, and of how many packages it is. */
export function ageOfAdvisories(root: string, nowMs: number): string {
  const { asked, packages, advisories } = readAdvisories(root)
  const names = new Set(lockedPackages(root).map(({ name }) => name))
  const known = packages.filter((name) => names.has(name)).length
  const days = Math.floor((nowMs - Date.parse(asked)) / dayMs)
  const isOld = !(days <= freshDays) || known < names.size
  return (
    `${advisories.length} advisories, asked for on ${asked} (${days} days ago) about ${known} of ${names.size} packages` +
    (isOld ? ": to ask again, npm run advisories" : "")
  )
}

function readAdvisories(root: string): Advisories {
  return JSON.parse(readFileSync(join(root, "scripts/advisories.json"), "utf8"))
}

/** Every package of the lock file with its version. */
export function lockedPackages(root: string): { name: string; version: string }[] {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version?: string; name?: string }>
  }
  return Object.entries(lock.packages).flatMap(([path, { version, name }]) => {
    const at = path.lastIndexOf("node_modules/")
    return at < 0 || version === undefined ? [] : [{ name: name ?? path.slice(at + 13), version }]
  })
}

function isAffected({ affected }: Advisory, name: string, version: string): boolean {
  return affected.some(
    (one) =>
      one.name === name &&
      ((one.versions ?? []).includes(version) || one.ranges.some((events) => isWithin(events, version))),
  )
}

/** By the rule of OSV: events in order of their versions; the last one at or before the version decides. */
function isWithin(events: readonly RangeEvent[], version: string): boolean {
  const ordered = events
    .map((event) => ({ ...event, at: event.introduced ?? event.fixed ?? event.last_affected ?? "0" }))
    .map((event) => ({ ...event, at: event.at === "0" ? "0.0.0-0" : event.at }))
    .sort((a, b) => semver.compare(a.at, b.at))
  let affected = false
  for (const { introduced, fixed, at } of ordered)
    if (introduced !== undefined) affected ||= semver.gte(version, at)
    else if (fixed !== undefined ? semver.gte(version, at) : semver.gt(version, at)) affected = false
  return affected
}
