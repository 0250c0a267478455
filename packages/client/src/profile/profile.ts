/** A profile: the identity of one client on one grid, its volumes, its aliases (which are secrets), what it has seen. */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { join } from "node:path"
import { deriveKey, fromHex, HoldfastError, ownValue, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { type Identity, loadIdentity } from "@holdfast/network"
import { checkOtherSecret, decodeCap, parseVolume, type VolumeDescription, volumeKeyName } from "@holdfast/protocol"
import { type Device, deviceName } from "@holdfast/store"
import { type Account, type AccountSecrets, hasAccount, openAccount } from "../account/account.ts"
import { type Paths, profileDir } from "./paths.ts"
import {
  type AskPassphrase,
  changing,
  hasSecrets,
  type OpenedSecrets,
  type RecoveryKitKeys,
  readSecrets,
  removeLeftovers,
  type Secrets,
  writeSecrets,
} from "./secrets.ts"
import { openSeen, type ProfileSeen } from "./seen.ts"
import { openUploads, type ProfileUploads } from "./uploads.ts"

/** Each tree has an owner's key of its own. */
const ownerLabel = "holdfast/tree-owner/1"

/** An opened profile. */
export interface Profile extends ProfileSeen, ProfileUploads {
  readonly name: string
  readonly dir: string
  /** Where the TLS identity and the cached grid lie. */
  readonly identityDir: string
  /**
   * Takes what other commands changed of the profile since it was opened. Throws as `openProfile` does, when it is gone, or locked
   * meanwhile and the passphrase is not given.
   */
  refresh(): Promise<void>
  /** The TLS identity, its key from where it is kept. */
  identity(): Promise<Identity>
  readonly convergenceSecret: Uint8Array
  /** Capabilities by alias. */
  readonly aliases: ReadonlyMap<string, string>
  /** The volume of an alias; undefined for the grid. */
  volumeOf(alias: string): string | undefined
  /** Whether an alias is in the account's list or of this profile alone; undefined when it is to be listed yet. */
  aliasState(alias: string): AliasState | undefined
  /** Names a capability of the grid, or of a volume. */
  setAlias(alias: string, cap: string, options?: AliasOptions): Promise<void>
  /** Forgets an alias; nothing happens when another command has done so meanwhile. */
  removeAlias(alias: string): Promise<void>
  /** The account that this device belongs to; made now if there is none. */
  account(): Promise<Account>
  /** Makes this a device of another account. Aliases that are listed in the old one are to be listed in the new one. */
  useAccount(account: AccountSecrets & SharedSecrets): Promise<void>
  /** The account's seed in hexadecimal; undefined on an append-only device, and before there is an account. */
  accountSeed(): string | undefined
  /** Volumes beside the grid, by name. */
  readonly volumes: ReadonlyMap<string, VolumeDescription>
  /** Adds a volume or replaces the one with its name. Throws ERR_ALREADY_EXISTS when another has its id. */
  setVolume(volume: VolumeDescription): Promise<void>
  removeVolume(name: string): Promise<void>
  /** What opens, makes anew and erases the recovery kits of this profile, by `VOLUME/NAME`. */
  readonly recoveryKits: ReadonlyMap<string, RecoveryKitKeys>
  setRecoveryKit(key: string, keys: RecoveryKitKeys): Promise<void>
  /** Further secrets that a recovery kit carries by their names alone, as the seed of the account. */
  readonly otherSecrets: ReadonlyMap<string, Uint8Array>
  /** The key that moves the volume with this id, if this profile made it. */
  volumeKey(id: string): Uint8Array | undefined
  setVolumeKey(id: string, seed: Uint8Array): Promise<void>
  /** All keys that move volumes, by the volumes' ids. */
  readonly volumeKeys: ReadonlyMap<string, Uint8Array>
  /** What signs versions that are written here. */
  device(): Promise<Device>
  /** Seed of the owner's key of a register that this profile makes; its id is in hexadecimal. */
  ownerSeed(register: string): Promise<Uint8Array>
}

/** Secrets that the full devices of an account share. */
export interface SharedSecrets {
  readonly convergenceSecret?: string
  readonly ownerSecret?: string
}

/** How an alias stands to the account. */
export type AliasState = "listed" | "local"

/** Where an alias lies. */
export interface AliasOptions {
  /** The volume; the grid when absent. */
  readonly volume?: string | undefined
  readonly state?: AliasState | undefined
}

/** Opens a profile; `ask` is called when it is locked. Throws ERR_NO_PROFILE, ERR_EXPOSED, ERR_WRONG_PASSPHRASE. */
export async function openProfile(paths: Paths, name: string, ask: AskPassphrase): Promise<Profile> {
  const dir = profileDir(paths, name)
  if (!hasSecrets(dir)) throw noProfile(name)
  let opened = await readSecrets(dir, ask)
  let changes = 0
  await removeLeftovers(dir)
  const change = (edit: (secrets: ChangingSecrets) => void) =>
    changing(dir, async () => {
      const current = await readSecrets(dir, ask, opened.lock?.key)
      const { aliases, volumes, aliasVolumes, aliasStates, recoveryKits, volumeKeys, ...rest } = current.secrets
      const secrets = {
        ...rest,
        ...{ aliases: { ...aliases }, volumes: { ...volumes }, aliasVolumes: { ...aliasVolumes } },
        recoveryKits: { ...recoveryKits },
        aliasStates: { ...aliasStates },
        volumeKeys: { ...volumeKeys },
      }
      edit(secrets)
      const next: OpenedSecrets = { ...current, secrets }
      await writeSecrets(dir, next)
      opened = next
      changes++
    })
  /** A key of this profile, made when it is first asked for. */
  const own = async <T>(which: "deviceSeed" | "ownerSecret", use: (key: Uint8Array) => Promise<T>): Promise<T> => {
    if (!opened.secrets[which])
      await change((secrets) => {
        secrets[which] ??= randomBytes(32).toString("hex")
      })
    return use(fromHex(opened.secrets[which]!))
  }
  const account = async () => {
    if (!hasAccount(opened.secrets))
      await change((secrets) => {
        if (!hasAccount(secrets)) secrets.accountSeed = newSecret()
      })
    return openAccount(opened.secrets)
  }
  const identityDir = join(dir, "identity")
  return {
    name,
    dir,
    identityDir,
    async refresh() {
      if (!hasSecrets(dir)) throw noProfile(name)
      const before = changes
      const read = await readSecrets(dir, ask, opened.lock?.key)
      if (changes === before) opened = read // a change meanwhile has read what others changed, and may be the newer one
    },
    identity: () => loadIdentity(identityDir, Date.now(), opened.lock?.keyPem),
    get convergenceSecret() {
      return Buffer.from(opened.secrets.convergenceSecret, "hex")
    },
    get aliases() {
      return new Map(Object.entries(opened.secrets.aliases))
    },
    volumeOf: (alias) => ownValue(opened.secrets.aliasVolumes, alias),
    aliasState: (alias) => ownValue(opened.secrets.aliasStates, alias),
    async setAlias(alias, cap, { volume, state } = {}) {
      checkAlias(alias)
      decodeCap(cap)
      await change(({ aliases, aliasVolumes, aliasStates }) => {
        aliases[alias] = cap
        if (volume === undefined) delete aliasVolumes[alias]
        else aliasVolumes[alias] = volume
        if (state === undefined) delete aliasStates[alias]
        else aliasStates[alias] = state
      })
    },
    removeAlias: (alias) =>
      change(({ aliases, aliasVolumes, aliasStates }) => {
        delete aliases[alias]
        delete aliasVolumes[alias]
        delete aliasStates[alias]
      }),
    account,
    accountSeed: () => opened.secrets.accountSeed,
    useAccount: (account) =>
      change((secrets) => {
        delete secrets.accountSeed
        delete secrets.accountDevice
        Object.assign(secrets, account)
        for (const [alias, state] of Object.entries(secrets.aliasStates))
          if (state === "listed") delete secrets.aliasStates[alias]
      }),
    get volumes() {
      return new Map(Object.entries(opened.secrets.volumes ?? {}).map(([name, value]) => [name, parseVolume(value)]))
    },
    setVolume: (volume) =>
      change(({ volumes }) => {
        refuseSecondName(volumes, volume)
        volumes[volume.name] = volume
      }),
    removeVolume: (name) =>
      change(({ volumes }) => {
        delete volumes[name]
      }),
    volumeKey(id) {
      const hex = ownValue(opened.secrets.volumeKeys, id)
      return hex === undefined ? undefined : fromHex(hex)
    },
    setVolumeKey: (id, seed) =>
      change(({ volumeKeys }) => {
        volumeKeys[id] = toHex(seed)
      }),
    get volumeKeys() {
      return new Map(Object.entries(opened.secrets.volumeKeys ?? {}).map(([id, hex]) => [id, fromHex(hex)]))
    },
    get recoveryKits() {
      return new Map(Object.entries(opened.secrets.recoveryKits ?? {}))
    },
    setRecoveryKit: (key, keys) =>
      change(({ recoveryKits }) => {
        recoveryKits[key] = keys
      }),
    get otherSecrets() {
      return otherSecretsOf(opened.secrets)
    },
    device: () => own("deviceSeed", async (seed) => deviceOf(seed, name, (await account()).id)),
    ownerSeed: (register) => own("ownerSecret", async (secret) => deriveKey(secret, ownerLabel, fromHex(register))),
    ...openSeen(join(paths.state, "seen"), name),
    ...openUploads(dir),
  }
}

/** The account's list on a volume is bound to the id: whoever describes a second volume by the id of one here could show its list there. */
function refuseSecondName(volumes: Readonly<Record<string, unknown>>, { name, id }: VolumeDescription): void {
  const other = Object.entries(volumes).find(
    ([known, value]) => known !== name && (value as { id?: unknown }).id === id,
  )
  if (!other) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `${name} has the id of the volume that this profile calls ${other[0]}. If it is the same, use that name, or forget it first: holdfast volume remove ${other[0]}`,
  )
}

/** The device that signs with `seed`, by the name of this machine and profile. */
async function deviceOf(seed: Uint8Array, profile: string, account: Uint8Array): Promise<Device> {
  return {
    device: await nodeCrypto.publicKeyOf(seed),
    account,
    name: deviceName(`${hostname()}/${profile}`),
    sign: (message) => nodeCrypto.sign(seed, message),
  }
}

interface ChangingSecrets extends AccountSecrets {
  deviceSeed?: string | undefined
  ownerSecret?: string | undefined
  readonly aliases: Record<string, string>
  readonly volumes: Record<string, unknown>
  readonly aliasVolumes: Record<string, string>
  readonly aliasStates: Record<string, AliasState>
  readonly volumeKeys: Record<string, string>
  readonly recoveryKits: Record<string, RecoveryKitKeys>
}

/** Those fields of the secrets that are bytes in hexadecimal under a name of their own. */
function otherSecretsOf(secrets: Secrets): ReadonlyMap<string, Uint8Array> {
  const { convergenceSecret: _, deviceSeed: __, volumeKeys = {}, ...others } = secrets // a device keeps its own key
  const keys = Object.entries(volumeKeys).map(([id, seed]) => [volumeKeyName(id), seed] as const)
  return new Map(
    [...Object.entries(others), ...keys].flatMap(([name, value]) => {
      if (typeof value !== "string" || !/^(?:[0-9a-f]{2})+$/.test(value)) return []
      const bytes = fromHex(value)
      return checkOtherSecret(name, bytes) ? [[name, bytes] as const] : []
    }),
  )
}

function newSecret(): string {
  return randomBytes(32).toString("hex")
}

/** Makes the secrets of a new profile, once its identity is there. Keeps those that exist. */
export async function createProfile(paths: Paths, name: string): Promise<void> {
  const dir = profileDir(paths, name)
  await changing(dir, async () => {
    if (hasSecrets(dir)) return
    const secrets = { version: 1 as const, convergenceSecret: newSecret(), aliases: {}, accountSeed: newSecret() }
    await writeSecrets(dir, { secrets })
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

/** Throws ERR_INVALID_ARGUMENT for what cannot be an alias; call it before anything is written for one. */
export function checkAlias(alias: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(alias) || alias === "hf")
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${alias}" cannot be an alias: use letters, digits, dots and dashes.`,
    )
}
