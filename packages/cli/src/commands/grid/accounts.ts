/** `holdfast coordinator accounts`: what a tenant's accounts hold on the nodes, and letting go of one that nobody needs. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { pathsOf } from "@holdfast/client/profile"
import type { Administrator } from "@holdfast/client/volumes"
import { fromHex, HoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { signStatement } from "@holdfast/protocol"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { gridFiles } from "../../local-grid/config.ts"
import { examples, plural } from "../../words.ts"
import { confirmLast, idOf, jsonOf, lineOf, nameOf } from "./account-lines.ts"

interface AccountsFlags {
  readonly dir?: string
  readonly yes?: boolean
  readonly tenant?: string
}

const dirFlag = ["--dir <folder>", "the coordinator's folder (default: that of the local grid)"] as const
const tenantFlag = ["--tenant <name>", "whose accounts; needed where there are several tenants"] as const

/** Adds the commands below `coordinator`. */
export function registerAccounts(coordinator: Command, context: Context): void {
  const accounts = coordinator
    .command("accounts")
    .description("list and drop the accounts of a tenant (on the coordinator's machine)")
  accounts
    .command("list")
    .description("list accounts with what they hold and when they were last there")
    .option(...dirFlag)
    .option(...tenantFlag)
    .addHelpText("after", examples(["holdfast coordinator accounts list --dir /var/lib/holdfast/coordinator"]))
    .action((flags: AccountsFlags) => list(context, flags))
  accounts
    .command("drop")
    .description("let go of what an account holds: nothing goes before 30 days are over, and `keep` undoes it")
    .argument("<account>", "its id, or the first digits of it; legacy for what was stored before there were accounts")
    .option(...dirFlag)
    .option(...tenantFlag)
    .option("--yes", "do not ask, though nothing is left then")
    .addHelpText(
      "after",
      examples(["holdfast coordinator accounts drop 3fa97c20", "its devices are told with every command"]),
    )
    .action((account: string, flags: AccountsFlags) => state(context, { account, drops: true, flags }))
  accounts
    .command("keep")
    .description("undo a drop whose time is not over")
    .argument("<account>", "as for drop")
    .option(...dirFlag)
    .option(...tenantFlag)
    .addHelpText("after", examples(["holdfast coordinator accounts keep 3fa97c20"]))
    .action((account: string, flags: AccountsFlags) => state(context, { account, drops: false, flags }))
}

type Opened = Administrator & Pick<import("@holdfast/coordinator").Administration, "nextSerial" | "keep">

async function withAdministration(
  context: Context,
  { dir, tenant }: AccountsFlags,
  work: (administrator: Opened) => Promise<void>,
): Promise<void> {
  const { openAdministration } = await import("@holdfast/coordinator")
  const opened = openAdministration({ dir: dir ?? localCoordinator(context), tenant })
  try {
    await work({ ...opened, seed: fromHex(opened.seed), identity: await opened.identity() })
  } finally {
    opened.close()
  }
}

function localCoordinator(context: Context): string {
  const { coordinatorDir } = gridFiles(join(pathsOf(context.env).data, "grid"))
  if (existsSync(coordinatorDir)) return coordinatorDir
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    "There is no local grid here: name the coordinator's folder with --dir.",
  )
}

function list(context: Context, flags: AccountsFlags): Promise<void> {
  return withAdministration(context, flags, async (administrator) => {
    const { listAccounts } = await import("@holdfast/client/volumes")
    const { all, errors } = await listAccounts(administrator)
    const lines = [
      `Tenant ${administrator.tenant}: ${plural(all.length, "account")}`,
      ...all.map(lineOf),
      ...[...errors].map(([name, why]) => `${name} did not answer: ${why}`),
    ]
    const { tenant } = administrator
    context.output({ tenant, accounts: all.map(jsonOf), errors: Object.fromEntries(errors) }, lines)
  })
}

interface Wanted {
  readonly account: string
  readonly drops: boolean
  readonly flags: AccountsFlags
}

function state(context: Context, { account: text, drops, flags }: Wanted): Promise<void> {
  return withAdministration(context, flags, async (administrator) => {
    const { listAccounts, tellNodes } = await import("@holdfast/client/volumes")
    const list = async () => (await listAccounts(administrator)).all
    const id = await idOf(text, list)
    if (drops)
      await confirmLast(context, id, {
        all: await list(),
        yes: flags.yes ?? false,
        where: `of tenant ${administrator.tenant}`,
      })
    const serial = administrator.nextSerial(Date.now())
    const statement = { tenant: administrator.tenant, account: fromHex(id), serial, drops }
    const signed = await signStatement(crypto, administrator.seed, statement)
    administrator.keep(id, signed) // first: a node that is away hears of it when it announces itself
    const { answers, errors } = await tellNodes(administrator, signed)
    const what = drops
      ? `is dropped. Nothing of it goes before 30 days are over; until then: holdfast coordinator accounts keep ${nameOf(id)}`
      : "is kept."
    const lines = [
      `Account ${nameOf(id)} ${what}`,
      `${plural(answers.size, "node")} took that down.`,
      ...[...errors].map(([name, why]) => `${name} hears of it from the coordinator: ${why}`),
    ]
    context.output(
      { account: id, drops, serial, nodes: [...answers.keys()], errors: Object.fromEntries(errors) },
      lines,
    )
  })
}
