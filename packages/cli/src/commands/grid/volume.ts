/** `holdfast volume`: volumes of one's own over buckets, directories and storage nodes. */
import { createProfile, type Profile, pathsOf } from "@holdfast/client/profile"
import {
  changeVolume,
  claimPlaces,
  describePlace,
  domainSurvivalOf,
  everyPlace,
  followVolume,
  parseLabels,
  placesOf,
  volumeNames,
  withLabels,
  withPlaces,
} from "@holdfast/client/volumes"
import { HoldfastError, shownJson } from "@holdfast/core"
import { parseVolume, type VolumeBackend, type VolumeDescription } from "@holdfast/protocol"
import type { Command } from "commander"
import { confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { readJsonInput } from "../../input.ts"
import { confirmLeads } from "../../leads.ts"
import { parseCoding } from "../../local-grid/config.ts"
import { testVolume } from "../../test-places.ts"
import { plural } from "../../words.ts"
import { registerVolumeAccounts } from "./volume-accounts.ts"
import { type CreateFlags, create, refuseTaken, refuseUsed, usageErrors } from "./volume-create.ts"
import { describe, find, findPlace, gridRow, rebalanceHint, summary, survivalsOf } from "./volume-view.ts"
import { holdersIn, placesFor, refuseUseless, uselessNotes } from "./volume-witness.ts"

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  const volume = program
    .command("volume")
    .description("make and keep volumes over buckets, directories and storage nodes")
  volume.addHelpText(
    "after",
    `
A place is one of
  s3://BUCKET[/PREFIX]?endpoint=URL&region=NAME   a bucket; &style=host for host names, &profile=NAME of the AWS
                                                  configuration or &credentials=FILE (mode 0600) for its keys
  dir:PATH                                        a directory, such as a disk or a network share
  node:NAME, node:*                               storage nodes of the profile's grid
and may end in labels, ,provider=NAME,site=NAME,rack=NAME: what it would be lost with. Shares are spread over these first.

Examples:
  holdfast volume create clouds --coding 2/3/4 --backend 's3://a?endpoint=https://s3.example.org&profile=a' dir:/mnt/b dir:/mnt/c node:n1
  holdfast volume create two-sites --coding 2/3/4 --backend dir:/mnt/a,site=home dir:/mnt/b,site=home node:n1,site=work node:n2,site=work
  holdfast volume create pair --coding 1/1/2 --backend dir:/mnt/a dir:/mnt/b --witness node:n1
  holdfast volume label clouds node:n1 site=work
  holdfast volume list
  holdfast volume show clouds
  holdfast volume test clouds
  holdfast volume add-backend clouds dir:/mnt/d
  holdfast volume add-backend clouds dir:/mnt/d dir:/mnt/e --coding 2/3/4 --mode byzantine
  holdfast volume remove-backend clouds a@s3.example.org
  holdfast volume accounts list clouds
  holdfast volume follow clouds          another profile moved it: go there
  holdfast volume export clouds > clouds.json
  holdfast volume import --file clouds.json
  holdfast volume remove clouds
`,
  )
  volume
    .command("create")
    .description("make a volume and a tree in it with the same name")
    .argument("<name>", "the volume's name, and the alias of its tree")
    .requiredOption("--backend <places...>", "where it lies; see holdfast volume --help")
    .requiredOption("--coding <k/happy/n>", "any K of N shares restore; HAPPY places must take a put")
    .option(
      "--witness <places...>",
      "places that keep roots of trees and no data: with one, two places survive one lost",
    )
    .option("--mode <mode>", "crash, or byzantine: places may also lie (default with 4 places and more)")
    .action((name: string, flags: CreateFlags) => create(context, name, flags))
  volume
    .command("list")
    .description("list the volumes of the profile")
    .action(() => list(context))
  volume
    .command("show")
    .description("show a volume's places and how full they are")
    .argument("<name>")
    .action((name: string) => show(context, name))
  volume
    .command("test")
    .description("try what each place can do, and say what that means")
    .argument("<name>")
    .action((name: string) => testVolume(context, name))
  volume
    .command("add-backend")
    .description("add places to a volume")
    .argument("<name>")
    .argument("[places...]", "as for create")
    .option("--witness <places...>", "as for create")
    .option("--coding <k/happy/n>", "coding of what is stored from now on")
    .option("--mode <mode>", "crash or byzantine")
    .action((name: string, places: string[], flags: AddFlags) => addPlaces(context, name, places, flags))
  volume
    .command("remove-backend")
    .description("take a place out of a volume; what it holds stays there")
    .argument("<name>")
    .argument("<id>", "the place, as `volume show` names it")
    .action((name: string, id: string) => removePlace(context, name, id))
  volume
    .command("label")
    .description("say what a place would be lost with; without labels, that it is lost alone")
    .argument("<name>")
    .argument("<id>", "the place, as `volume show` names it")
    .argument("[labels...]", "provider=NAME, site=NAME, rack=NAME")
    .action((name: string, id: string, labels: string[]) => label(context, name, id, labels))
  registerKeeping(volume, context)
}

/** What leaves the places of a volume as they are. */
function registerKeeping(volume: Command, context: Context): void {
  volume
    .command("follow")
    .description("go where a volume has moved, after another profile moved it")
    .argument("<name>")
    .option("--accept", "also when its coding or mode gets weaker")
    .option("--yes", "use keys of buckets at hosts that are new here, without asking")
    .action((name: string, flags: FollowFlags) => follow(context, name, flags))
  registerVolumeAccounts(volume, context)
  volume
    .command("export")
    .description("print a volume's description, without any key, for another profile to import")
    .argument("<name>")
    .action(async (name: string) => {
      const description = find(await context.openProfile(), name)
      context.outputExact(description, shownJson(description, 1))
    })
  volume
    .command("import")
    .description("take over a volume's description from a file or standard input")
    .option("--file <file>", "the file; - or nothing is standard input")
    .option("--yes", "use keys of buckets at hosts that are new here, without asking")
    .action((flags: ImportFlags) => importVolume(context, flags))
  volume
    .command("remove")
    .description("forget a volume; what it holds stays where it is")
    .argument("<name>")
    .option("--yes", "do not ask, as without a terminal")
    .action((name: string, { yes = false }: { yes?: boolean }) => remove(context, name, yes))
}

interface ImportFlags {
  readonly file?: string
  readonly yes?: boolean
}

interface FollowFlags {
  readonly accept?: boolean
  readonly yes?: boolean
}

interface AddFlags {
  readonly witness?: readonly string[]
  readonly coding?: string
  readonly mode?: string
}

async function list(context: Context): Promise<void> {
  const profile = await context.openProfile()
  const rows = await Promise.all(
    volumeNames(profile).map(async (name) => {
      const volume = profile.volumes.get(name)
      if (!volume) return gridRow(profile)
      const { coding, registerMode, backends } = volume
      const row = { name, coding, registerMode, places: backends.length, domains: domainSurvivalOf(volume) }
      return { row, lines: summary(volume) }
    }),
  )
  const lines = rows.length > 0 ? rows.flatMap((one) => one.lines) : "There is no volume yet."
  context.output(
    rows.map(({ row }) => row),
    lines,
  )
}

async function show(context: Context, name: string): Promise<void> {
  const profile = await context.openProfile()
  const volume = find(profile, name)
  const session = await context.openSession(name)
  const opened = new Map(everyPlace(session).map((backend) => [backend.id, backend]))
  const places = await Promise.all(
    volume.backends.map(async (place) => {
      try {
        const { usedBytes, shareCount } = await opened.get(place.id)!.usage()
        return { ...place, up: true, usedBytes, shareCount }
      } catch (error) {
        return { ...place, up: false, error: error instanceof Error ? error.message : String(error) }
      }
    }),
  )
  const { sizeText } = await import("../../progress.ts")
  const state = (place: (typeof places)[number]) =>
    "usedBytes" in place ? `${sizeText(place.usedBytes)} in ${place.shareCount} shares` : `DOWN: ${place.error}`
  const aliases = [...profile.aliases.keys()].filter((alias) => profile.volumeOf(alias) === name)
  context.output({ ...volume, backends: places, aliases, ...survivalsOf(volume) }, [
    ...summary(volume),
    ...places.flatMap((place, i) => [`  ${describePlace(volume.backends[i]!)}`, `    ${state(place)}`]),
    `Aliases in it: ${aliases.map((alias) => `${alias}:`).join(" ") || "none"}`,
  ])
}

async function addPlaces(
  context: Context,
  name: string,
  texts: readonly string[],
  { coding, mode, witness = [] }: AddFlags,
): Promise<void> {
  if (texts.length + witness.length === 0)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "Name the places to add, or --witness PLACE.")
  const profile = await context.openProfile()
  const volume = find(profile, name)
  const added = await placesFor(context, profile, { backend: texts, witness })
  const known = new Set(volume.backends.map(({ id }) => id))
  const again = added.find(({ id }) => known.has(id))
  if (again) throw new HoldfastError("ERR_ALREADY_EXISTS", `${again.id} is part of ${name} already.`)
  refuseUsed(profile, added)
  const backends = [...volume.backends, ...added]
  const shape = {
    ...(coding !== undefined && { coding: parseCoding(coding, holdersIn(backends)) }),
    ...(mode !== undefined && { registerMode: mode }),
  }
  const next = usageErrors(() => withPlaces(volume, backends, shape))
  if (witness.length > 0) refuseUseless(next)
  await claimPlaces(added, volume.id)
  const now = await changed(profile, next)
  const hint = texts.length > 0 ? [`Move shares there with: ${rebalanceHint(profile, name)}`] : []
  context.output(now, [...describe(now), ...uselessNotes(now), ...hint])
}

async function removePlace(context: Context, name: string, id: string): Promise<void> {
  const profile = await context.openProfile()
  const volume = find(profile, name)
  const gone = findPlace(volume, id)
  const next = usageErrors(() =>
    withPlaces(
      volume,
      volume.backends.filter((place) => place !== gone),
    ),
  )
  const now = await changed(profile, next)
  context.output(now, [
    ...describe(now),
    ...uselessNotes(now),
    ...(gone.witness ? [] : [`Make what it held anew with: ${rebalanceHint(profile, name, "check --deep --repair")}`]),
  ])
}

async function label(context: Context, name: string, id: string, texts: readonly string[]): Promise<void> {
  const profile = await context.openProfile()
  const volume = find(profile, name)
  const place = findPlace(volume, id)
  const labels = texts.length > 0 ? parseLabels(texts) : undefined
  const next = withLabels(volume, (one) => (one === place ? labels : one.labels))
  await profile.setVolume(next)
  context.output({ ...next, ...survivalsOf(next) }, [
    ...describe(next),
    `Move shares to where they belong now with: ${rebalanceHint(profile, name)}`,
    "Other profiles take the labels with a new export of the volume; until then they spread shares as before.",
  ])
}

/** Moves the volume. When another move had begun before, that one is ended, and what was asked now is still to do. */
async function changed(profile: Profile, next: VolumeDescription): Promise<VolumeDescription> {
  const now = await changeVolume(profile, next)
  const ids = ({ backends }: VolumeDescription) => backends.map(({ id }) => id).join(" ")
  if (ids(now) === ids(next)) return now
  throw new HoldfastError(
    "ERR_CONFLICT",
    `A move of ${next.name} that had begun before was ended first: it is on ${ids(now)} now. Run the command again.`,
  )
}

async function follow(context: Context, name: string, { accept = false, yes = false }: FollowFlags): Promise<void> {
  const profile = await context.openProfile()
  const next = await followVolume(profile, find(profile, name), {
    accept,
    confirm: (to) =>
      confirmLeads(context, { volumes: [to], known: placesOf(profile), yes, refused: `${name} stays where it was.` }),
  })
  context.output(next, describe(next))
}

async function importVolume(context: Context, { file = "-", yes = false }: ImportFlags): Promise<void> {
  const value = await readJsonInput(context, file, "a description of a volume, as `holdfast volume export` prints it")
  await createProfile(pathsOf(context.env), context.profile)
  const profile = await context.openProfile()
  const volume = parseVolume(value)
  const known = profile.volumes.get(volume.name)
  if (known?.id === volume.id) refuseOlder(known, volume)
  if (known && known.id !== volume.id) refuseTaken(profile, volume.name)
  await confirmLeads(context, { volumes: [volume], known: placesOf(profile), yes, refused: "Nothing was imported." })
  await profile.setVolume(volume)
  context.output(volume, [
    ...describe(volume),
    `Name a capability in it with: holdfast alias add NAME --volume ${volume.name}`,
  ])
}

/** A profile that has the volume already is held to its key, and never goes back. */
function refuseOlder(known: VolumeDescription, volume: VolumeDescription): void {
  const isOther = known.publicKey !== undefined && known.publicKey !== volume.publicKey
  if (!isOther && (volume.epoch ?? 0) >= (known.epoch ?? 0)) return
  throw new HoldfastError(
    "ERR_PINNED",
    isOther
      ? `This description of ${volume.name} has another key than the one that this profile knows.`
      : `This description of ${volume.name} is older (epoch ${volume.epoch ?? 0}) than the one that this profile has (${known.epoch}).`,
  )
}

async function remove(context: Context, name: string, yes: boolean): Promise<void> {
  const profile = await context.openProfile()
  const volume = find(profile, name)
  const aliases = [...profile.aliases.keys()].filter((alias) => profile.volumeOf(alias) === name)
  if (aliases.length > 0)
    throw new HoldfastError(
      "ERR_NOT_EMPTY",
      `These aliases are in ${name}: ${aliases.join(", ")}. Print what they stand for with "holdfast cap", then remove them with "holdfast alias remove".`,
      { aliases },
    )
  if (!yes && isAsking(context))
    await confirm(context, {
      warning: [
        `What ${name} holds on ${plural(volume.backends.length, "place")} stays, but without its description nobody finds it: keep that first with`,
        `  holdfast volume export ${name} > ${name}.json`,
      ],
      question: "Forget it?",
      insteadOfAsking: `To do so unasked: holdfast volume remove ${name} --yes`,
      refusal: `${name} stays.`,
    })
  await profile.removeVolume(name)
  context.output({ removed: name }, `${name} is forgotten. What it holds stays where it is.`)
}
