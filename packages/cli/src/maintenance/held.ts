/** What maintenance looks after, held open from one round to the next: sessions, over a profile that other commands change meanwhile. */
import { isLocked, pathsOf, profileDir } from "@holdfast/client/profile"
import type { Session } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import type { HeldVolumes, RoundReport } from "@holdfast/fs/care"
import type { Context } from "../context.ts"
import { type MaintainedPlaces, openMaintained } from "./volumes.ts"

/** Volumes of a profile, and what people call their places. */
export interface HeldPlaces extends HeldVolumes {
  nameOf(place: string): string
}

/**
 * The places of a command, opened with the context's sessions. Each round takes what other commands changed of the profile; a session is
 * opened anew when its volume, account or membership is another, and when a round failed on it. Directories are let go of between rounds,
 * as nobody could unmount their disks else. Sessions that somebody else of the process asks for, before or later, are never closed here.
 */
export function holdPlaces(given: Context, options: MaintainedPlaces): HeldPlaces {
  const context: Context = {
    ...given,
    openSession: (volume, how) => given.openSession(volume, { ...how, isPassing: true }),
  }
  let sessions: readonly Session[] = []
  return {
    nameOf: (id) => sessions.map((session) => session.nameOf(id)).find((name) => name !== id) ?? id,
    async open() {
      sessions = []
      const locked = lockedOut(context)
      if (locked) throw locked
      await context.follow()
      const volumes = await openMaintained(context, options)
      sessions = await Promise.all(volumes.map(({ name }) => context.openSession(name)))
      return volumes
    },
    async settle(report) {
      const broken = report ? brokenIn(report) : undefined
      const isToClose = (session: Session) => (broken?.has(session.volume) ?? true) || isOnDisks(session)
      const closed = sessions.filter(isToClose)
      await context.settle(new Set(closed.map(({ volume }) => volume)))
    },
  }
}

/** Volumes on which something failed: with a session of theirs that is new it may not. */
function brokenIn({ trees, volumes }: RoundReport): Set<string> {
  return new Set([...trees, ...volumes].flatMap(({ volume, error }) => (error ? [volume] : [])))
}

function isOnDisks({ profile, volume }: Session): boolean {
  return profile.volumes.get(volume)?.backends.some(({ kind }) => kind === "directory") ?? false
}

/** Why nothing can be looked after with a locked profile; undefined where a passphrase is at hand, or none is needed. */
export function lockedOut({ env, profile, passphraseSource, isTerminal }: Context): HoldfastError | undefined {
  if (passphraseSource !== undefined || isTerminal || !isLocked(profileDir(pathsOf(env), profile))) return undefined
  return new HoldfastError(
    "ERR_LOCKED",
    `The profile "${profile}" is locked, so nothing is looked after. Unlock it, or run \`holdfast maintain --passphrase-file FILE\`.`,
  )
}
