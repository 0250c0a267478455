/** What `holdfast status` shows. With a locked profile and no passphrase at hand it tells what needs no secrets. */
import { join } from "node:path"
import { loadGrid, parseAddress } from "@holdfast/network"
import type { GridDescription } from "@holdfast/protocol"
import type { Context } from "../../context.ts"
import { configOfGrid } from "../../local-grid/config.ts"
import { isListening, isRunning } from "../../local-grid/process.ts"
import { loadState } from "../../local-grid/state.ts"
import { pathsOf, profileDir } from "../../profile/paths.ts"
import { isLocked } from "../../profile/secrets.ts"
import { sizeText } from "../../progress.ts"

interface ServerState {
  readonly up: boolean
  readonly usage?: { readonly usedBytes: number; readonly shareCount: number }
  readonly error?: string
}

/** Prints the local grid in `dir`, if any, and every server of the profile's grid. */
export async function showStatus(context: Context, dir: string): Promise<void> {
  const profile = profileDir(pathsOf(context.env), context.profile)
  const withoutKey = isLocked(profile) && context.passphraseFile === undefined
  const grid = withoutKey ? await loadGrid(join(profile, "identity")) : (await context.openSession()).grid
  // The profile may belong to another grid than the one on this machine.
  const state = (await configOfGrid(dir, grid.coordinator)) && (await loadState(dir))
  const running = await isRunning(state?.supervisor)
  const states = withoutKey ? await knock(grid) : await askServers(context)
  const servers = grid.servers
    .map(({ id, name, address }, i) => {
      const pid = state?.parts.find((part) => part.name === name)?.pid
      return { id, name, address, ...(pid === undefined ? {} : { pid }), ...states[i]! }
    })
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))
  const { coding, registerMode, name } = grid
  const local = state
    ? `Local grid: ${running ? "running" : "stopped (holdfast up starts it)"}`
    : `Coordinator: ${grid.coordinator}`
  const up = servers.filter((server) => server.up).length
  context.output(
    {
      local: state ? { running, parts: state.parts } : null,
      locked: withoutKey,
      grid: { name, coding, registerMode },
      servers,
    },
    [
      local,
      `Grid ${name}: coding ${coding.k}/${coding.happy}/${coding.n}, ${up} of ${servers.length} servers up`,
      ...servers.map(lineOf),
      ...(withoutKey ? ["The profile is locked: what the servers hold is shown with --passphrase-file only."] : []),
    ].join("\n"),
  )
}

function lineOf(server: ServerState & { name: string; address: string; pid?: number }): string {
  const process = server.pid === undefined ? "" : `process ${server.pid}`
  const { usage } = server
  const space = usage ? `${sizeText(usage.usedBytes)} in ${usage.shareCount} shares` : server.up ? "" : "not reachable"
  return `  ${server.name.padEnd(8)} ${(server.up ? "up" : "DOWN").padEnd(5)} ${server.address.padEnd(22)} ${process.padEnd(16)} ${space}`.trimEnd()
}

async function askServers(context: Context): Promise<ServerState[]> {
  const { backends } = await context.openSession()
  return Promise.all(
    backends.map(async (backend) => {
      try {
        return { up: true, usage: await backend.usage() }
      } catch (error) {
        return { up: false, error: error instanceof Error ? error.message : String(error) }
      }
    }),
  )
}

/** Whether something listens at each server's address: all that can be told without the private key. */
function knock(grid: GridDescription): Promise<ServerState[]> {
  return Promise.all(
    grid.servers.map(async ({ address }) => {
      const { host, port } = parseAddress(address)
      return { up: await isListening(port, host) }
    }),
  )
}
