/** Files that make a device one of an account: all of it, or a device that may only append. They are secrets. */
import { fromHex, HoldfastError, list, matching, record, toHex } from "@holdfast/core"
import { createSecretFile, nodeCrypto as crypto, refuseExposed } from "@holdfast/core/node"
import { deviceListSecret, parseVolume, signGrant, type VolumeDescription } from "@holdfast/protocol"
import * as v from "valibot"
import type { Profile } from "../profile/profile.ts"
import { deviceSchema, readJson } from "../profile/secrets.ts"
import { type Account, appendOnly, appendOnlyRoles } from "./account.ts"

const hex32 = matching(/^[0-9a-f]{64}$/)
const wholeSchema = v.strictObject({
  version: v.literal(1),
  kind: v.literal("holdfast account"),
  accountSeed: hex32,
  convergenceSecret: hex32,
  volumes: list(v.unknown(), 1000),
  /** Keys that move volumes, by the volumes' ids. */
  volumeKeys: v.optional(record(hex32, /^[0-9a-f]{32}$/)),
  /** From it the owner's keys of trees are derived. */
  ownerSecret: v.optional(hex32),
})
const appendSchema = v.strictObject({
  version: v.literal(1),
  kind: v.literal("holdfast append-only device"),
  device: deviceSchema,
  volumes: list(v.unknown(), 1000),
})

/** What `account export` writes: everything for a full device, but no identity on a grid and no keys of buckets. */
export async function exportAccount(profile: Profile, file: string): Promise<void> {
  const accountSeed = profile.accountSeed()
  if (accountSeed === undefined) throw appendOnly("give it to another device")
  const { convergenceSecret } = profile
  const volumes = [...profile.volumes.values()]
  const volumeKeys = Object.fromEntries([...profile.volumeKeys].map(([id, seed]) => [id, toHex(seed)]))
  const ownerSecret = profile.otherSecrets.get("ownerSecret")
  await writeNew(file, {
    ...{ version: 1, kind: "holdfast account", accountSeed },
    ...{ convergenceSecret: toHex(convergenceSecret), volumes, volumeKeys },
    ...(ownerSecret && { ownerSecret: toHex(ownerSecret) }),
  })
}

/** Writes the file for a device that may only append; gives its grant. */
export async function exportDevice(
  profile: Profile,
  { keys, publicKey }: Account,
  { file, deviceKey, name, epoch }: { file: string; deviceKey: Uint8Array; name: string; epoch: number },
): Promise<Uint8Array> {
  if (!keys) throw appendOnly("let other devices in")
  const grant = await signGrant(crypto, keys.collectSeed, { epoch, deviceKey, roles: appendOnlyRoles, name })
  const device = {
    publicKey: toHex(publicKey),
    listSecret: toHex(deviceListSecret(keys, deviceKey)),
    grant: toHex(grant),
  }
  await writeNew(file, {
    ...{ version: 1, kind: "holdfast append-only device", device },
    volumes: [...profile.volumes.values()],
  })
  return grant
}

/**
 * Makes the profile a device of the account in `file`, when `confirm` lets it take over the volumes there. Throws ERR_BAD_FORMAT,
 * ERR_ALREADY_EXISTS, ERR_EXPOSED.
 */
export async function useAccountFile(
  profile: Profile,
  file: string,
  confirm: (volumes: readonly VolumeDescription[]) => Promise<void>,
): Promise<"full" | "append-only"> {
  await refuseExposed([file])
  const given = await readJson(file, v.union([wholeSchema, appendSchema]))
  const volumes = given.volumes.map(parseVolume)
  const other = volumes.find(({ name, id }) => (profile.volumes.get(name)?.id ?? id) !== id)
  if (other)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `This profile has another volume called ${other.name}. Use the account in a new profile: --profile NAME.`,
    )
  await confirm(volumes.filter(({ name }) => !profile.volumes.has(name)))
  if (given.kind === "holdfast account") {
    const { accountSeed, convergenceSecret, ownerSecret, volumeKeys = {} } = given
    const isFirst = !profile.otherSecrets.has("ownerSecret") // its own trees need the one that it has
    await profile.useAccount({ accountSeed, convergenceSecret, ...(isFirst && ownerSecret && { ownerSecret }) })
    for (const [id, seed] of Object.entries(volumeKeys))
      if (!profile.volumeKey(id)) await profile.setVolumeKey(id, fromHex(seed))
  } else await profile.useAccount({ accountDevice: given.device })
  for (const volume of volumes) if (!profile.volumes.has(volume.name)) await profile.setVolume(volume)
  return given.kind === "holdfast account" ? "full" : "append-only"
}

async function writeNew(path: string, value: unknown): Promise<void> {
  const file = await createSecretFile(path)
  try {
    await file.write(`${JSON.stringify(value, null, 1)}\n`)
  } finally {
    await file.close()
  }
}
