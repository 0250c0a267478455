/** What `holdfast status` shows. With a locked profile and no passphrase at hand it tells what needs no secrets. */
import { join } from "node:path"
import { isListening, isLocked, isRunning, pathsOf, profileDir } from "@holdfast/client/profile"
import {
  describedLabels,
  domainSurvivalOf,
  domainText,
  everyPlace,
  gridName,
  hasGrid,
  spreadOf,
  survivalIn,
  survivalOf,
  survivalText,
} from "@holdfast/client/volumes"
import { loadGrid, parseAddress } from "@holdfast/network"
import { type Backend, type GridDescription, type GridServer, type Usage, votersOf } from "@holdfast/protocol"
import type { Context } from "../../context.ts"
import { configOfGrid } from "../../local-grid/config.ts"
import { type GridState, loadState } from "../../local-grid/state.ts"
import { lastRound, standingOf } from "../../maintenance/standing.ts"
import { sizeText } from "../../progress.ts"
import { roomOf, whyFull } from "../../room.ts"
import { gridLackNotes } from "./volume-witness.ts"

interface ServerState {
  readonly up: boolean
  readonly usage?: Usage
  /** Why it takes nothing, or little, though it answers. */
  readonly full?: string
  readonly error?: string
}

/** Part of the output: a value for programs and lines for people. */
interface Part<T> {
  readonly value: T
  readonly lines: readonly string[]
}

/** Prints the local grid in `dir`, if any, every server of the profile's grid, and every place of its volumes. */
export async function showStatus(context: Context, dir: string): Promise<void> {
  const profile = profileDir(pathsOf(context.env), context.profile)
  const identityDir = join(profile, "identity")
  const withoutKey = isLocked(profile) && context.passphraseSource === undefined
  const volumes = withoutKey ? { value: [], lines: [] } : await volumesPart(context)
  const isMember = hasGrid({ identityDir })
  if (!isMember && volumes.value.length === 0 && !withoutKey) await context.openSession() // says what is missing
  const grid = isMember ? await gridPart(context, identityDir, dir, withoutKey) : undefined
  context.output({ local: null, grid: null, servers: [], ...grid?.value, locked: withoutKey, volumes: volumes.value }, [
    ...(grid?.lines ?? []),
    ...volumes.lines,
    ...(withoutKey ? ["The profile is locked: what the servers hold is shown with --passphrase-file only."] : []),
  ])
}

async function gridPart(
  context: Context,
  identityDir: string,
  dir: string,
  withoutKey: boolean,
): Promise<Part<object>> {
  // Opening a session brings the cached description up to date.
  const session = withoutKey ? undefined : await context.openSession(gridName)
  const grid = await loadGrid(identityDir)
  // The profile may belong to another grid than the one on this machine.
  const state = (await configOfGrid(dir, grid.coordinator)) && (await loadState(dir))
  const running = await isRunning(state?.supervisor)
  const states = new Map(session ? await Promise.all(everyPlace(session).map(askUsage)) : await knock(grid))
  const servers = grid.servers
    .map(({ id, name, address, labels, witness }) => {
      const pid = state?.parts.find((part) => part.name === name)?.pid
      const kind = { ...(labels && { labels }), ...(witness && { witness }) }
      return { id, name, address, ...kind, ...(pid === undefined ? {} : { pid }), ...(states.get(id) ?? { up: false }) }
    })
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))
  const { coding, registerMode, name } = grid
  const local = state
    ? `Local grid: ${running ? "running" : "stopped (holdfast up starts it)"}`
    : `Coordinator: ${grid.coordinator}`
  const up = servers.filter((server) => server.up).length
  const voters = session?.voters.map(({ id }) => id) ?? votersOf(grid)
  const spread = spreadOf(grid, voters)
  const survives = survivalIn(spread)
  const domains = domainSurvivalOf(spread)
  const standing = session ? await standingOf(context, session) : { value: null, lines: [] }
  const beside = await besidePart(context, running ? state : undefined)
  return {
    value: {
      local: state ? { running, parts: state.parts, maintenance: beside.value } : null,
      grid: { name, coding, registerMode, survives, domains, maintenance: standing.value },
      servers,
    },
    lines: [
      local,
      ...beside.lines,
      `Grid ${name}: coding ${coding.k}/${coding.happy}/${coding.n}, ${registerMode}, ${survivalText(survives)}; ${up} of ${servers.length} servers up`,
      ...[...gridLackNotes(spread), ...domainText(domains, spread)].map((line) => `  ${line}`),
      ...servers.map(lineOf),
      ...standing.lines,
    ],
  }
}

/** What the local grid looks after while it runs; null where that is nothing. */
async function besidePart(context: Context, state: GridState | undefined): Promise<Part<object | null>> {
  if (!state) return { value: null, lines: [] }
  const { maintenance } = state
  if (!maintenance)
    return { value: null, lines: ["  It looks after no trees: `down`, then `up` without --no-maintain, changes that."] }
  const { profile, why } = maintenance
  const last = await lastRound({ ...context, profile })
  const when = last?.ended ? `last round ${last.ended}` : last ? `in a round since ${last.started}` : "no round yet"
  return {
    value: { profile, why: why ?? null, last: last ?? null },
    lines: [
      `  It looks after the trees of profile "${profile}" (${when})${why === undefined ? "" : `: NOT NOW. ${why}`}`,
    ],
  }
}

async function volumesPart(context: Context): Promise<Part<object[]>> {
  const { volumes } = await context.openProfile()
  const parts = [...volumes.values()].map(async ({ name, coding, registerMode, backends }) => {
    const session = await context.openSession(name)
    const kinds = new Map(backends.map(({ id, kind }) => [id, kind]))
    const ask = (backend: Backend) => (kinds.get(backend.id) === "s3" ? askAnything(backend) : askUsage(backend))
    const states = new Map(await Promise.all(everyPlace(session).map(ask)))
    const places = backends.map(({ id, kind, witness }) => ({
      ...{ id, kind, ...(witness && { witness }) },
      ...(states.get(id) ?? { up: false }),
    }))
    const survives = survivalOf(session, places.length)
    const up = places.filter((place) => place.up).length
    const standing = await standingOf(context, session)
    return {
      value: { name, coding, registerMode, survives, places, maintenance: standing.value },
      lines: [
        `Volume ${name}: coding ${coding.k}/${coding.happy}/${coding.n}, ${registerMode}, ${survivalText(survives)}; ${up} of ${places.length} places up`,
        ...places.map(({ id, witness, up: isUp, full, error }) => {
          const why = error ?? full
          return `  ${full ? "FULL" : isUp ? "up  " : "DOWN"} ${id}${witness ? ", witness" : ""}${why === undefined ? "" : ` (${why})`}`
        }),
        ...standing.lines,
      ],
    }
  })
  const shown = await Promise.all(parts)
  return { value: shown.map(({ value }) => value), lines: shown.flatMap(({ lines }) => lines) }
}

type ShownServer = ServerState & Pick<GridServer, "name" | "address" | "labels" | "witness"> & { readonly pid?: number }

function lineOf(server: ShownServer): string {
  const process = server.pid === undefined ? "" : `process ${server.pid}`
  const { usage } = server
  const state = usage ? spaceOf(usage, server.full) : server.up ? "" : "not reachable"
  const kind = [
    ...(server.witness ? ["witness"] : []),
    ...(server.labels ? [`in ${describedLabels(server.labels)}`] : []),
  ]
  const space = [state, ...kind].filter((word) => word !== "").join(", ")
  return `  ${server.name.padEnd(8)} ${(server.full ? "FULL" : server.up ? "up" : "DOWN").padEnd(5)} ${server.address.padEnd(22)} ${process.padEnd(16)} ${space}`.trimEnd()
}

function spaceOf(usage: Usage, full: string | undefined): string {
  const room = roomOf(usage)
  const left = full ? `; ${full}` : room === undefined ? "" : `, ${sizeText(room)} left`
  return `${sizeText(usage.usedBytes)} in ${usage.shareCount} shares${left}`
}

function askUsage(backend: Backend): Promise<[string, ServerState]> {
  return stateOf(backend, async () => {
    const usage = await backend.usage()
    const full = whyFull(usage)
    return { usage, ...(full && { full }) }
  })
}

/** Only whether it answers: a bucket has to be listed whole to know how much is in it, and whether it is full is known by writing. */
function askAnything(backend: Backend): Promise<[string, ServerState]> {
  return stateOf(backend, async () => {
    await backend.readRegisters([new Uint8Array(32)])
    return {}
  })
}

async function stateOf(
  { id }: Backend,
  ask: () => Promise<Pick<ServerState, "usage" | "full">>,
): Promise<[string, ServerState]> {
  try {
    return [id, { up: true, ...(await ask()) }]
  } catch (error) {
    return [id, { up: false, error: error instanceof Error ? error.message : String(error) }]
  }
}

/** Whether something listens at each server's address: all that can be told without the private key. */
function knock(grid: GridDescription): Promise<[string, ServerState][]> {
  return Promise.all(
    grid.servers.map(async ({ id, address }): Promise<[string, ServerState]> => {
      const { host, port } = parseAddress(address)
      return [id, { up: await isListening(port, host) }]
    }),
  )
}
