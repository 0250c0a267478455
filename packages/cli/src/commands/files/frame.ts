/** What the file commands need of the command line's frame, and what they all do: open a session, trees, secrets. */
import * as fs from "node:fs"
import { HoldfastError } from "@holdfast/core"
import { decodeCap } from "@holdfast/protocol"
import type { Context } from "../../context.ts"
import type { Session } from "../../session.ts"
import { localError } from "../../transfer/local.ts"
import type { RemoteBase } from "../../transfer/path-spec.ts"
import { openVolume } from "./open-volume.ts"
import type { VolumeOpener } from "./places.ts"
import type { Volume } from "./volume.ts"

/** Options of every command that names places. */
export interface VolumeFlags {
  readonly capFile?: string
}

/** Options of put and get. */
export interface TransferFlags extends VolumeFlags {
  readonly overwrite?: boolean
}

/** True when results go to a terminal, which control characters in names could drive. */
export function showsOnTerminal(context: Context): boolean {
  return context.stdout.isTTY === true
}

/** Runs `work` with a way to open trees; each tree is opened once. `cap:` is the capability of --cap-file. */
export async function withVolumes<T>(
  context: Context,
  flags: VolumeFlags,
  work: (open: VolumeOpener, session: Session) => Promise<T>,
): Promise<T> {
  const session = await context.openSession()
  const volumes = new Map<string, Promise<Volume>>()
  const open = (base: RemoteBase): Promise<Volume> => {
    const asked: RemoteBase =
      base.kind === "alias" && base.alias === "cap" && flags.capFile !== undefined
        ? { kind: "cap-file", file: flags.capFile }
        : base
    const key = JSON.stringify(asked)
    let volume = volumes.get(key)
    if (!volume) {
      volume = openBase(session, asked)
      volumes.set(key, volume)
    }
    return volume
  }
  return work(open, session)
}

async function openBase(session: Session, base: RemoteBase): Promise<Volume> {
  if (base.kind === "alias") return openVolume(session, decodeCap(session.capOf(base.alias)), `${base.alias}:`)
  const text = base.kind === "cap" ? base.text : await readSecret(base.file)
  return openVolume(session, decodeCap(text), "(capability)")
}

/** Most bytes of a file with a capability. */
const secretBytes = 64 * 1024

/** The first line of a file, or of stdin for `-`: a secret that is not on the command line. */
export async function readSecret(file: string): Promise<string> {
  try {
    const bytes = fs.readFileSync(file === "-" ? 0 : file)
    if (bytes.length > secretBytes) throw new HoldfastError("ERR_LIMIT", `"${file}" is too large for a capability.`)
    return bytes.toString("utf8").trim().split(/\r?\n/, 1)[0]!
  } catch (error) {
    throw localError(error, file)
  }
}

/** Writes bytes to stdout, waiting when the reader is slow. */
export async function writeOut(context: Context, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    context.stdout.write(bytes, (error) => (error ? reject(localError(error, "stdout")) : resolve())),
  )
}

/** Help text with examples: a command each, with a remark. */
export function examples(...lines: readonly (readonly [command: string, remark?: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const shown = lines.map(([command, remark]) =>
    remark === undefined ? `  ${command}` : `  ${command.padEnd(width)}  ${remark}`,
  )
  return `\nExamples:\n${shown.join("\n")}`
}

/** `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

export type { Context, Session }
