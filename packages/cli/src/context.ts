/** What a command is given: where to write, how the user wants it, and a session with the grid when it asks for one. */
import type { Profile } from "@holdfast/client/profile"
import type { GridOptions, Session, SessionOptions } from "@holdfast/client/volumes"
import { isHoldfastError } from "@holdfast/core"
import type { Rollback, ShareDamage, TracedRequest } from "@holdfast/store"
import { firstWord, hasFlag, optionValue } from "./arguments.ts"
import { isOn, variableOf } from "./defaults.ts"
import type { Degraded } from "./degraded.ts"
import { createInterruption, type Interruption } from "./interruption.ts"
import { MetDamage } from "./met-damage.ts"
import { type PassphraseSource, passphraseSource } from "./passphrase-source.ts"
import { createProgress, createProgressEvents, type Progress, type ProgressUnit } from "./progress.ts"
import { ratesOf } from "./rates.ts"
import { Requests, requestLine } from "./requests.ts"
import { createScreen, type Line, type Screen } from "./screen.ts"

/** How a command opens its sessions. */
export interface HowOpened extends Pick<SessionOptions, "forRemoval" | "onDamage"> {
  /** When it is told to end it makes certain what it has stored by then. */
  readonly keepsStored?: boolean
  /** `follow` and `settle` may close the session, unless somebody asked for it without this too. */
  readonly isPassing?: boolean
}

/** The surroundings of one run of the command. */
export interface Context extends Screen {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: NodeJS.ProcessEnv
  /** --json was given. */
  readonly json: boolean
  /** Standard error is a terminal: progress and colours make sense. */
  readonly isTerminal: boolean
  /** A progress bar, on a terminal and without --json; with --json and --verbose lines of JSON on standard error. */
  progress(label: string, total?: number, unit?: ProgressUnit): Progress
  /** The name of the profile in use. */
  readonly profile: string
  /** What gives the passphrase of a locked profile, when something was named. */
  readonly passphraseSource: PassphraseSource | undefined
  /** The passphrase of a locked profile: from there, or asked for once. */
  passphrase(): Promise<string>
  /** The volume that --volume names. */
  readonly volume: string | undefined
  /** Opens the profile without its servers. */
  openProfile(): Promise<Profile>
  /** Opens the volume named, else that of --volume, else the profile's own; closed at the end of the run. */
  openSession(volume?: string, options?: HowOpened): Promise<Session>
  /** Another session, not shared with the rest of the run, whose caller closes it; it ends with `signal` too. */
  openOwnSession(volume: string, options?: HowOpened & Pick<SessionOptions, "signal">): Promise<Session>
  /**
   * For what runs for months: takes what other commands changed of the profile, and closes sessions whose volume is another now, to be
   * opened anew; of those alone that are passing. When the profile is gone, or locked meanwhile, all of these are closed, and that is
   * thrown.
   */
  follow(): Promise<void>
  /** For the same: leaves the damage that reads met to maintenance, and closes those with these volumes, to be opened anew. */
  settle(closed?: ReadonlySet<string>): Promise<void>
  /** Prints the result of a command that changes something, as `done` does: `degraded` in it says what places did not take. */
  outputChanged(value: object, text: string | readonly Line[]): Promise<void>
  /** What places did not take of what was stored so far. */
  degraded(): Promise<Degraded | undefined>
  /** What stops work that looks at it: from the first use on, a signal to the process does not end it at once. */
  readonly interruption: Interruption
  /**
   * Closes the sessions, once it has said what places did not take; not after an error that says it. Throws what one of them throws,
   * once all are closed.
   */
  close(error?: unknown): Promise<void>
}

/** Commands that look at the servers themselves: a server that was replaced a moment ago is no fault to them. */
const newestCommands = new Set(["check", "rebalance", "maintain", "status", "gc", "up", "upgrade", "supervise"])

/** The context of a real process. */
export function createContext(process: NodeJS.Process, args: readonly string[]): Context {
  const { stdin, stdout, stderr, env } = process
  const flag = (name: string) => hasFlag(args, name) || isOn(env[variableOf({ long: name })])
  const json = flag("--json")
  const isTerminal = stderr.isTTY === true
  const screen = createScreen({ stdout, stderr, json })
  const profile = optionValue(args, "--profile") ?? (env["HOLDFAST_PROFILE"] || "default")
  const optionOf = (name: string) => optionValue(args, name) ?? (env[variableOf({ long: name })] || undefined)
  const source = passphraseSource(optionOf("--passphrase-file"), optionOf("--passphrase-command"), env)
  let asked: Promise<string> | undefined
  let opened: Promise<Profile> | undefined
  /** By volume and how they are opened. */
  const sessions = new Map<string, Promise<Session>>()
  const open: Session[] = []
  /** Those that somebody holds for the rest of the run. */
  const held = new Set<Promise<Session>>()
  const met = new Map<Promise<Session>, MetDamage>()
  const leaveDamage = async () => {
    for (const [opening, damage] of met) {
      const session = await opening.catch(() => undefined) // who asked for it was told
      if (!session) continue
      const lines = damage.lines((id) => session.nameOf(id))
      if (lines.length === 0) continue
      for (const line of lines) screen.detail(line)
      const { openMaintenance } = await import("./maintenance/folder.ts")
      await damage.leave(openMaintenance({ env, profile, warn: screen.warn }).folder, session.storage)
      damage.clear()
    }
  }
  /** Closes the passing sessions that are to go; what is asked of their volumes next is opened anew. */
  const drop = async (isToGo: (session: Session) => boolean | Promise<boolean>) => {
    const left: Promise<Session>[] = []
    for (const [name, opening] of sessions) {
      const session = await opening.catch(() => undefined)
      if (session && !(await isToGo(session))) continue
      if (session && held.has(opening)) continue // looked at last: somebody may have asked for it meanwhile
      sessions.delete(name)
      held.delete(opening)
      met.delete(opening)
      if (session && open.includes(session)) open.splice(open.indexOf(session), 1)
      left.push(opening)
    }
    await closeAll(left)
  }
  const nameOf = (id: string) => open.map((session) => session.nameOf(id)).find((name) => name !== id) ?? id
  const requests = new Requests()
  const isTraced = flag("--trace")
  const onRequest = (request: TracedRequest) => {
    requests.add(request)
    if (isTraced) screen.tell([requestLine(request, nameOf(request.server))])
  }
  const volume = optionValue(args, "--volume") ?? (env["HOLDFAST_VOLUME"] || undefined)
  const passphrase = () => {
    asked ??= import("./passphrase.ts").then(({ readPassphrase }) =>
      readPassphrase(source, `Passphrase of profile ${profile}: `),
    )
    return asked
  }
  /** What could not be opened may be put right while this runs: then it is read, and asked for, anew. */
  const forgetProfile = () => {
    opened = undefined
    asked = undefined
  }
  const warnOfRollback = ({ offered, seen, evidence, unproven }: Rollback) =>
    screen.warn(
      unproven
        ? `warning: nothing proves that this version ${offered} of a tree goes on from version ${seen} seen before; it can only be read.`
        : evidence
          ? `warning: this is version ${offered} of a tree, of another history than the one seen before; it can only be read.`
          : `warning: this is version ${offered} of a tree of which version ${seen} was seen before; it can only be read.`,
    )
  const warnOfUnproven = ({ offered, seen }: Rollback) =>
    screen.warn(
      `warning: going on from version ${offered} of a tree, although nothing proves that it follows version ${seen} seen before; \`holdfast seen list\` remembers that.`,
    )
  const onCertificateEnding = (notAfterMs: number) =>
    screen.warn(
      `warning: this profile's certificate ends on ${new Date(notAfterMs).toISOString().slice(0, 10)} and the coordinator did not renew it; \`holdfast doctor\` looks for the reason.`,
    )
  const gridOptions: GridOptions = {
    onCertificateEnding,
    onWarning: (text) => screen.warn(`warning: ${text}`),
    onOffer: async (offer) =>
      isTerminal && !json ? (await import("./ask-offer.ts")).askOffer(offer, screen) : undefined,
    fresh: newestCommands.has(firstWord(args) ?? ""),
  }
  return {
    ...screen,
    ...{ stdin, stdout, stderr, env, json, isTerminal, profile, passphrase, volume, passphraseSource: source },
    interruption: createInterruption(process),
    progress: (label, total, unit) => {
      if (json && screen.verbosity.verbose) return createProgressEvents(stderr, label, total, Date.now, unit)
      const isShown = isTerminal && !json && !screen.verbosity.quiet
      return createProgress(isShown ? stderr : undefined, label, total, Date.now, unit)
    },
    openProfile() {
      opened ??= openProfileNamed(profile, env, passphrase).catch((error: unknown) => {
        forgetProfile()
        throw error
      })
      return opened
    },
    async openSession(asked = volume, how = {}) {
      const { volumeFor } = await import("@holdfast/client/volumes")
      const name = volumeFor(await this.openProfile(), asked)
      const damage = new MetDamage()
      const onDamage = (met: ShareDamage) => damage.add(met)
      const { keepsStored = false, forRemoval = false, isPassing = false } = how
      const key = JSON.stringify([name, keepsStored, forRemoval])
      const opening = sessions.get(key) ?? this.openOwnSession(name, { ...how, onDamage })
      if (!sessions.has(key)) met.set(opening, damage)
      sessions.set(key, opening)
      if (!isPassing) held.add(opening)
      const session = await opening
      if (!open.includes(session)) open.push(session)
      return session
    },
    async openOwnSession(name, { keepsStored = false, isPassing: _, ...how } = {}) {
      const { openSession } = await import("@holdfast/client/volumes")
      const rates = ratesOf(optionOf)
      const accepted = {
        ...(hasFlag(args, "--accept-rollback") && { onRollback: warnOfRollback }),
        ...(hasFlag(args, "--accept-history") && { onUnproven: warnOfUnproven }),
      }
      const interrupted = keepsStored ? this.interruption.lateSignal : this.interruption.signal
      const signal = how.signal ? AbortSignal.any([interrupted, how.signal]) : interrupted
      const tracing = (isTraced || screen.verbosity.verbose) && { onRequest }
      const own = await this.openProfile()
      return openSession(own, { ...how, volume: name, signal, rates, ...gridOptions, ...accepted, ...tracing })
    },
    async degraded() {
      const open = await Promise.all([...sessions.values()].map((opening) => opening.catch(() => undefined)))
      if (open.length === 0) return undefined
      const { degradedOf } = await import("./degraded.ts")
      return degradedOf(open.filter((session) => session !== undefined))
    },
    async follow() {
      try {
        await (await opened?.catch(() => undefined))?.refresh()
      } catch (error) {
        forgetProfile()
        await drop(() => true)
        throw error
      }
      await drop(async (session) => !(await session.isCurrent()))
    },
    async settle(closed = new Set()) {
      await leaveDamage()
      await drop((session) => closed.has(session.volume))
    },
    async outputChanged(value, text) {
      screen.done(json ? { ...value, degraded: (await this.degraded()) ?? null } : value, text)
    },
    async close(error) {
      const isTold = this.interruption.reason !== undefined || saysWhoTookNothing(error)
      const degraded = isTold ? undefined : await this.degraded()
      if (isTraced || (screen.verbosity.verbose && !json)) screen.tell(requests.lines(nameOf))
      await leaveDamage()
      if (degraded) screen.warn((await import("./degraded.ts")).degradedText(degraded))
      await closeAll(sessions.values())
    },
  }
}

/** Throws what closing one of them throws, once all are closed. */
async function closeAll(sessions: Iterable<Promise<Session>>): Promise<void> {
  const closed = await Promise.allSettled(
    [...sessions].map(async (opening) => {
      const session = await opening.catch(() => undefined) // who asked for it was told
      await session?.close()
    }),
  )
  for (const outcome of closed) if (outcome.status === "rejected") throw outcome.reason
}

/** Errors of a write that too few places took. */
function saysWhoTookNothing(error: unknown): boolean {
  const codes = ["ERR_NOT_ENOUGH_SERVERS", "ERR_QUOTA_EXCEEDED", "ERR_NO_QUORUM", "ERR_REFUSED"] as const
  return codes.some((code) => isHoldfastError(error, code))
}

async function openProfileNamed(name: string, env: NodeJS.ProcessEnv, passphrase: () => Promise<string>) {
  const { openProfile, pathsOf } = await import("@holdfast/client/profile")
  return openProfile(pathsOf(env), name, passphrase)
}
