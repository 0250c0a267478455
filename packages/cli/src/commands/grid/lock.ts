/** `holdfast lock` and `unlock`: the profile's secrets under a passphrase, and back. */
import {
  changing,
  hasSecrets,
  isLocked,
  lockSecrets,
  noProfile,
  pathsOf,
  profileDir,
  readSecrets,
  unlockSecrets,
} from "@holdfast/client/profile"
import { HoldfastError } from "@holdfast/core"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { readNewPassphrase } from "../../passphrase.ts"

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  program
    .command("lock")
    .description("put the profile's secrets under a passphrase; commands then ask for it")
    .option("--change", "replace the passphrase of a locked profile")
    .option("--new-passphrase-file <file>", "file that holds the new passphrase, with --change")
    .addHelpText(
      "after",
      "\nExamples:\n  holdfast lock\n  holdfast lock --passphrase-file pass.txt\n  holdfast lock --change --passphrase-file pass.txt --new-passphrase-file new.txt\n",
    )
    .action((flags: LockFlags) => lock(context, flags))
  program
    .command("unlock")
    .description("take the passphrase away again")
    .addHelpText("after", "\nExamples:\n  holdfast unlock\n  holdfast unlock --passphrase-file pass.txt\n")
    .action(() => unlock(context))
}

interface LockFlags {
  readonly change?: boolean
  readonly newPassphraseFile?: string
}

async function lock(context: Context, { change = false, newPassphraseFile }: LockFlags): Promise<void> {
  const dir = existingProfile(context)
  const { profile, passphraseSource } = context
  if (isLocked(dir) && !change)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `The profile "${profile}" is locked already. \`holdfast lock --change\` gives it another passphrase.`,
    )
  if (!isLocked(dir) && change)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `The profile "${profile}" is not locked. Leave --change out.`)
  // Before the change, so that nobody waits for the one who types.
  const before = await readSecrets(dir, context.passphrase)
  const passphrase = await readNewPassphrase(newPassphraseFile ?? (change ? undefined : passphraseSource))
  await changing(dir, async () =>
    lockSecrets(dir, await readSecrets(dir, context.passphrase, before.lock?.key), passphrase),
  )
  context.output(
    { profile, locked: true },
    change
      ? `The profile "${profile}" has a new passphrase.`
      : `The profile "${profile}" is locked. Without the passphrase nobody, you included, can use it: keep a copy of your write capabilities elsewhere (holdfast cap home:).`,
  )
}

async function unlock(context: Context): Promise<void> {
  const dir = existingProfile(context)
  const { profile } = context
  if (!isLocked(dir)) throw new HoldfastError("ERR_INVALID_ARGUMENT", `The profile "${profile}" is not locked.`)
  const before = await readSecrets(dir, context.passphrase)
  await changing(dir, async () => unlockSecrets(dir, await readSecrets(dir, context.passphrase, before.lock?.key)))
  context.output(
    { profile, locked: false },
    `The profile "${profile}" is unlocked: its secrets are readable by you only.`,
  )
}

function existingProfile(context: Context): string {
  const dir = profileDir(pathsOf(context.env), context.profile)
  if (!hasSecrets(dir)) throw noProfile(context.profile)
  return dir
}
