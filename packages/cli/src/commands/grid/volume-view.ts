/** How `holdfast volume` finds volumes and places, and shows them. */

import type { Profile } from "@holdfast/client/profile"
import {
  describePlace,
  domainSurvivalOf,
  domainText,
  gridName,
  spreadOf,
  survivalIn,
  survivalOf,
  survivalText,
} from "@holdfast/client/volumes"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { loadGrid, loadPins } from "@holdfast/network"
import { type VolumeBackend, type VolumeDescription, votersOf } from "@holdfast/protocol"

/** A volume and its places. */
export function describe(volume: VolumeDescription): string[] {
  return [...summary(volume), ...volume.backends.map((place) => `  ${describePlace(place)}`)]
}

/** How a volume spreads data, and what it survives. */
export function summary(volume: VolumeDescription): string[] {
  const { name, coding, registerMode } = volume
  const { survives, domains } = survivalsOf(volume)
  return [
    `Volume ${name}: coding ${coding.k}/${coding.happy}/${coding.n}, ${registerMode}, ${survivalText(survives)}`,
    ...domainText(domains, volume).map((line) => `  ${line}`),
  ]
}

/** The same of the grid that the profile joined, as it was last described, and the value of its row in a list. */
export async function gridRow({ identityDir }: Profile): Promise<{ readonly row: object; readonly lines: string[] }> {
  const what = `${gridName}: the grid that this profile joined`
  try {
    const [grid, pins] = await Promise.all([loadGrid(identityDir), loadPins(identityDir)])
    const { coding, registerMode, servers } = grid
    const spread = spreadOf(grid, pins.voters ?? votersOf(grid))
    const domains = domainSurvivalOf(spread)
    const survives = survivalText(survivalIn(spread))
    return {
      row: { name: gridName, coding, registerMode, places: servers.length, domains },
      lines: [
        `${what}, coding ${coding.k}/${coding.happy}/${coding.n}, ${registerMode}, ${survives}`,
        ...domainText(domains, spread).map((line) => `  ${line}`),
      ],
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return { row: { name: gridName }, lines: [what, `  ${error.message}`] } // the other volumes are there still
  }
}

/** What it survives, as in JSON. */
export function survivalsOf(volume: VolumeDescription) {
  return { survives: survivalOf(volume, volume.backends.length), domains: domainSurvivalOf(volume) }
}

/** A volume of the profile. Throws ERR_NOT_FOUND. */
export function find(profile: Profile, name: string): VolumeDescription {
  const volume = profile.volumes.get(name)
  if (volume) return volume
  const known = [...profile.volumes.keys()].join(", ") || "none yet"
  throw new HoldfastError(
    "ERR_NOT_FOUND",
    name === gridName
      ? `"${gridName}" is the grid that the profile joined: its coordinator keeps its servers. "holdfast status" shows them.`
      : `There is no volume "${name}". There are: ${known}.`,
  )
}

/** A place by its id, a node also by its name. Throws ERR_NOT_FOUND. */
export function findPlace({ name, backends }: VolumeDescription, id: string): VolumeBackend {
  const found = backends.find(
    (place) => place.id === id || (place.kind === "node" && (place.name === id || `node:${place.name}` === id)),
  )
  if (found) return found
  throw new HoldfastError(
    "ERR_NOT_FOUND",
    `${name} has no place "${id}". It has: ${backends.map((place) => place.id).join(", ")}.`,
  )
}

/** What makes a change of places good for what is stored already. */
export function rebalanceHint(profile: Profile, name: string, command = "rebalance"): string {
  const aliases = [...profile.aliases.keys()].filter((alias) => profile.volumeOf(alias) === name)
  return aliases.map((alias) => `holdfast ${command} ${alias}:`).join("; ")
}
