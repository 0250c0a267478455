/** `holdfast upgrade`: what was stored before there were accounts becomes the account's. */
import { gridName, type PlaceUpgrade, upgradePlaces, volumesFor } from "@holdfast/client/volumes"
import { toHex } from "@holdfast/core"
import type { Command } from "commander"
import { type AccountUpgrade, upgradeAccount } from "../../account/upgrade.ts"
import type { Context } from "../../context.ts"
import { examples, plural } from "../../words.ts"
import { notHeldLine } from "../files/gc.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("upgrade")
    .description("bring what an earlier version stored into this profile's account; may be repeated")
    .option("--dry-run", "only tell what would be done")
    .option("--no-claim", "leave trees without an owner as they are, because somebody else made them")
    .addHelpText(
      "after",
      examples(["holdfast upgrade --dry-run"], ["holdfast upgrade"], ["holdfast upgrade --volume clouds"]),
    )
    .action(({ dryRun = false, claim }: { dryRun?: boolean; claim: boolean }) => upgrade(context, dryRun, claim))
}

interface VolumeUpgrade {
  readonly name: string
  readonly places: readonly PlaceUpgrade[]
  /** Absent while its places are not ready. */
  readonly account?: AccountUpgrade
}

async function upgrade(context: Context, dryRun: boolean, claims: boolean): Promise<void> {
  const profile = await context.openProfile()
  const { id, keys } = await profile.account()
  const { warn } = context
  const volumes: VolumeUpgrade[] = []
  for (const name of volumesFor(profile, context.volume)) {
    const description = profile.volumes.get(name)
    const places = description ? await upgradePlaces(description, { dryRun }) : []
    const isReady = dryRun || places.every(({ state }) => state === "done")
    const account =
      isReady && keys ? await upgradeAccount(await context.openSession(name), { dryRun, claims, warn }) : undefined
    volumes.push({ name, places, ...(account && { account }) })
  }
  const lines = volumes.flatMap((volume) => linesOf(volume, dryRun))
  if (!keys)
    lines.push("This device may only add to its account. Run `holdfast upgrade` on a device that has all of it too.")
  const isWhole = volumes.every(({ account }) => account && account.leftOut.size + account.refused.size === 0)
  if (isWhole && !dryRun) lines.push(...legacyLines(volumes.map(({ name }) => name)))
  context.output({ account: toHex(id), dryRun, done: isWhole && !dryRun, volumes: volumes.map(jsonOf) }, lines)
}

function linesOf({ name, places, account }: VolumeUpgrade, dryRun: boolean): string[] {
  const lines = places.flatMap((place) => placeLines(place, dryRun))
  if (account) {
    const { listed, claimed, liveChunks, marked, leftOut, refused, problems, lost } = account
    const count = [...marked.values()].reduce((sum, one) => sum + one, 0)
    if (listed.length > 0)
      lines.push(`  ${dryRun ? "would be" : "now"} in the account: ${listed.map((alias) => `${alias}:`).join(" ")}`)
    if (claimed.length > 0)
      lines.push(
        `  had no owner, ${dryRun ? "would be" : "is"} this account's now: ${claimed.map((alias) => `${alias}:`).join(" ")}`,
      )
    lines.push(
      `  ${plural(liveChunks, "chunk")} needed; ${count} ${dryRun ? "would be marked" : "marked"} at ${plural(marked.size, "place")}`,
    )
    for (const { label, why } of problems) lines.push(`  ${label} cannot be read in part: ${why}`)
    for (const { place, message } of lost) lines.push(`  cannot be read: ${place}: ${message}`)
    for (const [server, refusal] of refused) lines.push(`  ${notHeldLine(server, refusal)}`)
    for (const [server, why] of leftOut) lines.push(`  ${server} was left out, so run this again: ${why}`)
  }
  return [`${name}:`, ...lines]
}

function placeLines({ id, state, waitMs, chunks, registers, why }: PlaceUpgrade, dryRun: boolean): string[] {
  if (why !== undefined) return [`  ${id}: ${why}`]
  if (state === "done")
    return chunks + registers > 0 ? [`  ${id}: upgraded; ${plural(chunks, "chunk")} of before stay as they are`] : []
  if (dryRun)
    return [
      `  ${id}: would be upgraded, an hour after the first run: ${plural(chunks, "chunk")}, ${plural(registers, "root")}`,
    ]
  return [
    `  ${id}: commands of an earlier version may still run there. Run this again in ${plural(Math.ceil(waitMs / 60_000), "minute")}.`,
  ]
}

function legacyLines(names: readonly string[]): string[] {
  const own = names.filter((name) => name !== gridName)
  const commands = [
    ...(names.includes(gridName) ? ["holdfast coordinator accounts drop legacy --dir FOLDER"] : []),
    ...own.map((name) => `holdfast volume accounts drop ${name} legacy`),
  ]
  return [
    "What earlier versions stored is held for the account `legacy` besides, which nobody can take away. When everybody has run this, " +
      `whoever administers the places frees the rest, 30 days later: ${commands.join("; ")}`,
  ]
}

function jsonOf({ name, places, account }: VolumeUpgrade) {
  if (!account) return { name, places }
  const { marked, leftOut, refused, ...rest } = account
  const notHeld = [...refused].map(([server, refusal]) => ({ server, ...refusal }))
  return { name, places, ...rest, notHeld, marked: Object.fromEntries(marked), errors: Object.fromEntries(leftOut) }
}
