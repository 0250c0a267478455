/**
 * How far a client trusts each server of its grid: those that the user confirmed take shares by their capacity; of others
 * only so many, and with no more than the usual weight, as the coding survives when they were invented; the rest are read.
 */
import { ownValue } from "@holdfast/core"
import { type GridDescription, type GridServer, holdersOf, votersOf } from "@holdfast/protocol"
import { trialCount } from "./judge.ts"
import type { Pins } from "./pins.ts"

/** What a server may do for this client. */
export interface Standing {
  readonly server: GridServer
  /** Waiting servers are read and take nothing. */
  readonly trust: "confirmed" | "trial" | "waiting"
  /** For placement, at least 1. */
  readonly weight: number
  /** Keeps shares; a witness does not. */
  readonly holds: boolean
  /** Keeps registers. */
  readonly votes: boolean
  /** The key that its certificate must have; undefined while it is not known. */
  readonly key: string | undefined
}

/** The servers of a grid as these pins let them be used. */
export function standingsOf(grid: GridDescription, pins: Pins): Standing[] {
  const voters = new Set(pins.voters ?? votersOf(grid))
  const isConfirmed = ({ id }: GridServer) => pins.voters === null || Object.hasOwn(pins.servers, id)
  const weightOf = ({ capacityBytes }: GridServer) => Math.max(1, capacityBytes)
  const most = median(holdersOf(grid).filter(isConfirmed).map(weightOf))
  let trials = trialCount(grid, voters.size)
  return grid.servers.map((server) => {
    const common = {
      server,
      holds: !server.witness,
      votes: voters.has(server.id),
      key: ownValue(pins.servers, server.id) ?? server.key ?? undefined,
    }
    if (isConfirmed(server)) return { ...common, trust: "confirmed", weight: weightOf(server) }
    if (common.holds && trials-- > 0) return { ...common, trust: "trial", weight: Math.min(most, weightOf(server)) }
    return { ...common, trust: "waiting", weight: 1 }
  })
}

/** Ids of servers that keep registers and are no members any more: each counts as one that is gone. */
export function absentVoters(grid: GridDescription, pins: Pins): string[] {
  const there = new Set(grid.servers.map(({ id }) => id))
  return (pins.voters ?? []).filter((id) => !there.has(id))
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 1
}
