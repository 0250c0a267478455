/** `holdfast volume create`: a volume over places of one's own, and a tree in it. */
import { randomBytes } from "node:crypto"
import { createAliasTree } from "@holdfast/client/account"
import { createProfile, type Profile, pathsOf } from "@holdfast/client/profile"
import { claimPlaces, firstKey, gridName, openVolumeSession } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import { parseVolume, type VolumeBackend, type VolumeDescription, volumeVersionOf } from "@holdfast/protocol"
import type { Context } from "../../context.ts"
import { type Degraded, degradedOf, degradedText } from "../../degraded.ts"
import { parseCoding } from "../../local-grid/config.ts"
import { describe, survivalsOf } from "./volume-view.ts"
import { askWitness, holdersIn, lackNotes, lacksWitness, placesFor, refuseUseless } from "./volume-witness.ts"

/** What is typed. */
export interface CreateFlags {
  readonly backend: readonly string[]
  readonly witness?: readonly string[]
  readonly coding: string
  readonly mode?: string
}

/** Makes it. Throws ERR_ALREADY_EXISTS, ERR_INVALID_ARGUMENT. */
export async function create(context: Context, name: string, flags: CreateFlags): Promise<void> {
  await createProfile(pathsOf(context.env), context.profile)
  const profile = await context.openProfile()
  refuseTaken(profile, name)
  if (profile.aliases.has(name))
    throw new HoldfastError("ERR_ALREADY_EXISTS", `The alias "${name}" exists already. Choose another name.`)
  const seed = new Uint8Array(randomBytes(32))
  const volume = await plan(context, profile, { ...flags, ...(await firstKey(seed)), name })
  await claimPlaces(volume.backends, volume.id)
  const session = await openVolumeSession(profile, volume, {})
  let degraded: Degraded | undefined
  try {
    await profile.setVolumeKey(volume.id, seed)
    await profile.setVolume(volume)
    await createAliasTree(session, name).catch(async (error: unknown) => {
      await profile.removeVolume(name)
      throw error
    })
    degraded = await degradedOf([session])
  } finally {
    await session.close()
  }
  if (degraded) context.warn(degradedText(degraded))
  context.output(
    { ...volume, ...survivalsOf(volume), lacksWitness: lacksWitness(volume), degraded: degraded ?? null },
    [`${name}: is a new, empty tree.`, ...describe(volume), ...lackNotes(volume)],
  )
}

/** The volume as it was typed; with a witness that the user names when asked for one. */
async function plan(
  context: Context,
  profile: Profile,
  {
    backend,
    witness = [],
    coding,
    mode,
    ...fields
  }: CreateFlags & { readonly name: string } & Awaited<ReturnType<typeof firstKey>>,
): Promise<VolumeDescription> {
  const id = randomBytes(16).toString("hex")
  const over = (backends: readonly VolumeBackend[]) => {
    refuseUsed(profile, backends)
    const volume = usageErrors(() =>
      parseVolume({
        ...{ ...fields, id, backends, version: volumeVersionOf(backends) },
        coding: parseCoding(coding, holdersIn(backends)),
        registerMode: mode ?? (backends.length >= 4 ? "byzantine" : "crash"),
      }),
    )
    refuseUseless(volume)
    return volume
  }
  const volume = over(await placesFor(context, profile, { backend, witness }))
  const asked = lacksWitness(volume) ? await askWitness(context) : undefined
  if (asked === undefined) return volume
  return over([...volume.backends, ...(await placesFor(context, profile, { backend: [], witness: [asked] }))])
}

/** Throws ERR_ALREADY_EXISTS for the name of another volume. */
export function refuseTaken(profile: Profile, name: string): void {
  if (name !== gridName && !profile.volumes.has(name)) return
  throw new HoldfastError("ERR_ALREADY_EXISTS", `There is a volume "${name}" already. Choose another name.`)
}

/** A place in two volumes of one profile: the mark in it tells too, but this names the other volume. */
export function refuseUsed(profile: Profile, places: readonly VolumeBackend[]): void {
  for (const place of places)
    for (const { name, backends } of profile.volumes.values())
      if (place.kind !== "node" && backends.some(({ id }) => id === place.id))
        throw new HoldfastError("ERR_ALREADY_EXISTS", `${place.id} is part of the volume ${name} already.`)
}

/** What does not fit together was typed so. */
export function usageErrors<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "ERR_BAD_FORMAT")
      throw new HoldfastError("ERR_INVALID_ARGUMENT", error.message.replace("This description of a volume", "This"))
    throw error
  }
}
