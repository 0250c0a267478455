/** Witnesses of a volume as they are typed, offered and refused. A witness keeps roots of trees and never shares. */
import type { Profile } from "@holdfast/client/profile"
import { parsePlaces, type Spread, survivalOf, uselessWitnesses, witnessesOf } from "@holdfast/client/volumes"
import { HoldfastError, shownLine } from "@holdfast/core"
import type { VolumeBackend, VolumeDescription } from "@holdfast/protocol"
import type { Context } from "../../context.ts"

/** Places as typed. */
export interface PlaceTexts {
  readonly backend: readonly string[]
  readonly witness?: readonly string[] | undefined
}

/** These places, the witnesses last. Throws as `parsePlaces` does. */
export async function placesFor(
  { warn }: Pick<Context, "warn">,
  profile: Profile,
  { backend, witness = [] }: PlaceTexts,
): Promise<VolumeBackend[]> {
  const options = { onNote: warn }
  return [
    ...(await parsePlaces(profile, backend, options)),
    ...witnessesOf(await parsePlaces(profile, witness, { ...options, asWitnesses: true })),
  ]
}

/** How many of these keep shares. */
export function holdersIn(backends: Spread["backends"]): number {
  return backends.filter(({ witness }) => !witness).length
}

type Shape = Pick<VolumeDescription, "coding" | "registerMode" | "backends">

/** Throws ERR_INVALID_ARGUMENT when a witness adds nothing to what the volume survives. */
export function refuseUseless(volume: Shape): void {
  const [useless] = uselessWitnesses(volume)
  if (!useless) return
  const { k, n } = volume.coding
  const { lost } = survivalOf(volume, volume.backends.length)
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    k === n
      ? `${useless.id} as a witness would help nothing: with K = N = ${n} each place with shares is needed to read. Take a coding with K below N, such as 1/1/2.`
      : `${useless.id} as a witness would help nothing: with it and without it ${lost} of the places may be lost. A witness helps two places with the coding 1/1/2 or 1/2/2, three in byzantine mode, four in crash mode with N at least 2 above K.`,
  )
}

/** A line for witnesses that add nothing any more. */
export function uselessNotes(volume: Shape): string[] {
  return uselessWitnesses(volume).map(
    ({ id }) => `The witness ${id} adds nothing to what it survives now, and may be taken out.`,
  )
}

/** True when what has no witness survives no lost place, and would survive one with a witness. */
export function lacksWitness(volume: Spread): boolean {
  const places = volume.backends.length
  return (
    holdersIn(volume.backends) === places &&
    survivalOf(volume, places).lost === 0 &&
    survivalOf(volume, places + 1).lost > 0
  )
}

/** Why two places, or nodes, are too few. */
export function lackReason(what: "places" | "nodes"): string[] {
  const third = what === "places" ? "place" : "node"
  const where = what === "places" ? ": a node, a bucket, a directory on another disk" : ", on any small machine"
  return [
    `With two ${what} nothing can be read or written while one of them is away: roots of trees are kept by majority, and one of two is none.`,
    `A witness mends that: a small third ${third} that keeps roots of trees only, some kilobytes, and never data${where}.`,
    "With it either of the two may be lost.",
  ]
}

/** What is said of a grid that lacks one: one of two nodes. */
export function gridLackNotes(grid: Spread): string[] {
  if (grid.backends.length !== 2 || !lacksWitness(grid)) return []
  return [
    "It does NOT survive the loss of either node, nor works while one is away.",
    "A witness mends that; its operator invites one: holdfast invite --role node --witness",
  ]
}

/** What is said of a volume that lacks one. */
export function lackNotes(volume: Shape & Pick<VolumeDescription, "name">): string[] {
  if (!lacksWitness(volume)) return []
  return [
    "It does NOT survive the loss of either place, nor works while one is away.",
    ...lackReason("places"),
    `Add one: holdfast volume add-backend ${volume.name} --witness PLACE`,
  ]
}

/** What a volume over two places without a witness lacks, and the command that mends it; undefined for any other. */
export function twoPlacesHint({
  name,
  version,
  coding: { k, n },
  backends,
}: VolumeDescription): { readonly message: string; readonly mend: string } | undefined {
  if (backends.length !== 2 || holdersIn(backends) !== 2) return undefined
  // A description of version 1 has no room for witnesses; any third place is one more vote too.
  const [what, place] = version === 1 ? ["third place", "PLACE"] : ["witness", "--witness PLACE"]
  const add = `holdfast volume add-backend ${name} ${place}`
  return {
    message: `one place lost stops reading and writing: roots of trees are kept by majority, and one of two is none`,
    mend:
      k < n
        ? `A ${what} mends that: ${add}`
        : `A ${what} mends that, with a coding whose shares are not all needed, for what is stored from then on: ${add} --coding 1/1/2`,
  }
}

/** Explains and asks for a witness where somebody can be asked; undefined when nobody can, or the user wants none. */
export async function askWitness({
  stdin,
  stderr,
  json,
  tell,
}: Pick<Context, "stdin" | "stderr" | "json" | "tell">): Promise<string | undefined> {
  if (!stdin.isTTY || json) return undefined
  tell(lackReason("places"))
  const { createInterface } = await import("node:readline/promises")
  const prompt = createInterface({ input: stdin, output: stderr })
  const question = "Place of the witness (dir:PATH, node:NAME, s3://...; nothing for none): "
  const answer = await prompt.question(shownLine(question)).finally(() => prompt.close())
  return answer.trim() || undefined
}
