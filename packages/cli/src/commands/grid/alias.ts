/** `holdfast alias`: names for capabilities: those of the account's list, cached in the profile, and the profile's own. */
import { addRoot, createAliasTree, holdFor, removeRoot, syncAccount } from "@holdfast/client/account"
import { checkAlias, unknownAlias } from "@holdfast/client/profile"
import { gridName, volumeFor, volumeNames } from "@holdfast/client/volumes"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { decodeCap } from "@holdfast/protocol"
import type { Command } from "commander"
import { holdNow } from "../../account/hold.ts"
import { confirm } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { readSecret } from "../../input.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  const alias = program.command("alias").description("name capabilities, so that paths can begin with the name")
  alias.addHelpText(
    "after",
    "\nExamples:\n  holdfast alias create photos\n  holdfast alias create notes --file\n  holdfast alias add team --cap-file team.cap\n  holdfast alias list\n  holdfast alias remove team --yes\n",
  )
  alias
    .command("add")
    .description("name a capability, read from a file or from standard input, and keep what it stands for")
    .argument("<name>", "the alias, without a colon")
    .option("--cap-file <file>", "file that holds the capability; - or nothing is standard input")
    .option("--local", "for this profile alone: the account keeps nothing of it, others must")
    .option("--replace", "let the alias stand for this from now on, whatever it stood for before")
    .action((name: string, flags: AddFlags) => add(context, nameOf(name), flags))
  alias
    .command("create")
    .description("make a new, empty tree and name it")
    .argument("<name>", "the alias, without a colon")
    .option("--file", "a single file instead of a tree, to be shared by itself")
    .action(async (given: string, { file = false }: { file?: boolean }) => {
      const name = nameOf(given)
      checkAlias(name) // the account's list takes any
      const kind = file ? "fw" : "dw"
      await createAliasTree(await context.openSession(), name, kind)
      await context.outputChanged({ alias: name, kind }, `${name}: is a new, empty ${file ? "file" : "tree"}.`)
    })
  alias
    .command("list")
    .description("list aliases and what they grant (never the capabilities themselves)")
    .action(() => list(context))
  alias
    .command("remove")
    .description("forget an alias; a tree that the account keeps is freed by the next `holdfast gc`")
    .argument("<name>")
    .option("--yes", "do not ask")
    .action((name: string, { yes = false }: { yes?: boolean }) => remove(context, nameOf(name), yes))
}

interface AddFlags {
  readonly capFile?: string
  readonly local?: boolean
  readonly replace?: boolean
}

async function add(context: Context, alias: string, { capFile, local = false, replace = false }: AddFlags) {
  checkAlias(alias)
  const cap = await readSecret(capFile ?? "-")
  const { kind } = decodeCap(cap)
  const profile = await context.openProfile()
  const known = profile.aliases.get(alias)
  const volume = volumeFor(profile, known === undefined ? context.volume : (profile.volumeOf(alias) ?? gridName))
  if (known !== undefined && known !== cap && !replace)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `${alias}: stands for something else, which might be the only way to it. Keep that with \`holdfast cap ${alias}:\`, then use --replace, or choose another name.`,
    )
  const where = volume === gridName ? undefined : volume
  let isHeld = false
  if (local) await profile.setAlias(alias, cap, { volume: where, state: "local" })
  else {
    const session = await context.openSession(volume)
    await syncAccount(session)
    await addRoot(session, alias, { cap })
    await holdFor(session.store, cap, await profile.account())
    const { warn } = context
    isHeld = await holdNow(session, cap, { label: `${alias}:`, warn })
    await profile.setAlias(alias, cap, { volume: where, state: "listed" })
  }
  const whose = local
    ? "It is kept by others: this account holds nothing of it."
    : isHeld
      ? "This account keeps what it stands for."
      : "This account is to keep what it stands for, but does not hold all of it yet."
  context.output({ alias, kind, local }, `${alias}: now stands for a capability of kind hf:${kind}:. ${whose}`)
}

async function list(context: Context): Promise<void> {
  const profile = await context.openProfile()
  for (const name of volumeNames(profile)) await syncVolume(context, name)
  const rows = [...profile.aliases].map(([name, cap]) => ({
    name,
    kind: decodeCap(cap).kind,
    volume: profile.volumeOf(name) ?? gridName,
    local: profile.aliasState(name) === "local",
  }))
  const line = (row: (typeof rows)[number]) =>
    `${`${row.name}:`.padEnd(20)} ${grants[row.kind].padEnd(18)} ${row.volume}${row.local ? ", kept by others" : ""}`
  context.output(rows, rows.map(line))
}

/** While a volume is away, what the profile knows of it is shown. */
async function syncVolume(context: Context, name: string): Promise<void> {
  const { warn } = context
  try {
    const { notes } = await syncAccount(await context.openSession(name))
    for (const note of notes) warn(note)
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    warn(`the account's list on ${name} could not be read, so other devices' aliases may be missing: ${error.message}`)
  }
}

async function remove(context: Context, name: string, yes: boolean): Promise<void> {
  const profile = await context.openProfile()
  const cap = profile.aliases.get(name)
  if (cap === undefined) throw unknownAlias(name, [...profile.aliases.keys()])
  const isOwn = profile.aliasState(name) !== "local"
  const isFull = (await profile.account()).keys !== undefined
  if (isOwn) {
    await confirmRemoval(context, name, yes)
    const session = await context.openSession(profile.volumeOf(name) ?? gridName, { forRemoval: true })
    await syncAccount(session)
    await removeRoot(session, name, cap)
  }
  if (profile.aliases.has(name)) await profile.removeAlias(name)
  context.output(
    { removed: name },
    isOwn
      ? `${name} is forgotten on ${isFull ? "all your devices. The next `holdfast gc` frees what only it needed." : "this device. A full device of the account keeps it until it is removed there."}`
      : `${name} is forgotten here.`,
  )
}

/** Throws ERR_INVALID_ARGUMENT unless the user said yes. */
async function confirmRemoval(context: Context, name: string, yes: boolean): Promise<void> {
  if (yes) return
  const warning = `Without ${name}: this account does not keep its tree any more, and the next \`holdfast gc\` frees it. A capability that is written down elsewhere then opens nothing.`
  await confirm(context, {
    ...{ warning, question: "Forget it?", refusal: `${name}: stays.` },
    insteadOfAsking: `To do so: holdfast alias remove ${name} --yes`,
  })
}

const grants = {
  dw: "directory, write",
  dr: "directory, read",
  dv: "directory, verify",
  fw: "file, write",
  fr: "file, read",
  fv: "file, verify",
  ci: "immutable, read",
  cv: "immutable, verify",
  lit: "literal",
} as const

/** An alias as it is kept: people also write the colon that paths have. */
function nameOf(given: string): string {
  return given.replace(/:$/, "")
}
