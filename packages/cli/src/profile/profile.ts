/** A profile: the identity of one client on one grid, its volumes, its aliases (which are secrets), what it has seen. */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { fromHex, HoldfastError, toHex } from "@holdfast/core"
import { type Identity, loadIdentity, writeSecretFile } from "@holdfast/network"
import { decodeCap, parseVolume, type VolumeDescription } from "@holdfast/protocol"
import { z } from "zod"
import { type Paths, profileDir } from "./paths.ts"
import {
  type AskPassphrase,
  changing,
  hasSecrets,
  type OpenedSecrets,
  readJson,
  readSecrets,
  removeLeftovers,
  writeSecrets,
} from "./secrets.ts"
import { openSeen, type ProfileSeen } from "./seen.ts"

/** An opened profile. */
export interface Profile extends ProfileSeen {
  readonly name: string
  readonly dir: string
  /** Where the TLS identity and the cached grid lie. */
  readonly identityDir: string
  /** The TLS identity, its key from where it is kept. */
  identity(): Promise<Identity>
  readonly convergenceSecret: Uint8Array
  /** Capabilities by alias. */
  readonly aliases: ReadonlyMap<string, string>
  /** The volume of an alias; undefined for the grid. */
  volumeOf(alias: string): string | undefined
  /** Names a capability of the grid, or of a volume. */
  setAlias(alias: string, cap: string, volume?: string): Promise<void>
  removeAlias(alias: string): Promise<void>
  /** Volumes beside the grid, by name. */
  readonly volumes: ReadonlyMap<string, VolumeDescription>
  /** Adds a volume or replaces the one with its name. */
  setVolume(volume: VolumeDescription): Promise<void>
  removeVolume(name: string): Promise<void>
  /** The key that moves the volume with this id, if this profile made it. */
  volumeKey(id: string): Uint8Array | undefined
  setVolumeKey(id: string, seed: Uint8Array): Promise<void>
}

/** Opens a profile; `ask` is called when it is locked. Throws ERR_NO_PROFILE, ERR_EXPOSED, ERR_WRONG_PASSPHRASE. */
export async function openProfile(paths: Paths, name: string, ask: AskPassphrase): Promise<Profile> {
  const dir = profileDir(paths, name)
  if (!hasSecrets(dir)) throw noProfile(name)
  let opened = await readSecrets(dir, ask)
  await removeLeftovers(dir)
  const change = (edit: (secrets: ChangingSecrets) => void) =>
    changing(dir, async () => {
      const current = await readSecrets(dir, ask, opened.lock?.key)
      const { aliases, volumes, aliasVolumes, volumeKeys, ...rest } = current.secrets
      const copies = { aliases: { ...aliases }, volumes: { ...volumes }, aliasVolumes: { ...aliasVolumes } }
      const secrets = { ...rest, ...copies, volumeKeys: { ...volumeKeys } }
      edit(secrets)
      const next: OpenedSecrets = { ...current, secrets }
      await writeSecrets(dir, next)
      opened = next
    })
  const identityDir = join(dir, "identity")
  return {
    name,
    dir,
    identityDir,
    identity: () => loadIdentity(identityDir, Date.now(), opened.lock?.keyPem),
    convergenceSecret: Buffer.from(opened.secrets.convergenceSecret, "hex"),
    get aliases() {
      return new Map(Object.entries(opened.secrets.aliases))
    },
    volumeOf: (alias) => opened.secrets.aliasVolumes?.[alias],
    async setAlias(alias, cap, volume) {
      checkAlias(alias)
      decodeCap(cap)
      await change(({ aliases, aliasVolumes }) => {
        aliases[alias] = cap
        if (volume === undefined) delete aliasVolumes[alias]
        else aliasVolumes[alias] = volume
      })
    },
    removeAlias: (alias) =>
      change(({ aliases, aliasVolumes }) => {
        if (!Object.hasOwn(aliases, alias)) throw unknownAlias(alias, Object.keys(aliases))
        delete aliases[alias]
        delete aliasVolumes[alias]
      }),
    get volumes() {
      return new Map(Object.entries(opened.secrets.volumes ?? {}).map(([name, value]) => [name, parseVolume(value)]))
    },
    setVolume: (volume) =>
      change(({ volumes }) => {
        volumes[volume.name] = volume
      }),
    removeVolume: (name) =>
      change(({ volumes }) => {
        delete volumes[name]
      }),
    volumeKey(id) {
      const hex = opened.secrets.volumeKeys?.[id]
      return hex === undefined ? undefined : fromHex(hex)
    },
    setVolumeKey: (id, seed) =>
      change(({ volumeKeys }) => {
        volumeKeys[id] = toHex(seed)
      }),
    ...(await openSeen(join(paths.state, "seen"), name)),
  }
}

interface ChangingSecrets {
  readonly aliases: Record<string, string>
  readonly volumes: Record<string, unknown>
  readonly aliasVolumes: Record<string, string>
  readonly volumeKeys: Record<string, string>
}

/** Makes the secrets of a new profile, once its identity is there. Keeps those that exist. */
export async function createProfile(paths: Paths, name: string): Promise<void> {
  const dir = profileDir(paths, name)
  await changing(dir, async () => {
    if (hasSecrets(dir)) return
    const convergenceSecret = randomBytes(32).toString("hex")
    await writeSecrets(dir, { secrets: { version: 1, convergenceSecret, aliases: {} } })
  })
}

/** The error for a profile that nobody made. */
export function noProfile(name: string): HoldfastError {
  return new HoldfastError(
    "ERR_NO_PROFILE",
    `There is no profile "${name}" yet. Start a local grid with \`holdfast up\`, join one with \`holdfast join\`, or make a volume of your own with \`holdfast volume create\`.`,
  )
}

/** The error for an alias that nobody made. */
export function unknownAlias(alias: string, known: readonly string[]): HoldfastError {
  const list = known.length > 0 ? ` Known aliases: ${[...known].sort().join(", ")}.` : ""
  return new HoldfastError(
    "ERR_UNKNOWN_ALIAS",
    `There is no alias "${alias}".${list} Add one with \`holdfast alias add\`.`,
  )
}

function checkAlias(alias: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(alias) || alias === "hf")
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${alias}" cannot be an alias: use letters, digits, dots and dashes.`,
    )
}
