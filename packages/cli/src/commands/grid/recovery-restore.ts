/** `holdfast recovery restore`. */
import {
  type Choice,
  chooseKit,
  goodParts,
  groupParts,
  type KitSecret,
  type OpenedKit,
  type PlaceAnswer,
  shortId,
} from "@holdfast/client/kits"
import { hasSecrets, openProfile, pathsOf, profileDir } from "@holdfast/client/profile"
import {
  digestOf,
  placeBucketKeys,
  type Relocated,
  type Restorable,
  relocated,
  remember,
  restoreProfile,
  writeBucketKeys,
} from "@holdfast/client/recovery"
import { describeLead, hasGrid, placesOf } from "@holdfast/client/volumes"
import { HoldfastError, isHoldfastError, isoTime, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import type { RecoverySecrets, VolumeBackend } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { answerLine, askPlaces, type PlaceFlags, readKitSecret } from "../../ask-places.ts"
import type { Context } from "../../context.ts"
import { confirmLeads } from "../../leads.ts"
import { plural } from "../../words.ts"

/** What was typed. */
export interface RestoreFlags extends PlaceFlags {
  readonly id?: string
  readonly passphrase?: boolean
  readonly kitPassphraseFile?: string
  readonly withoutPassphrase?: boolean
  readonly overwrite?: boolean
  readonly yes?: boolean
  readonly onlyNamed?: boolean
}

/** Makes a profile of the kit. */
export async function restore(context: Context, flags: RestoreFlags): Promise<void> {
  const { name, id, overwrite = false, onlyNamed = false, yes = false } = flags
  if (onlyNamed && !flags.backend)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "--only-named goes with --backend: say which places are left.")
  const secret = await secretOf(flags)
  const asked = await askPlaces(context, flags, secret?.master)
  const held = { hidden: groupParts(goodParts(asked.hidden ?? [])), open: groupParts(goodParts(asked.open)) }
  const choice = await chooseKit(nodeCrypto, held, { name, id, secret }).catch((error: unknown) => {
    throw withPlaces(error, asked.hidden ?? asked.open)
  })
  const { kit } = choice
  const answers = held.hidden.some((one) => one.id === kit.id) ? asked.hidden! : asked.open
  const moved = relocated(kit, { named: asked.places, found: goodParts(answers), onlyNamed })
  const paths = pathsOf(context.env)
  const dir = profileDir(paths, context.profile)
  const { secrets, files } = placeBucketKeys(moved.secrets, { dir, named: asked.places })
  await confirmPlaces(context, { secrets, named: asked.places, withKeys: files, yes })
  await restoreProfile(secrets, { paths, profile: context.profile, ask: context.passphrase, overwrite })
  await writeBucketKeys(files)
  const profile = await openProfile(paths, context.profile, context.passphrase)
  const { volume, createdMs } = secrets
  const isNew = kit.body.version === 2
  const bucketKeys = secrets.bucketKeys.size > 0
  const digest = digestOf(restorable(kit.secrets))
  await remember(profile, {
    id: kit.id,
    name,
    volume,
    createdMs,
    digest,
    ...(isNew && { format: 2 as const, bucketKeys, missing: withoutParts(answers, kit.id) }),
  })
  if (isNew && secret)
    await profile.setRecoveryKit(`${volume}/${name}`, {
      ...{ master: toHex(secret.master), places: [...secrets.places] },
      erase: profile.recoveryKits.get(`${volume}/${name}`)?.erase ?? [],
    })
  if (secrets.seen !== "") await profile.importSeen(JSON.parse(secrets.seen))
  const { aliases, volumes } = secrets
  context.output(
    {
      id: kit.id,
      version: kit.body.version,
      profile: context.profile,
      createdMs,
      passphrase: kit.body.isProtected,
      aliases: [...aliases.keys()],
      volumes: volumes.map(({ name }) => name),
      unnamed: moved.unnamed,
      bucketKeys: files.size,
      ...(secrets.grid && {
        grid: { coordinator: secrets.grid.coordinator, caFingerprint: toHex(secrets.grid.caFingerprint) },
      }),
      others: choice.others.map((other) => ({ id: other.id, createdMs: other.secrets.createdMs })),
    },
    [
      ...restoredLines(context.profile, choice, answers),
      ...volumes.flatMap(({ name, backends }) => [
        `The volume ${name} lies on:`,
        ...backends.map((place) => `  ${describeLead(place)}`),
      ]),
      ...unnamedLines(moved, { kit, onlyNamed, withKeys: files.size > 0 }),
      ...(hasGrid(profile) ? [] : gridLines(secrets)),
    ],
  )
}

/** Places of which it is not known that they hold a part: whoever makes the kit anew must not rely on them. */
function withoutParts(answers: readonly PlaceAnswer[], id: string): string[] {
  return answers.flatMap(({ place, part }) => (part && toHex(part.kitId) === id ? [] : [place]))
}

interface PlacesQuestion {
  readonly secrets: RecoverySecrets
  readonly named: readonly VolumeBackend[]
  /** Files with keys that the kit itself brings. */
  readonly withKeys: ReadonlyMap<string, unknown>
  readonly yes: boolean
}

/** Keys that are here already go to no host that only the kit names; those that the kit brings are for its own places. */
async function confirmPlaces(context: Context, { secrets, named, withKeys, yes }: PlacesQuestion): Promise<void> {
  const paths = pathsOf(context.env)
  const hasOwn = hasSecrets(profileDir(paths, context.profile))
  const own = hasOwn ? placesOf(await openProfile(paths, context.profile, context.passphrase)) : []
  const isBrought = (place: VolumeBackend) => place.kind === "s3" && withKeys.has(place.credentials ?? "")
  const volumes = secrets.volumes.map((volume) => ({
    ...volume,
    backends: volume.backends.filter((place) => !isBrought(place)),
  }))
  const question = { volumes, known: [...named, ...own], yes, refused: "Nothing was restored.", isOwn: true }
  await confirmLeads(context, question)
}

async function secretOf(flags: RestoreFlags): Promise<KitSecret | undefined> {
  if (!flags.withoutPassphrase) return readKitSecret(flags.kitPassphraseFile, flags.name)
  if (!flags.passphrase && flags.kitPassphraseFile === undefined) return undefined
  throw new HoldfastError("ERR_INVALID_ARGUMENT", "--without-passphrase and a passphrase exclude each other.")
}

/** What the kit holds, which is not what the profile has now when places were moved or given up. */
function restorable({ convergenceSecret, aliases, aliasVolumes, volumes, others }: RecoverySecrets): Restorable {
  return {
    ...{ convergenceSecret, aliases },
    volumeOf: (alias) => aliasVolumes.get(alias),
    volumes: new Map(volumes.map((volume) => [volume.name, volume])),
    otherSecrets: others,
  }
}

function restoredLines(profile: string, { kit, others }: Choice, answers: readonly PlaceAnswer[]): string[] {
  const { aliases, volumes, createdMs } = kit.secrets
  const date = (ms: number) => isoTime(ms).slice(0, 16).replace("T", " ")
  return [
    `The profile "${profile}" is as it was on ${date(createdMs)}: ${plural(aliases.size, "alias", "aliases")}, ${plural(volumes.length, "volume")}.`,
    ...others.map(
      (other) => `An older or less complete kit is there too: ${shortId(other)} of ${date(other.secrets.createdMs)}.`,
    ),
    ...answers.filter(({ state }) => state !== "part").map(answerLine),
    ...(kit.body.version === 1
      ? [
          `This is a kit of the old kind: whoever may read these places can find it${kit.body.isProtected ? "" : ", and read all your keys"}. Make a new one now, which erases it: holdfast recovery kit`,
        ]
      : []),
    ...(kit.body.isProtected
      ? []
      : [
          "This kit has neither words nor passphrase: if you made yours with them, it is not yours. Remove the profile and restore with them.",
        ]),
  ]
}

/** How the machine becomes a member again; a certificate is in no kit. */
function gridLines({ grid }: RecoverySecrets): string[] {
  if (!grid) return []
  const fingerprint = toHex(grid.caFingerprint)
  return [
    `It was a member of the grid at ${grid.coordinator}. Ask there for an invitation of the same tenant and use it: holdfast join --invite-file FILE`,
    `  The authority of that grid has the SHA-256 ${fingerprint}.`,
  ]
}

/** What the user has to do before the volume is whole again. */
function unnamedLines(
  { volume, unnamed }: Relocated,
  { kit: { secrets }, onlyNamed, withKeys }: { kit: OpenedKit; onlyNamed: boolean; withKeys: boolean },
): string[] {
  if (!volume || unnamed.length === 0) return []
  const { name, backends, registerMode } = volume
  if (onlyNamed) {
    const { coding, registerMode: mode } = secrets.volumes.find((one) => one.name === name)!
    return [
      `${name} lies on ${plural(backends.length, "place")} alone now. What only the others had is lost, perhaps the last changes too. Make it whole:`,
      `  holdfast volume add-backend ${name} PLACE... --coding ${coding.k}/${coding.happy}/${coding.n} --mode ${mode}`,
      `  holdfast check --deep --repair ALIAS:`,
    ]
  }
  const [named, needed] = [backends.length - unnamed.length, quorumOf(backends.length, registerMode)]
  const tooFew = ` Using ${name} needs ${needed} of its places. When the others are lost: the same command with --only-named.`
  const keys = withKeys
    ? "The keys that the kit has for them are in place."
    : "Keys of buckets are not in this kit: put them where they were, or name these places too."
  return [
    `Not named, so kept as the lost machine had them: ${unnamed.join(", ")}. ${keys}${named < needed ? tooFew : ""}`,
  ]
}

/** The same error, with what the places answered that gave no part. */
function withPlaces(error: unknown, answers: readonly PlaceAnswer[]): unknown {
  const silent = answers.filter(({ why }) => why !== undefined)
  if (!isHoldfastError(error) || silent.length === 0) return error
  const list = silent.map(({ place, why }) => `${place}: ${why}`).join("; ")
  return new HoldfastError(error.code, `${error.message} No good part came from: ${list}.`, error.details, {
    cause: error,
  })
}
