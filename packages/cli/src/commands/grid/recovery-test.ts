/** `holdfast recovery test`. */
import { existsSync } from "node:fs"
import { type FoundKit, goodParts, groupParts, keyOfKit, openKit, shortId } from "@holdfast/client/kits"
import { hasSecrets, pathsOf, profileDir } from "@holdfast/client/profile"
import { kitText, readRecord } from "@holdfast/client/recovery"
import { volumeFor } from "@holdfast/client/volumes"
import { fromHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { answerLine, askPlaces, type PlaceFlags, readKitSecret } from "../../ask-places.ts"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { plural } from "../../words.ts"

/** What was typed. */
export interface TestFlags extends PlaceFlags {
  readonly passphrase?: boolean
  readonly kitPassphraseFile?: string
}

interface Tested {
  readonly kit: FoundKit
  readonly restores: boolean
}

/** Says which places hold a good part. */
export async function testKit(context: Context, flags: TestFlags): Promise<void> {
  const { name } = flags
  const master = await masterFor(context, flags)
  const asked = await askPlaces(context, flags, master)
  const old = groupParts(goodParts(asked.open))
  const answers = asked.hidden && (goodParts(asked.hidden).length > 0 || old.length === 0) ? asked.hidden : asked.open
  const kits: Tested[] = await Promise.all(
    groupParts(goodParts(answers)).map(async (kit) => ({ kit, restores: await wouldRestore(kit, master) })),
  )
  const restores = kits.some((one) => one.restores)
  const others = await otherKits(context, flags)
  const lines = [
    ...answers.map(answerLine),
    ...kits.map(({ kit, restores }) => kitLine(kit, restores)),
    ...(kits.length === 0 ? [`There is no recovery kit ${name} here that this profile can find.`] : []),
    ...(kits.length === 0 && others.length === 0 ? ["Make one: holdfast recovery kit"] : []),
    ...(restores ? [] : others.map((text) => `This profile made another: ${text}. Name it with --name and --volume.`)),
    ...(old.some(({ body }) => body.version === 1) ? [oldKitLine(name)] : []),
  ]
  context.output(
    {
      ...{ name, restores },
      places: answers.map(({ place, state, why, part }) => ({
        ...{ id: place, state },
        ...(why !== undefined && { why }),
        ...(part && { kit: Buffer.from(part.kitId).toString("hex"), index: part.index }),
      })),
      kits: kits.map(({ kit, restores }) => ({
        id: kit.id,
        version: kit.body.version,
        parts: kit.parts.size,
        threshold: kit.body.threshold,
        places: kit.body.shareHashes.length,
        passphrase: kit.body.isProtected,
        restores,
      })),
      old: old.map(({ id }) => id),
      others,
    },
    lines,
  )
  if (!restores) process.exitCode = exitCodes.unavailable
}

/** What to say of a kit of version 1. */
function oldKitLine(name: string): string {
  return `A kit "${name}" of the old kind is there: whoever may read these places can find it, and open it if it has no passphrase. If it is yours, make a new one, which erases it: holdfast recovery kit`
}

/** The master key of the kit: of the words that are given, else as the profile knows it. */
async function masterFor(context: Context, flags: TestFlags): Promise<Uint8Array | undefined> {
  const { name, passphrase, kitPassphraseFile } = flags
  if (passphrase || kitPassphraseFile !== undefined) return (await readKitSecret(kitPassphraseFile, name)).master
  if (!hasSecrets(profileDir(pathsOf(context.env), context.profile))) return undefined
  const profile = await context.openProfile()
  const keys = [...profile.recoveryKits].filter(([key]) => key.endsWith(`/${name}`))
  // Places that are named need not be a volume: then any kit of that name is the one.
  const volume = flags.backend ? undefined : volumeFor(profile, context.volume)
  const found = keys.find(([key]) => volume === undefined || key === `${volume}/${name}`)?.[1].master
  return found === undefined ? undefined : fromHex(found)
}

/** With the words it is opened; without them its parts are all that can be looked at. */
async function wouldRestore(kit: FoundKit, master: Uint8Array | undefined): Promise<boolean> {
  const key = await keyOfKit(kit)
  if (!key) return false
  if (kit.body.isProtected && (kit.body.version === 1 || !master)) return true
  return (await openKit(nodeCrypto, kit, { key, secret: master && { master } })) !== undefined
}

/** Kits of this profile under other names, or on other volumes. */
async function otherKits(context: Context, { name }: TestFlags): Promise<string[]> {
  const dir = profileDir(pathsOf(context.env), context.profile)
  if (!existsSync(dir)) return []
  const record = await readRecord({ dir })
  return record.filter((one) => one.name !== name || one.volume !== (context.volume ?? one.volume)).map(kitText)
}

function kitLine({ id, body, parts }: FoundKit, restores: boolean): string {
  const secret = body.isProtected ? ", with its words or passphrase" : ""
  return `Kit ${shortId({ id })}: ${plural(parts.size, "good part")}, ${body.threshold} needed: ${restores ? `restores${secret}` : "does not restore"}.`
}
