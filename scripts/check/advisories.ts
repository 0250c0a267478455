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
  readonly affected: readonly { readonly name: string; readonly ranges: readonly (readonly RangeEvent[])[] }[]
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
  readonly advisories: readonly Advisory[]
  /** Faults that cannot be met in our use of the package, and why. */
  readonly accepted: readonly { readonly id: string; readonly why: string }[]
}

/** Packages of the lock file that an advisory names and nobody has accepted; accepted ones that no package needs any more. */
export function checkAdvisories(root: string): Violation[] {
  const where = "package-lock.json"
  const { advisories, accepted }: Advisories = JSON.parse(readFileSync(join(root, "scripts/advisories.json"), "utf8"))
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
  return affected.some((one) => one.name === name && one.ranges.some((events) => isWithin(events, version)))
}

/** By the rule of OSV: after the last event at or before the version, it is affected when that was an introduction. */
function isWithin(events: readonly RangeEvent[], version: string): boolean {
  const isAtLeast = (bound: string) => bound === "0" || semver.gte(version, bound)
  const introduced = events.some((event) => event.introduced !== undefined && isAtLeast(event.introduced))
  const fixed = events.some((event) => event.fixed !== undefined && isAtLeast(event.fixed))
  const passed = events.some((event) => event.last_affected !== undefined && semver.gt(version, event.last_affected))
  return introduced && !fixed && !passed
}
