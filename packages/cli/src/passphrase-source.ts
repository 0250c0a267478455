/** Where the passphrase of a locked profile comes from when nobody types it: a file, a command, or a credential of systemd. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { join } from "node:path"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { localError, readSecretFile } from "@holdfast/core/node"

/** What was named. */
export type PassphraseSource =
  | { readonly kind: "file"; readonly file: string }
  | { readonly kind: "command"; readonly command: string }
  /** A file that systemd made for this service alone (LoadCredential=); it is not ours to judge its mode. */
  | { readonly kind: "credential"; readonly file: string }

/** The name of the credential. */
export const credentialName = "holdfast-passphrase"

const mostBytes = 64 * 1024
const fromEnvironment = 'command_to_run=$HOLDFAST_COMMAND_TO_RUN; unset HOLDFAST_COMMAND_TO_RUN; eval "$command_to_run"'

/** The first that is named: the file, then the command, then a credential that is there. */
export function passphraseSource(
  file: string | undefined,
  command: string | undefined,
  env: NodeJS.ProcessEnv,
): PassphraseSource | undefined {
  if (file !== undefined) return { kind: "file", file }
  if (command !== undefined) return { kind: "command", command }
  const folder = env["CREDENTIALS_DIRECTORY"]
  const credential = folder ? join(folder, credentialName) : undefined
  return credential !== undefined && fs.existsSync(credential) ? { kind: "credential", file: credential } : undefined
}

/**
 * Its first line as it is, without the mark with which some editors begin a file. A command runs in the shell, with the terminal for
 * questions of its own. Throws ERR_IO, ERR_NOT_FOUND, ERR_EXPOSED, ERR_INVALID_ARGUMENT.
 */
export function readFrom(source: PassphraseSource): string {
  const bytes = source.kind === "command" ? outputOf(source.command) : readFile(source)
  return Buffer.from(bytes)
    .toString("utf8")
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/, 1)[0]!
}

function readFile(source: Exclude<PassphraseSource, { kind: "command" }>): Uint8Array {
  try {
    return source.kind === "file" ? readSecretFile(source.file) : fs.readFileSync(source.file)
  } catch (error) {
    // Who types a passphrase where its file belongs does not want to read it again.
    throw isHoldfastError(error) ? error : localError(error, "the file named for the passphrase")
  }
}

function outputOf(command: string): Uint8Array {
  // From the environment: other users may read the arguments of the shell, and the command may hold a secret.
  const { status, signal, stdout, error } = spawnSync("/bin/sh", ["-c", fromEnvironment], {
    env: { ...process.env, HOLDFAST_COMMAND_TO_RUN: command },
    stdio: ["inherit", "pipe", "inherit"],
    maxBuffer: mostBytes,
  })
  if (!error && status === 0) return stdout
  const how = error ? ((error as NodeJS.ErrnoException).code ?? "error") : (signal ?? `status ${status}`)
  // The command itself may hold a secret, so it is not repeated.
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `The command that is to give the passphrase ended with ${how}.`)
}
