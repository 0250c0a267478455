/** `holdfast grid`: what the coordinator wants to change of what this profile relies on, and the user's word on it. */
import { describedLabels, domainSurvivalOf, domainText, requireGrid, spreadOf } from "@holdfast/client/volumes"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { confirmServers, fetchGrid, type GridOffer, loadOffer, loadPins, standingsOf } from "@holdfast/network"
import { type GridDescription, type GridServer, votersOf } from "@holdfast/protocol"
import type { Command } from "commander"
import type { Context } from "../../context.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  const grid = program.command("grid").description("see and decide what the grid's coordinator wants to change")
  grid.addHelpText(
    "after",
    `
A profile holds its grid to what it was: how data is spread, which servers keep the roots of trees, whose key signs. What
would weaken that is not taken before you say so.

Examples:
  holdfast grid show
  holdfast grid accept 17    the operator told you so: take description 17
  holdfast grid refuse 17    go on with the grid as it was, and ask no more about this
`,
  )
  grid
    .command("show")
    .description("what this profile relies on, and what the coordinator offers instead")
    .option(...identity)
    .action((flags: Flags) => show(context, flags))
  grid
    .command("accept")
    .description("take what the coordinator offers, and confirm its servers")
    .argument("<serial>", "the description's number, as `holdfast grid show` has it")
    .option(...identity)
    .action((serial: string, flags: Flags) => accept(context, serial, flags))
  grid
    .command("refuse")
    .description("go on with the grid as it was")
    .argument("<serial>", "the description's number, as `holdfast grid show` has it")
    .option(...identity)
    .action((serial: string, flags: Flags) => refuse(context, serial, flags))
}

const identity = ["--identity <folder>", "a node's identity folder instead of the profile's"] as const

interface Flags {
  readonly identity?: string
}

async function show(context: Context, flags: Flags): Promise<void> {
  const dir = await dirOf(context, flags)
  const own = flags.identity === undefined ? { identity: await (await context.openProfile()).identity() } : {}
  const { grid, fresh, offer: asked } = await fetchGrid(dir, own)
  const pins = await loadPins(dir)
  const offer = asked ?? (await pending(dir))
  const trust = standingsOf(grid, pins).map(({ server, ...standing }) => ({
    id: server.id,
    name: server.name,
    ...(server.labels && { labels: server.labels }),
    ...standing,
  }))
  const spread = spreadOf(grid, pins.voters ?? votersOf(grid))
  const unconfirmed = trust.filter((standing) => standing.trust !== "confirmed")
  context.output(
    {
      ...summaryOf(grid),
      root: pins.rootPublicKey,
      fresh,
      domains: domainSurvivalOf(spread),
      servers: trust,
      offer: offer
        ? { ...summaryOf(offer.grid), violations: offer.violations, changes: offer.changes, refused: offer.refused }
        : null,
    },
    [
      ...linesOf(grid),
      ...grid.servers.flatMap(serverLine),
      ...domainText(domainSurvivalOf(spread), spread).map((line) => `  ${line}`),
      `  root ${pins.rootPublicKey ?? "none: after a takeover of the coordinator only a new grid helps"}`,
      ...unconfirmed.map(
        ({ name, trust }) =>
          `  ${name} is new: ${trust === "trial" ? "it takes shares as one that may be lost" : "it waits"} (holdfast grid accept ${grid.serial} confirms it)`,
      ),
      ...(offer
        ? offerLines(offer)
        : [fresh ? "This is what the coordinator has." : "The coordinator cannot be asked now."]),
    ],
  )
}

async function accept(context: Context, text: string, flags: Flags): Promise<void> {
  const dir = await dirOf(context, flags)
  const serial = serialOf(text)
  const offer = await pending(dir)
  const pins = await loadPins(dir)
  if (offer?.grid.serial !== serial && serial === pins.serial) {
    await confirmServers(dir)
    return context.output({ serial }, "The grid's servers are confirmed.")
  }
  const { acceptGrid } = await import("@holdfast/client/volumes")
  const profile = flags.identity === undefined ? await context.openProfile() : undefined
  const { registers } = await acceptGrid(dir, serial, profile)
  const copied =
    registers > 0
      ? ` ${registers} registers were copied to its servers: the account's list, and the roots of trees.`
      : ""
  context.output({ serial, registers }, `Description ${serial} is taken.${copied}`)
}

async function refuse(context: Context, text: string, flags: Flags): Promise<void> {
  const { refuseOffer } = await import("@holdfast/network")
  const serial = serialOf(text)
  await refuseOffer(await dirOf(context, flags), serial)
  context.output(
    { serial, refused: true },
    `Description ${serial} is refused. This profile goes on with the grid as it was.`,
  )
}

async function dirOf(context: Context, flags: Flags): Promise<string> {
  if (flags.identity !== undefined) return flags.identity
  const profile = await context.openProfile()
  requireGrid(profile)
  return profile.identityDir
}

async function pending(dir: string): Promise<GridOffer | undefined> {
  return loadOffer(dir).catch((error: unknown) => {
    if (isHoldfastError(error, "ERR_NOT_FOUND")) return undefined
    throw error
  })
}

function summaryOf(grid: GridDescription) {
  const { name, epoch = 1, serial, coding, registerMode } = grid
  return { name, epoch, serial, coding, registerMode, voters: votersOf(grid) }
}

function linesOf(grid: GridDescription): string[] {
  const { k, happy, n } = grid.coding
  const names = votersOf(grid).map((id) => grid.servers.find((server) => server.id === id)?.name ?? `${id} (gone)`)
  return [
    `Grid ${grid.name}, epoch ${grid.epoch ?? 1}, description ${grid.serial}`,
    `  coding ${k}/${happy}/${n}, ${grid.registerMode}, ${grid.servers.length} servers`,
    `  roots of trees on ${names.join(", ") || "none yet"}`,
  ]
}

/** What is said of a server that is more than any: its labels, and that it is a witness. */
function serverLine({ name, labels, witness }: GridServer): string[] {
  const words = [
    ...(witness ? ["a witness: roots of trees, and no data"] : []),
    ...(labels ? [`in ${describedLabels(labels)}`] : []),
  ]
  return words.length > 0 ? [`  ${name}: ${words.join(", ")}`] : []
}

function offerLines({ grid, violations, changes, refused }: GridOffer): string[] {
  const state = violations.length > 0 ? "is out of bounds" : refused ? "was refused" : "waits for your word"
  return [
    `The coordinator offers description ${grid.serial}, which ${state}:`,
    ...[...violations, ...changes.map(({ text }) => text)].map((text) => `  - ${text}`),
    `  holdfast grid accept ${grid.serial}    if its operator told you so`,
    ...(violations.length === 0 && !refused
      ? [`  holdfast grid refuse ${grid.serial}    to go on with the grid as it was`]
      : []),
  ]
}

function serialOf(text: string): number {
  const serial = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(serial)) return serial
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `"${text}" is not a description's number. \`holdfast grid show\` has it.`,
  )
}
