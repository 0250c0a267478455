/** From an opened recovery kit to a profile on this machine. */
import { HoldfastError, ownValue, toHex } from "@holdfast/core"
import {
  parseVolume,
  type RecoverySecrets,
  type VolumeBackend,
  type VolumeDescription,
  volumeOfKey,
} from "@holdfast/protocol"
import type { FoundPart, OpenedKit } from "../kits/kit.ts"
import { type Paths, profileDir } from "../profile/paths.ts"
import {
  type AskPassphrase,
  changing,
  hasSecrets,
  type OpenedSecrets,
  readSecrets,
  type Secrets,
  writeSecrets,
} from "../profile/secrets.ts"

/** Where the secrets go. */
export interface RestoreTarget {
  readonly paths: Paths
  readonly profile: string
  /** Asked when the profile exists and is locked. */
  readonly ask: AskPassphrase
  /** Replaces aliases and volumes of the profile that have the same names. */
  readonly overwrite: boolean
}

/** Puts the secrets into a profile, which is made when there is none. Throws ERR_ALREADY_EXISTS, and then changes nothing. */
export async function restoreProfile(secrets: RecoverySecrets, target: RestoreTarget): Promise<void> {
  const { paths, profile, ask, overwrite } = target
  const dir = profileDir(paths, profile)
  // Before the change, so that nobody waits for the one who types.
  const before = hasSecrets(dir) ? await readSecrets(dir, ask) : undefined
  await changing(dir, async () => {
    const current: OpenedSecrets = hasSecrets(dir)
      ? await readSecrets(dir, ask, before?.lock?.key)
      : { secrets: { version: 1, convergenceSecret: "", aliases: {} } }
    if (!overwrite) refuseConflicts(profile, current.secrets, secrets)
    await writeSecrets(dir, { ...current, secrets: merged(current.secrets, secrets) })
  })
}

/** A kit's secrets, with its volume as this machine is to see it. */
export interface Relocated {
  readonly secrets: RecoverySecrets
  /** The volume that the kit lies on, unless that is the grid. */
  readonly volume?: VolumeDescription
  /** Ids of its places that the user did not name. */
  readonly unnamed: readonly string[]
}

/**
 * The kit's volume with its places where the user named them. A place is known by its id, or by the part that it holds: a
 * disk may be mounted elsewhere now. Of two that show one part neither is believed. With `onlyNamed` the others are given up.
 * Throws ERR_INVALID_ARGUMENT when too few are left.
 */
export function relocated(
  kit: OpenedKit,
  { named, found, onlyNamed }: { named: readonly VolumeBackend[]; found: readonly FoundPart[]; onlyNamed: boolean },
): Relocated {
  const { volumes, volume: name } = kit.secrets
  const known = volumes.find((volume) => volume.name === name)
  if (!known) {
    if (!onlyNamed) return { secrets: kit.secrets, unnamed: [] }
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `The kit lies on ${name}: --only-named is for volumes of one's own.`,
    )
  }
  const now = whereNow(kit, named, found)
  const unnamed = known.backends.map(({ id }) => id).filter((id) => !now.has(id))
  const backends = known.backends.map((place) => movedPlace(place, now.get(place.id)))
  const volume = onlyNamed
    ? shrunk(
        known,
        backends.filter(({ id }) => now.has(id)),
      )
    : { ...known, backends }
  const others = volumes.map((one) => (one === known ? volume : one))
  return { secrets: { ...kit.secrets, volumes: others }, volume, unnamed }
}

/** The places that the user named by the ids that they have in the kit. */
function whereNow(
  { id: kitId, secrets: { places } }: OpenedKit,
  named: readonly VolumeBackend[],
  found: readonly FoundPart[],
): Map<string, VolumeBackend> {
  const now = new Map(named.filter(({ id }) => places.includes(id)).map((where) => [where.id, where]))
  const moved = named.filter(({ id }) => !places.includes(id))
  for (const [index, id] of places.entries()) {
    const claims = found.filter(({ part }) => toHex(part.kitId) === kitId && part.index === index)
    const where = claims.length === 1 ? moved.find((place) => place.id === claims[0]!.place) : undefined
    if (where && !now.has(id)) now.set(id, where)
  }
  return now
}

/** The volume on fewer places: each holds what it holds, and the coding of what is stored from now on fits them. */
function shrunk(volume: VolumeDescription, backends: readonly VolumeBackend[]): VolumeDescription {
  const { k, happy, n } = volume.coding
  const left = backends.filter(({ witness }) => !witness).length
  if (left < k)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `What ${volume.name} holds needs ${k} of its places, and you named ${left}.`,
      { needed: k, named: left },
    )
  const registerMode = backends.length >= 4 ? volume.registerMode : "crash"
  return parseVolume({
    ...volume,
    ...{ backends, registerMode, coding: { k, happy: Math.min(happy, left), n: Math.min(n, left) } },
  })
}

function movedPlace(place: VolumeBackend, now: VolumeBackend | undefined): VolumeBackend {
  if (!now) return place
  const same = {
    id: place.id,
    ...(place.labels && { labels: place.labels }),
    ...(place.witness && { witness: true as const }),
  }
  if (place.kind === "s3" && now.kind === "s3") return { ...now, ...same, conditionalWrites: place.conditionalWrites }
  return place.kind === "directory" && now.kind === "directory" ? { ...now, ...same } : place
}

function refuseConflicts(profile: string, current: Secrets, restored: RecoverySecrets): void {
  const aliases = [...restored.aliases].filter(([alias, cap]) => (ownValue(current.aliases, alias) ?? cap) !== cap)
  const volumes = restored.volumes.filter(({ name, id }) => {
    const known = ownValue(current.volumes, name) as Partial<VolumeDescription> | undefined
    return known !== undefined && known.id !== id
  })
  const names = [
    ...aliases.map(([alias]) => `${alias}:`),
    ...volumes.map(({ name }) => name),
    ...otherAccount(current, restored),
  ]
  if (names.length === 0) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `The profile "${profile}" has these already, and they are others: ${names.join(", ")}. Restore into a new profile with --profile NEW, or replace them with --overwrite.`,
    { names },
  )
}

/** A profile that was only just made has a seed of its own, and nothing that needs it. */
function otherAccount(current: Secrets, restored: RecoverySecrets): string[] {
  if (Object.keys(current.aliases).length === 0) return []
  return [...restored.others].flatMap(([name, value]) =>
    Object.hasOwn(current, name) && current[name] !== toHex(value) ? [`the profile's ${name}`] : [],
  )
}

function merged(current: Secrets, restored: RecoverySecrets): Secrets {
  const others = [...restored.others].filter(([name]) => volumeOfKey(name) === undefined)
  const volumeKeys = [...restored.others].flatMap(([name, value]) => {
    const id = volumeOfKey(name)
    return id === undefined ? [] : [[id, toHex(value)] as const]
  })
  const kits = [...restored.kits].map(([key, master]) => [key, { places: [], erase: [], master: toHex(master) }])
  return {
    ...current,
    ...Object.fromEntries(others.map(([name, value]) => [name, toHex(value)])),
    volumeKeys: { ...current.volumeKeys, ...Object.fromEntries(volumeKeys) },
    convergenceSecret: Buffer.from(restored.convergenceSecret).toString("hex"),
    aliases: { ...current.aliases, ...Object.fromEntries(restored.aliases) },
    volumes: { ...current.volumes, ...Object.fromEntries(restored.volumes.map((volume) => [volume.name, volume])) },
    aliasVolumes: {
      ...withoutKeys(current.aliasVolumes, restored.aliases),
      ...Object.fromEntries(restored.aliasVolumes),
    },
    aliasStates: {
      ...withoutKeys(current.aliasStates, restored.aliases),
      ...Object.fromEntries(
        restored.localAliases.filter((name) => restored.aliases.has(name)).map((name) => [name, "local" as const]),
      ),
    },
    recoveryKits: { ...Object.fromEntries(kits), ...current.recoveryKits },
  }
}

/** A restored alias may be in the grid now, and the account's own: then nothing is said of it. */
function withoutKeys<T>(
  record: Readonly<Record<string, T>> | undefined,
  keys: ReadonlyMap<string, unknown>,
): Record<string, T> {
  return Object.fromEntries(Object.entries(record ?? {}).filter(([key]) => !keys.has(key)))
}
