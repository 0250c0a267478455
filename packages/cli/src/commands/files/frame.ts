/** What the file commands need of the command line's frame, and what they all do: open a session, trees, secrets. */
import * as fs from "node:fs"
import { readFile } from "node:fs/promises"
import { text as readAll } from "node:stream/consumers"
import { fromUtf8, HoldfastError, isHoldfastError } from "@holdfast/core"
import { createSecretFile, type NewSecretFile, readSecretFile } from "@holdfast/core/node"
import { type Cap, decodeCap } from "@holdfast/protocol"
import type { Context } from "../../context.ts"
import { type Profile, unknownAlias } from "../../profile/profile.ts"
import type { Session } from "../../session.ts"
import { localError } from "../../transfer/local.ts"
import type { RemoteBase } from "../../transfer/path-spec.ts"
import { gridName } from "../../volumes/choose.ts"
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

/** Gives the capability that a place starts with; `cap:` stands for that of --cap-file. Each file is read once. */
export type CapFinder = (base: RemoteBase) => Promise<Cap>

/** Gives the session with the volume that a place is in: an alias knows its own, a capability is in that of --volume. */
export type SessionFinder = (base: RemoteBase) => Promise<Session>

/** Runs `work` with a way to open trees; each tree is opened once. */
export async function withVolumes<T>(
  context: Context,
  flags: VolumeFlags,
  work: (open: VolumeOpener, sessionOf: SessionFinder, capOf: CapFinder) => Promise<T>,
): Promise<T> {
  const profile = await context.openProfile()
  const { warn } = context
  const sessionOf: SessionFinder = (base) => listedSession(context, profile, base, warn)
  const capOf = once(async (base: RemoteBase) => {
    const isAlias = base.kind === "alias" && !(base.alias === "cap" && flags.capFile !== undefined)
    // Another device of the account may have made the alias since.
    if (isAlias && !profile.aliases.has(base.alias)) await sessionOf(base).catch(ignoreRefusal)
    return findCap(profile, flags, base)
  })
  const open = once(async (base: RemoteBase): Promise<Volume> => {
    const cap = await capOf(base)
    const label = base.kind === "alias" ? `${base.alias}:` : "(capability)"
    return openVolume(await sessionOf(base), cap, { label, warn })
  })
  return work(open, sessionOf, capOf)
}

/** What is not known here stays unknown, for whatever reason the list could not be read. */
function ignoreRefusal(error: unknown): void {
  if (!isHoldfastError(error)) throw error
}

/**
 * The session that a place is in. An alias that the account's list lacks is listed before anything is put for it; one that is
 * not known here may have been made on another device.
 */
async function listedSession(
  context: Context,
  profile: Profile,
  base: RemoteBase,
  warn: (text: string) => void,
): Promise<Session> {
  const isKnown = base.kind === "alias" && profile.aliases.has(base.alias)
  const isCap = base.kind !== "alias" || base.alias === "cap"
  const session = await context.openSession(isKnown ? (profile.volumeOf(base.alias) ?? gridName) : undefined)
  if (isCap || (isKnown && profile.aliasState(base.alias) !== undefined)) return session
  const { syncAccount } = await import("../../account/sync.ts")
  for (const note of (await syncAccount(session)).notes) warn(note)
  return session
}

function once<T>(work: (base: RemoteBase) => Promise<T>): (base: RemoteBase) => Promise<T> {
  const results = new Map<string, Promise<T>>()
  return (base) => {
    const key = JSON.stringify(base)
    const result = results.get(key) ?? work(base)
    results.set(key, result)
    return result
  }
}

async function findCap(profile: Profile, { capFile }: VolumeFlags, base: RemoteBase): Promise<Cap> {
  if (base.kind === "cap") return decodeCap(base.text)
  if (base.kind === "cap-file") return decodeCap(await readSecret(base.file))
  if (base.alias === "cap" && capFile !== undefined) return decodeCap(await readSecret(capFile))
  const cap = profile.aliases.get(base.alias)
  if (!cap) throw unknownAlias(base.alias, [...profile.aliases.keys()])
  return decodeCap(cap)
}

/**
 * The first line of a file, or of stdin for `-`: a secret that is not on the command line. Throws ERR_EXPOSED when others may
 * read the file.
 */
export async function readSecret(file: string): Promise<string> {
  try {
    return fromUtf8(readSecretFile(file)).trim().split(/\r?\n/, 1)[0]!
  } catch (error) {
    throw localError(error, file)
  }
}

/** Prints a secret that was asked for, or writes it into the new file `out` that only its owner may read. */
export async function handOver(
  context: Context,
  { out, value, text }: { readonly out: string | undefined; readonly value: object; readonly text: string },
): Promise<void> {
  if (out === undefined) {
    context.outputExact(value, text)
    if (isOpenFile((context.stdout as { readonly fd?: number }).fd))
      context.warn("others may read the file that this went into; --out FILE makes a closed one.")
    return
  }
  const file = await newSecretFile(out)
  try {
    await file.write(`${text}\n`)
  } finally {
    await file.close()
  }
  context.output({ out }, `Written to ${out}, which only you may read.`)
}

function isOpenFile(fd: number | undefined): boolean {
  if (fd === undefined) return false
  const state = fs.fstatSync(fd)
  return state.isFile() && process.platform !== "win32" && (state.mode & 0o077) !== 0
}

/** A new file for a secret. Throws ERR_ALREADY_EXISTS, ERR_IO. */
export async function newSecretFile(path: string): Promise<NewSecretFile> {
  return createSecretFile(path).catch((error: unknown) => {
    throw localError(error, path)
  })
}

/** The JSON of a file, or of stdin for `-`. Throws ERR_BAD_FORMAT saying that it is not `expected`, ERR_IO. */
export async function readJsonInput({ stdin }: Context, file: string, expected: string): Promise<unknown> {
  const text = await (file === "-" ? readAll(stdin) : readFile(file, "utf8")).catch((error: unknown) => {
    throw localError(error, file)
  })
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new HoldfastError("ERR_BAD_FORMAT", `"${file}" is not ${expected}.`, { file }, { cause })
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
