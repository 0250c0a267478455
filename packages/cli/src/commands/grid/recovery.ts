/** `holdfast recovery`: a profile's secrets split over the places of a volume, and back on another machine. */
import { BufferPool, HoldfastError, isHoldfastError } from "@holdfast/core"
import type { Backend, RecoverySecrets, VolumeBackend } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { readNewPassphrase, readPassphrase } from "../../profile/passphrase.ts"
import { pathsOf, profileDir } from "../../profile/paths.ts"
import { openProfile } from "../../profile/profile.ts"
import { hasSecrets } from "../../profile/secrets.ts"
import { type Choice, chooseKit, shortId } from "../../recovery/choose-kit.ts"
import { type FoundKit, groupParts, keyOfKit, type OpenedKit } from "../../recovery/kit.ts"
import { makeRecoveryKit } from "../../recovery/make.ts"
import { digestOf, type Restorable, remember } from "../../recovery/record.ts"
import { goodParts, type PlaceAnswer, readParts } from "../../recovery/registers.ts"
import { type Relocated, relocated, restoreProfile } from "../../recovery/restore.ts"
import { openBackends } from "../../volumes/open.ts"
import { parsePlaces } from "../../volumes/places.ts"
import { plural } from "../files/frame.ts"

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  const recovery = program.command("recovery").description("bring a profile's keys back after the machine is lost")
  recovery.addHelpText(
    "after",
    `
A recovery kit is what a profile needs on a new machine: its aliases with their capabilities, its volumes, its convergence
secret. It lies encrypted on the places of a volume, its key split so that f+1 of them restore it, where f is how many the
volume survives; with a passphrase nobody can do that without it. Keys of buckets and certificates are not in it.

Examples:
  holdfast recovery kit
  holdfast recovery kit --volume clouds --passphrase
  holdfast recovery kit --volume clouds --name laptop --kit-passphrase-file pass.txt
  holdfast recovery test --volume clouds
  holdfast recovery restore --backend 's3://a?endpoint=https://s3.example.org&profile=a' dir:/mnt/b
  holdfast recovery restore --backend dir:/mnt/b dir:/mnt/c --name laptop --profile new --passphrase
  holdfast recovery restore --backend dir:/mnt/b dir:/mnt/c --only-named
  holdfast recovery restore --volume grid
`,
  )
  recovery
    .command("kit")
    .description("split the profile's keys over the places of a volume; replaces its earlier kit")
    .option("--name <kit>", "name of the kit", "main")
    .option("--passphrase", "ask for a passphrase that the kit then needs too")
    .option("--kit-passphrase-file <file>", "file that holds it; - is stdin")
    .option("--replace", "replace a kit of this name that another profile made")
    .action((flags: KitFlags) => makeKit(context, flags))
  recovery
    .command("test")
    .description("say which places hold a good part, and whether they would restore")
    .option("--name <kit>", "name of the kit", "main")
    .option("--backend <places...>", "places to ask instead of those of a volume; see holdfast volume --help")
    .action((flags: PlaceFlags) => test(context, flags))
  recovery
    .command("restore")
    .description("make a profile from the kit that the places hold")
    .option("--backend <places...>", "f+1 of its places; see holdfast volume --help. Else those of --volume")
    .option("--name <kit>", "name of the kit", "main")
    .option("--id <id>", "first digits of the kit that is meant, when there are several")
    .option("--passphrase", "take only a kit under a passphrase, and ask for it")
    .option("--kit-passphrase-file <file>", "file that holds it; - is stdin")
    .option("--only-named", "give up the places that are not named: the volume then lies on the others alone")
    .option("--overwrite", "replace aliases and volumes of an existing profile that have the same names")
    .action((flags: RestoreFlags) => restore(context, flags))
}

interface PassphraseFlags {
  readonly passphrase?: boolean
  readonly kitPassphraseFile?: string
}

interface KitFlags extends PassphraseFlags {
  readonly name: string
  readonly replace?: boolean
}

interface PlaceFlags {
  readonly name: string
  readonly backend?: readonly string[]
}

interface RestoreFlags extends PlaceFlags, PassphraseFlags {
  readonly id?: string
  readonly overwrite?: boolean
  readonly onlyNamed?: boolean
}

const kitQuestion = "Passphrase of the recovery kit: "

async function makeKit(context: Context, flags: KitFlags): Promise<void> {
  const { name, replace = false } = flags
  const session = await context.openSession()
  const isWanted = flags.passphrase || flags.kitPassphraseFile !== undefined
  const passphrase = isWanted ? await readNewPassphrase(flags.kitPassphraseFile) : undefined
  const made = await makeRecoveryKit(session, { name, passphrase, replace, nowMs: Date.now() })
  const { id, threshold, places, seen } = made
  const good = places.filter(({ why }) => why === undefined).length
  const credentials = `credentials to any ${threshold} of them${passphrase === undefined ? "" : " and the passphrase"}`
  const lines = [
    `The recovery kit ${name} (${shortId(made)}) lies on ${good} of the ${places.length} places of ${session.volume}: ${credentials} restore this profile.`,
    ...places.flatMap((place) => (place.why === undefined ? [] : [`  without a part: ${place.id}: ${place.why}`])),
    ...(seen === "none"
      ? ["What was seen of trees did not fit: a restored profile believes its places at first."]
      : []),
    ...(passphrase === undefined
      ? [`Whoever controls ${threshold} of these places can read it: --passphrase prevents that.`]
      : []),
    "Make it anew when aliases or volumes have changed; `holdfast doctor` says when.",
  ]
  context.output(
    { id, name, volume: session.volume, threshold, passphrase: passphrase !== undefined, places, seen },
    lines.join("\n"),
  )
}

async function test(context: Context, flags: PlaceFlags): Promise<void> {
  const { answers } = await askPlaces(context, flags)
  const kits = await Promise.all(
    groupParts(goodParts(answers)).map(async (kit) => ({ kit, restores: (await keyOfKit(kit)) !== undefined })),
  )
  const restores = kits.some((one) => one.restores)
  const lines = [
    ...answers.map(answerLine),
    ...kits.map(({ kit, restores }) => kitLine(kit, restores)),
    ...(kits.length === 0 ? [`There is no recovery kit ${flags.name} here. Make one: holdfast recovery kit`] : []),
  ]
  context.output(
    {
      name: flags.name,
      restores,
      places: answers.map(({ place, state, why, part }) => ({
        id: place,
        state,
        ...(why !== undefined && { why }),
        ...(part && { kit: Buffer.from(part.kitId).toString("hex"), index: part.index }),
      })),
      kits: kits.map(({ kit, restores }) => ({
        id: kit.id,
        parts: kit.parts.size,
        threshold: kit.body.threshold,
        places: kit.body.shareHashes.length,
        passphrase: kit.body.passphrase !== undefined,
        restores,
      })),
    },
    lines.join("\n"),
  )
  if (!restores) process.exitCode = exitCodes.unavailable
}

async function restore(context: Context, flags: RestoreFlags): Promise<void> {
  const { name, id, overwrite = false, onlyNamed = false } = flags
  if (onlyNamed && !flags.backend)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "--only-named goes with --backend: say which places are left.")
  const { answers, places } = await askPlaces(context, flags)
  const ask = () => readPassphrase(flags.kitPassphraseFile, kitQuestion)
  const isInsisted = flags.passphrase || flags.kitPassphraseFile !== undefined
  const found = goodParts(answers)
  const choice = await chooseKit(groupParts(found), {
    ...{ name, id, ask },
    passphrase: isInsisted ? await ask() : undefined,
  }).catch((error: unknown) => {
    throw withPlaces(error, answers)
  })
  const { kit } = choice
  const restored = relocated(kit, { named: places, found, onlyNamed })
  const { secrets } = restored
  const paths = pathsOf(context.env)
  const target = { paths, profile: context.profile, ask: context.passphrase, overwrite }
  await restoreProfile(secrets, target)
  const profile = await openProfile(paths, context.profile, context.passphrase)
  const { volume, createdMs } = secrets
  await remember(profile, { id: kit.id, name, volume, createdMs, digest: digestOf(restorable(kit.secrets)) })
  if (secrets.seen !== "") await profile.importSeen(JSON.parse(secrets.seen))
  const { aliases, volumes } = secrets
  context.output(
    {
      id: kit.id,
      profile: context.profile,
      createdMs,
      passphrase: kit.body.passphrase !== undefined,
      aliases: [...aliases.keys()],
      volumes: volumes.map(({ name }) => name),
      unnamed: restored.unnamed,
      others: choice.others.map((other) => ({ id: other.id, createdMs: other.secrets.createdMs })),
    },
    [...restoredLines(context.profile, choice, answers), ...unnamedLines(restored, choice.kit, onlyNamed)].join("\n"),
  )
}

/** What the kit holds, which is not what the profile has now when places were moved or given up. */
function restorable({ convergenceSecret, aliases, aliasVolumes, volumes }: RecoverySecrets): Restorable {
  return {
    ...{ convergenceSecret, aliases },
    volumeOf: (alias) => aliasVolumes.get(alias),
    volumes: new Map(volumes.map((volume) => [volume.name, volume])),
  }
}

function restoredLines(profile: string, { kit, others }: Choice, answers: readonly PlaceAnswer[]): string[] {
  const { aliases, volumes, createdMs } = kit.secrets
  const date = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace("T", " ")
  return [
    `The profile "${profile}" is as it was on ${date(createdMs)}: ${plural(aliases.size, "alias", "aliases")}, ${plural(volumes.length, "volume")}.`,
    ...others.map(
      (other) => `An older or less complete kit is there too: ${shortId(other)} of ${date(other.secrets.createdMs)}.`,
    ),
    ...answers.filter(({ state }) => state !== "part").map(answerLine),
    ...(kit.body.passphrase
      ? []
      : [
          "This kit has no passphrase: if you made yours with one, it is not yours. Remove the profile and restore with --passphrase.",
        ]),
  ]
}

/** What the user has to do before the volume is whole again. */
function unnamedLines({ volume, unnamed }: Relocated, { secrets }: OpenedKit, onlyNamed: boolean): string[] {
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
  return [
    `Not named, so kept as the lost machine had them: ${unnamed.join(", ")}. Keys of buckets are not in a kit: put them where they were, or name these places too.${named < needed ? tooFew : ""}`,
  ]
}

/** Asks the places named with --backend, else those of a volume. */
async function askPlaces(
  context: Context,
  { backend, name }: PlaceFlags,
): Promise<{ answers: PlaceAnswer[]; places: readonly VolumeBackend[] }> {
  if (!backend) {
    const { backends, profile, volume } = await context.openSession()
    return { answers: await readParts(backends, name), places: profile.volumes.get(volume)?.backends ?? [] }
  }
  const exists = hasSecrets(profileDir(pathsOf(context.env), context.profile))
  const needsGrid = exists && backend.some((text) => text.startsWith("node:"))
  const profile = needsGrid ? await context.openProfile() : undefined
  const places = await parsePlaces(profile, backend, { probe: false })
  const backends: Backend[] = (await openBackends(profile, places))(new BufferPool({ maxIdleBytes: 0 }))
  try {
    return { answers: await readParts(backends, name), places }
  } finally {
    await Promise.all(backends.map((one) => one.close()))
  }
}

function answerLine({ place, state, why, part }: PlaceAnswer): string {
  if (state === "part") return `ok   ${place}: part ${part!.index + 1} of ${part!.body.shareHashes.length}`
  if (state === "none") return `none ${place}: holds no part`
  return state === "bad" ? `BAD  ${place}: ${why}` : `DOWN ${place}: ${why}`
}

function kitLine(kit: FoundKit, restores: boolean): string {
  const { body, parts } = kit
  const passphrase = body.passphrase ? ", with its passphrase" : ""
  return `Kit ${shortId(kit)}: ${plural(parts.size, "good part")}, ${body.threshold} needed: ${restores ? `restores${passphrase}` : "does not restore"}.`
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
