/** `holdfast account`: what a person's devices share. `holdfast keep`: how long old versions stay. */
import {
  appendOnly,
  changeAccountList,
  deviceKeyOf,
  deviceNameOf,
  exportAccount,
  exportDevice,
  grantedDevices,
  revokeDevice,
  revokedDevices,
  syncAccount,
  useAccountFile,
} from "@holdfast/client/account"
import { type Profile, unknownAlias } from "@holdfast/client/profile"
import { everyPlace, gridName, hasGrid, placesOf, volumeNames } from "@holdfast/client/volumes"
import { HoldfastError, toHex } from "@holdfast/core"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { confirmLeads } from "../../leads.ts"
import { examples, plural } from "../../words.ts"
import { parseDuration } from "../files/gc.ts"
import { humanSize } from "../files/listing.ts"

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  const account = program
    .command("account")
    .description("what your devices share: the trees that are kept, and who may free them")
  account.addHelpText(
    "after",
    examples(
      ["holdfast account show"],
      ["holdfast account export --out laptop.account", "all of it, for another device of yours"],
      ["holdfast account use laptop.account"],
      ["holdfast account grant DEVICE --append-only --out camera.account", "for a device that can take nothing away"],
      ["holdfast account revoke DEVICE", "it is lost, or another's now: it stores nothing more"],
    ),
  )
  account
    .command("show")
    .description("show the account, what it keeps, and what of it lies where")
    .action(() => show(context))
  account
    .command("export")
    .description("write everything that makes another device one of this account: a secret")
    .requiredOption("--out <file>", "where to; must not exist")
    .action(async ({ out }: { out: string }) => {
      await exportAccount(await context.openProfile(), out)
      context.output(
        { file: out },
        `${out} makes a device one of your account, with all its rights. Carry it there, use it with \`holdfast account use\`, and remove it.`,
      )
    })
  account
    .command("use")
    .description("make this profile a device of the account in a file")
    .argument("<file>")
    .option("--yes", "use keys of buckets at hosts that are new here, without asking")
    .action(async (file: string, { yes = false }: { yes?: boolean }) => {
      const kind = await useAccount(context, file, yes)
      context.output({ kind }, `This profile is now ${deviceKinds[kind]}. Remove ${file}: it is a secret.`)
    })
  account
    .command("grant")
    .description("let a device add to this account that can take nothing away, not even with its keys stolen")
    .argument("<device>", "as `holdfast account show` names it on that device")
    .requiredOption("--append-only", "the device can store and read what it knows, and remove nothing")
    .requiredOption("--out <file>", "the file to carry to the device; must not exist")
    .option("--name <name>", "what to call it", "append-only device")
    .action((device: string, flags: GrantFlags) => grant(context, device, flags))
  account
    .command("revoke")
    .description("take the grant of a device back: it stores nothing more; what it stored stays")
    .argument("<device>", "its name, or 8 letters or more of what `holdfast account show` calls it")
    .addHelpText(
      "after",
      examples(
        ["holdfast account revoke camera"],
        ["holdfast account revoke camera", "again: tells places that were away"],
      ),
    )
    .action((device: string) => revoke(context, device))
  program
    .command("keep")
    .description("say how long old versions are kept, or show it")
    .argument("[alias]", "a tree; without one, all that have no time of their own")
    .argument("[time]", "such as 30d; none keeps the newest alone, usual the last 16 versions")
    .addHelpText("after", examples(["holdfast keep home: 30d"], ["holdfast keep home: none"], ["holdfast keep"]))
    .action((alias: string | undefined, time: string | undefined) => keep(context, alias, time))
}

const deviceKinds = {
  full: "a full device of the account",
  "append-only": "a device of the account that can only add to it",
} as const

/** Makes the profile a device of the account in a file, once the user knows where its volumes lead. */
export async function useAccount(context: Context, file: string, yes: boolean) {
  const profile = await context.openProfile()
  return useAccountFile(profile, file, (volumes) =>
    confirmLeads(context, { volumes, known: placesOf(profile), yes, refused: "The account was not taken over." }),
  )
}

interface GrantFlags {
  readonly out: string
  readonly name: string
}

async function show(context: Context): Promise<void> {
  const profile = await context.openProfile()
  const account = await profile.account()
  const kind = account.keys ? "full" : "append-only"
  const volumes = []
  for (const name of volumeNames(profile)) {
    const session = await context.openSession(name)
    const { list, notes } = await syncAccount(session)
    for (const note of notes) context.warn(note)
    const usage = await Promise.all(everyPlace(session).map((backend) => backend.usage().catch(() => undefined)))
    const usedBytes = usage.reduce((sum, one) => sum + (one?.usedBytes ?? 0), 0)
    const devices = (await grantedDevices([list])).map(({ name, deviceKey }) => ({
      name,
      device: deviceNameOf(deviceKey),
    }))
    const revoked = (await revokedDevices([list])).map(({ name, deviceKey }) => ({
      name,
      device: deviceNameOf(deviceKey),
    }))
    const aliases = [...list.roots].map(([alias, { keepMs }]) => ({ alias, keepMs: keepMs ?? list.keepMs ?? null }))
    volumes.push({ name, aliases, devices, revoked, usedBytes })
  }
  const device = await deviceOf(profile)
  const lines = [`Account ${toHex(account.id)}; this profile is ${deviceKinds[kind]}.`]
  if (device !== undefined) lines.push(`Device ${device}`)
  for (const { name, aliases, devices, revoked, usedBytes } of volumes) {
    lines.push(`${name}: ${plural(aliases.length, "tree")}, ${humanSize(usedBytes)} held`)
    for (const { alias, keepMs } of aliases) lines.push(`  ${`${alias}:`.padEnd(20)} old versions: ${keepText(keepMs)}`)
    for (const one of devices) lines.push(`  append-only: ${one.name}  ${one.device}`)
    for (const one of revoked) lines.push(`  revoked: ${one.name}  ${one.device}`)
  }
  context.output({ id: toHex(account.id), kind, device: device ?? null, volumes }, lines)
}

/** How grants name this device; undefined for one that is in no grid. */
async function deviceOf(profile: Profile): Promise<string | undefined> {
  return hasGrid(profile) ? deviceNameOf(deviceKeyOf(await profile.identity())) : undefined
}

async function grant(context: Context, device: string, { out, name }: GrantFlags): Promise<void> {
  const deviceKey = new Uint8Array(Buffer.from(device, "base64url"))
  if (deviceKey.length !== 32)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${device}" names no device: on the device itself, \`holdfast account show\` tells its name.`,
    )
  const profile = await context.openProfile()
  const account = await profile.account()
  const sessions = await Promise.all(volumeNames(profile).map((volume) => context.openSession(volume)))
  const lists = await Promise.all(sessions.map(async (session) => (await syncAccount(session)).list))
  const epoch = Math.max(0, ...lists.map((list) => list.epoch)) + 1
  const bytes = await exportDevice(profile, account, { file: out, deviceKey, name, epoch })
  // Listed before the device stores anything: what it lists is kept from then on.
  for (const session of sessions)
    await changeAccountList(session, (list) => ({
      ...list,
      epoch: Math.max(list.epoch, epoch),
      grants: [...list.grants, bytes],
    }))
  context.output({ file: out, name, epoch }, [
    `${out} lets that device add to your account. There: holdfast account use ${out}`,
    "What it stores is kept by your next `holdfast gc` on a full device.",
  ])
}

async function revoke(context: Context, device: string): Promise<void> {
  const profile = await context.openProfile()
  const account = await profile.account()
  const volumes = new Map(
    volumeNames(profile).map((name) => [name, () => context.openSession(name, { forRemoval: true })] as const),
  )
  const { warn } = context
  const done = await revokeDevice(account, volumes, { device, warn })
  const { name, told, unable, errors, unchanged } = done
  const isWhole = errors.size + unchanged.size === 0
  const lines = [
    `${name} is no device of this account any more. What it stored until now is kept. ${plural(told.length, "place")} took that down.`,
    ...(unable.length > 0
      ? [
          `${unable.join(", ")} cannot tell devices apart: take away the keys that the device has there, at the provider.`,
        ]
      : []),
    ...[...errors].map(([id, why]) => `${id} does not know it yet: ${why}`),
    ...[...unchanged].map(([volume, why]) => `${volume}: its list still names the device: ${why}`),
    ...(isWhole ? [] : ["Your next `holdfast gc` tells them, or the same command again."]),
    "It may still read what it has capabilities for. To put it out of the grid: holdfast coordinator revoke",
  ]
  const { device: id } = done
  const json = { device: id, name, told, unable, errors: Object.fromEntries(errors) }
  context.output({ ...json, unchanged: Object.fromEntries(unchanged) }, lines)
  if (!isWhole) process.exitCode = exitCodes.unavailable
}

async function keep(context: Context, given: string | undefined, time: string | undefined): Promise<void> {
  const profile = await context.openProfile()
  const account = await profile.account()
  // One word alone is an alias when it ends in a colon, a time else.
  const isAlias = given !== undefined && (time !== undefined || given.endsWith(":"))
  const alias = isAlias ? given.replace(/:$/, "") : undefined
  const wanted = isAlias ? time : given
  if (!account.keys && wanted !== undefined) throw appendOnly("say how long old versions are kept")
  if (alias !== undefined && !profile.aliases.has(alias)) throw unknownAlias(alias, [...profile.aliases.keys()])
  const names = alias === undefined ? volumeNames(profile) : [profile.volumeOf(alias) ?? gridName]
  const rows: { alias: string | null; keepMs: number | null }[] = []
  for (const name of names) {
    const session = await context.openSession(name, { forRemoval: true })
    await syncAccount(session)
    const keepMs = wanted === undefined ? undefined : keepOf(wanted)
    const list = await changeAccountList(session, (before) => {
      if (keepMs === undefined) return before
      const { keepMs: _, ...rest } = before
      if (alias === undefined) return keepMs === null ? rest : { ...rest, keepMs }
      const root = before.roots.get(alias)
      if (!root) throw new HoldfastError("ERR_INVALID_ARGUMENT", `${alias}: is kept by others, who say for how long.`)
      const changed = { cap: root.cap, ...(keepMs !== null && { keepMs }) }
      return { ...before, roots: new Map([...before.roots, [alias, changed]]) }
    })
    if (alias === undefined) rows.push({ alias: null, keepMs: list.keepMs ?? null })
    for (const [root, { keepMs: own }] of list.roots)
      if (alias === undefined || root === alias) rows.push({ alias: root, keepMs: own ?? list.keepMs ?? null })
  }
  const line = (row: (typeof rows)[number]) =>
    `${(row.alias === null ? "(others)" : `${row.alias}:`).padEnd(20)} old versions: ${keepText(row.keepMs)}`
  context.output(rows, rows.map(line))
}

/** Milliseconds; null for what is usual. */
function keepOf(text: string): number | null {
  if (text === "usual") return null
  return text === "none" ? 0 : parseDuration(text)
}

function keepText(keepMs: number | null): string {
  if (keepMs === null) return "the last 16"
  return keepMs === 0 ? "none" : `of the last ${Math.round(keepMs / 86_400_000)} days, at most 16`
}
