/** `holdfast volume accounts`: what accounts hold in a volume's buckets and directories, and letting go of one that nobody needs. */
import type { AccountTotal } from "@holdfast/client/volumes"
import { fromHex, HoldfastError } from "@holdfast/core"
import type { VolumeDescription } from "@holdfast/protocol"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { examples, plural } from "../../words.ts"
import { confirmLast, idOf, jsonOf, lineOf, nameOf } from "./account-lines.ts"

/** Adds the commands below `volume`. */
export function registerVolumeAccounts(volume: Command, context: Context): void {
  const accounts = volume
    .command("accounts")
    .description("list and drop the accounts of a volume's buckets and directories, with keys that may delete there")
  accounts
    .command("list")
    .description("list accounts with what they hold and when they last stored something")
    .argument("<name>", "the volume")
    .addHelpText("after", examples(["holdfast volume accounts list clouds"]))
    .action((name: string) => list(context, name))
  accounts
    .command("drop")
    .description("let go of what an account holds: nothing goes before 30 days are over, and `keep` undoes it")
    .argument("<name>", "the volume")
    .argument("<account>", "its id, or the first digits of it; legacy for what was stored before there were accounts")
    .option("--yes", "do not ask, though nothing is left then")
    .addHelpText(
      "after",
      examples(
        ["holdfast volume accounts drop clouds 3fa97c20", "its devices are told when they store something"],
        ["holdfast volume accounts drop clouds legacy", "when each profile has run holdfast upgrade"],
      ),
    )
    .action((name: string, account: string, { yes = false }: { yes?: boolean }) =>
      state(context, name, { account, drops: true, yes }),
    )
  accounts
    .command("keep")
    .description("undo a drop whose time is not over")
    .argument("<name>", "the volume")
    .argument("<account>", "as for drop")
    .addHelpText("after", examples(["holdfast volume accounts keep clouds 3fa97c20"]))
    .action((name: string, account: string) => state(context, name, { account, drops: false, yes: true }))
}

async function find(context: Context, name: string): Promise<VolumeDescription> {
  const { volumes } = await context.openProfile()
  const volume = volumes.get(name)
  if (!volume)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `There is no volume "${name}" here. Known: ${[...volumes.keys()].join(", ") || "none"}. For a grid: holdfast coordinator accounts`,
    )
  if (volume.backends.some(({ kind }) => kind === "node"))
    context.warn("nodes are asked by their own administrator: holdfast coordinator accounts")
  return volume
}

async function totals(volume: VolumeDescription) {
  const [{ listPlaces }, { totalsOf }] = await Promise.all([
    import("@holdfast/client/volumes"),
    import("@holdfast/client/volumes"),
  ])
  const { answers, errors } = await listPlaces(volume)
  return { all: totalsOf([...answers.values()].flat()), errors }
}

async function list(context: Context, name: string): Promise<void> {
  const { all, errors } = await totals(await find(context, name))
  const lines = [
    `Volume ${name}: ${plural(all.length, "account")}`,
    ...all.map(lineOf),
    ...[...errors].map(([place, why]) => `${place} did not answer: ${why}`),
  ]
  context.output({ volume: name, accounts: all.map(jsonOf), errors: Object.fromEntries(errors) }, lines)
}

interface Wanted {
  readonly account: string
  readonly drops: boolean
  readonly yes: boolean
}

async function state(context: Context, name: string, { account: text, drops, yes }: Wanted): Promise<void> {
  const volume = await find(context, name)
  const { all } = await totals(volume)
  const id = await idOf(text, async (): Promise<readonly AccountTotal[]> => all)
  if (drops) await confirmLast(context, id, { all, yes, where: `in volume ${name}` })
  const { atPlaces } = await import("@holdfast/client/volumes")
  const account = fromHex(id)
  const { answers, errors } = await atPlaces(volume, (place) => (drops ? place.drop(account) : place.keep(account)))
  if (answers.size === 0)
    throw new HoldfastError(
      "ERR_SERVER_UNREACHABLE",
      `No place of ${name} took that down: ${[...errors].map(([place, why]) => `${place}: ${why}`).join("; ")}`,
    )
  const undo = `holdfast volume accounts keep ${name} ${nameOf(id)}`
  const what = drops ? `is dropped. Nothing of it goes before 30 days are over; until then: ${undo}` : "is kept."
  const lines = [
    `Account ${nameOf(id)} ${what}`,
    `${plural(answers.size, "place")} took that down.`,
    ...[...errors].map(([place, why]) => `${place} does not know of it, so say it again: ${why}`),
  ]
  const json = { account: id, drops, places: [...answers.keys()], errors: Object.fromEntries(errors) }
  context.output(json, lines)
  if (errors.size > 0) process.exitCode = exitCodes.unavailable
}
