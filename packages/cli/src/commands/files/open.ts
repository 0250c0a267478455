/** Opens the sessions and trees that the places of a command line are in. */
import { type Profile, unknownAlias } from "@holdfast/client/profile"
import { gridName, type Session, volumesFor } from "@holdfast/client/volumes"
import { isHoldfastError } from "@holdfast/core"
import { type FileSystem, type Files, filesOf } from "@holdfast/fs"
import { type Cap, decodeCap } from "@holdfast/protocol"
import { advised } from "../../advice.ts"
import type { Context, HowOpened } from "../../context.ts"
import { readSecret } from "../../input.ts"
import type { RemoteBase } from "../../places.ts"
import type { Opener } from "./locations.ts"

/** Options of every command that names places. */
export interface FileFlags {
  readonly capFile?: string
}

/** Gives the capability that a place starts with; `cap:` stands for that of --cap-file. Each file is read once. */
export type CapFinder = (base: RemoteBase) => Promise<Cap>

/** Gives the session with the volume that a place is in: an alias knows its own, a capability is in that of --volume. */
export type SessionFinder = (base: RemoteBase) => Promise<Session>

/** Runs `work` with a way to open trees; each tree is opened once. */
export async function withFiles<T>(
  context: Context,
  flags: FileFlags & HowOpened,
  work: (open: Opener, sessionOf: SessionFinder, capOf: CapFinder) => Promise<T>,
): Promise<T> {
  const profile = await context.openProfile()
  const { warn } = context
  const { forRemoval = false, keepsStored = false } = flags
  const how = { forRemoval, keepsStored }
  const sessionOf: SessionFinder = (base) => listedSession(context, profile, base, how)
  const capOf = once(async (base: RemoteBase) => {
    const isAlias = base.kind === "alias" && !(base.alias === "cap" && flags.capFile !== undefined)
    if (isAlias) await lookForAlias(context, profile, base.alias, how)
    return findCap(profile, flags, base)
  })
  const filesOn = filesOfSessions()
  const open = once(async (base: RemoteBase): Promise<FileSystem> => {
    const cap = await capOf(base)
    const label = base.kind === "alias" ? `${base.alias}:` : "(capability)"
    return filesOn(await sessionOf(base)).open(cap, { label, warn })
  })
  try {
    return await work(open, sessionOf, capOf)
  } catch (error) {
    throw isHoldfastError(error) ? advised(error) : error
  }
}

/** The file systems of a session's volume. */
export function filesOfSession({ store, env, profile, volume }: Session): Files {
  const { chunks, registers } = store
  return filesOf({ chunks, registers, env, volume, uploads: profile })
}

/** The same for each session, so that what one tree has read the next need not read again. */
function filesOfSessions(): (session: Session) => Files {
  const known = new Map<Session, Files>()
  return (session) => {
    const files = known.get(session) ?? filesOfSession(session)
    known.set(session, files)
    return files
  }
}

/** What is not known here stays unknown, for whatever reason the list could not be read. */
function ignoreRefusal(error: unknown): void {
  if (!isHoldfastError(error)) throw error
}

/**
 * The session that a place is in. An alias that the account's list lacks is listed before anything is put for it; one that is
 * not known here may have been made on another device.
 */
async function listedSession(context: Context, profile: Profile, base: RemoteBase, how: HowOpened): Promise<Session> {
  const isKnown = base.kind === "alias" && profile.aliases.has(base.alias)
  const isCap = base.kind !== "alias" || base.alias === "cap"
  const session = await context.openSession(isKnown ? (profile.volumeOf(base.alias) ?? gridName) : undefined, how)
  if (isCap || (isKnown && profile.aliasState(base.alias) !== undefined)) return session
  await sync(context, session)
  return session
}

/** An alias that is not known here may have been made since on another device of the account, on any of its volumes. */
async function lookForAlias(context: Context, profile: Profile, alias: string, how: HowOpened): Promise<void> {
  for (const volume of volumesFor(profile, context.volume)) {
    if (profile.aliases.has(alias)) return
    await context
      .openSession(volume, how)
      .then((session) => sync(context, session))
      .catch(ignoreRefusal)
  }
}

async function sync(context: Context, session: Session): Promise<void> {
  const { syncAccount } = await import("@holdfast/client/account")
  for (const note of (await syncAccount(session)).notes) context.warn(note)
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

async function findCap(profile: Profile, { capFile }: FileFlags, base: RemoteBase): Promise<Cap> {
  if (base.kind === "cap") return decodeCap(base.text)
  if (base.kind === "cap-file") return decodeCap(await readSecret(base.file))
  if (base.alias === "cap" && capFile !== undefined) return decodeCap(await readSecret(capFile))
  const cap = profile.aliases.get(base.alias)
  if (!cap) throw unknownAlias(base.alias, [...profile.aliases.keys()])
  return decodeCap(cap)
}
