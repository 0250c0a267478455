/** Looks at a local grid from outside: processes, ports, permissions and certificates of its parts. */
import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { isListening, isRunning } from "@holdfast/client/profile"
import { exposed } from "@holdfast/core/node"
import { loadIdentity } from "@holdfast/network"
import { everyNode, gridFiles, type LocalGridConfig, loadConfig } from "./config.ts"
import { attempt, bad, type Finding, good } from "./finding.ts"
import { type GridState, loadState } from "./state.ts"

/** What is well and what is not with the grid in `dir`; nothing when there is none. */
export async function examineLocalGrid(dir: string): Promise<Finding[]> {
  const settings = await loadConfig(dir).catch((error: Error) => error)
  if (!settings) return []
  if (settings instanceof Error)
    return [bad("local grid", settings.message, "Restore that file from a backup of the folder.")]
  const findings = [await permissions(dir), ...(await certificates(dir, settings))]
  const state = await loadState(dir)
  if (!state || !(await isRunning(state.supervisor))) {
    const taken = await Promise.all(portsOf(settings).map((part) => leftBehind(state, part)))
    return [...findings, bad("local grid", "is stopped", "Start it: holdfast up"), ...taken.flat()]
  }
  const parts = await Promise.all(portsOf(settings).map((part) => examinePart(dir, state, part)))
  return [...findings, good("local grid", "its supervisor runs"), ...parts]
}

interface Part {
  readonly name: string
  readonly port: number
}

function portsOf(config: LocalGridConfig): Part[] {
  return [{ name: "coordinator", port: config.coordinatorPort }, ...everyNode(config)]
}

async function examinePart(dir: string, state: GridState, { name, port }: Part): Promise<Finding> {
  const check = `process ${name}`
  const part = state.parts.find((candidate) => candidate.name === name)
  const pid = part?.pid
  const runs = pid !== undefined && (await isRunning({ pid, started: part?.started ?? "" }))
  const listens = await isListening(port)
  if (runs && listens) return good(check, `runs as ${pid} on port ${port}`)
  const log = gridFiles(dir).log(name)
  if (listens) return (await takenPort({ name, port }))[0]!
  if (!runs)
    return bad(
      check,
      `does not run; it ended ${part?.restarts ?? 0} times`,
      `It is started again by itself. If it ends again, its log says why: ${log}`,
    )
  return bad(check, `runs, but does not answer on port ${port}`, `Its log may say why: ${log}`)
}

/**
 * A finding when something has the port of a part whose supervisor is gone: the part itself, which goes on by itself, or another program.
 */
async function leftBehind(state: GridState | undefined, { name, port }: Part): Promise<Finding[]> {
  const part = state?.parts.find((candidate) => candidate.name === name)
  const runs = part?.pid !== undefined && (await isRunning({ pid: part.pid, started: part.started ?? "" }))
  if (!runs) return takenPort({ name, port })
  const message = `runs on as ${part.pid} without the supervisor, which ended and did not take it along`
  return [bad(`process ${name}`, message, "Start the grid, which takes its place: holdfast up")]
}

/** A finding when another program has the port of a part that does not run. */
async function takenPort({ name, port }: Part): Promise<Finding[]> {
  if (!(await isListening(port))) return []
  const mend = `Stop that program (ss -ltnp 'sport = :${port}' names it), then: holdfast down, holdfast up`
  return [bad(`process ${name}`, `does not run, and another program has its port ${port}`, mend)]
}

async function permissions(dir: string): Promise<Finding> {
  const names = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith(".pem"))
  const open = await exposed([dir, ...names.map((name) => join(dir, name))])
  if (open.length === 0) return good("grid keys", "are readable by you only")
  return bad("grid keys", `others may read ${open.join(", ")}`, `Close that with: chmod go= ${open.join(" ")}`)
}

/** Certificates that do not hold. */
async function certificates(dir: string, config: LocalGridConfig): Promise<Finding[]> {
  const made = everyNode(config).filter(({ name }) => existsSync(gridFiles(dir).nodeIdentity(name)))
  const findings = await Promise.all(
    made.map(({ name }) =>
      attempt(
        `certificate of ${name}`,
        async () =>
          `until ${new Date((await loadIdentity(gridFiles(dir).nodeIdentity(name))).notAfterMs).toISOString()}`,
        `Check the clock. If it is right, make the node join anew: holdfast down, move ${gridFiles(dir).nodeIdentity(name)} away, holdfast up, holdfast check --deep --repair home:`,
      ),
    ),
  )
  return findings.filter(({ ok }) => !ok)
}
