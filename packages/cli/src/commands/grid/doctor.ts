/** `holdfast doctor`: what is wrong with this installation, and how to mend it. */
import { existsSync } from "node:fs"
import { stat, statfs } from "node:fs/promises"
import { join } from "node:path"
import { fetchGrid, loadGrid, loadIdentity } from "@holdfast/network"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { pathsOf, profileDir } from "../../profile/paths.ts"
import { sizeText } from "../../progress.ts"
import { connect } from "../../session.ts"

interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly message: string
  /** What to do about it. */
  readonly mend?: string
}

const lowSpaceBytes = 1024 ** 3

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("doctor")
    .description("find what is wrong with this installation and how to mend it")
    .addHelpText("after", "\nExample:\n  holdfast doctor --json\n")
    .action(async () => {
      const findings = await examine(context)
      const lines = findings.map(
        ({ ok, check, message, mend }) =>
          `${ok ? "ok  " : "BAD "} ${check}: ${message}${mend && !ok ? `\n       ${mend}` : ""}`,
      )
      context.output({ ok: findings.every(({ ok }) => ok), findings }, lines.join("\n"))
      if (findings.some(({ ok }) => !ok)) process.exitCode = exitCodes.failed
    })
}

async function examine(context: Context): Promise<Finding[]> {
  const paths = pathsOf(context.env)
  const dir = profileDir(paths, context.profile)
  const identityDir = join(dir, "identity")
  const findings = [nodeVersion(), await diskSpace(context)]
  if (!existsSync(join(dir, "secrets.json"))) {
    findings.push(
      bad(
        "profile",
        `there is no profile "${context.profile}"`,
        "Run `holdfast up` for a local grid, or `holdfast join` with an invitation.",
      ),
    )
    return findings
  }
  findings.push(
    await secrecy(dir),
    await attempt("identity", () => certificate(identityDir), "Join the grid again with a new invitation."),
  )
  findings.push(
    await attempt(
      "grid description",
      async () => `cached, serial ${(await loadGrid(identityDir)).serial}`,
      "Reach the coordinator once: holdfast status.",
    ),
  )
  findings.push(
    await attempt(
      "coordinator",
      () => coordinator(identityDir),
      "Start it again. Reading and writing go on without it.",
    ),
  )
  findings.push(...(await servers(identityDir)))
  return findings
}

function nodeVersion(): Finding {
  const ok = Number.parseInt(process.versions.node, 10) >= 24
  return { check: "node", ok, message: process.version, mend: "Use Node 24 or newer, or start through `npx holdfast`." }
}

async function diskSpace(context: Context): Promise<Finding> {
  const disk = await statfs(context.env["HOME"] ?? "/")
  const free = disk.bavail * disk.bsize
  return { check: "disk", ok: free > lowSpaceBytes, message: `${sizeText(free)} free`, mend: "Free some space." }
}

async function secrecy(dir: string): Promise<Finding> {
  const modes = await Promise.all(
    [dir, join(dir, "secrets.json"), join(dir, "identity", "key.pem")].map(async (path) => ({
      path,
      mode: (await stat(path)).mode & 0o077,
    })),
  )
  const open = modes.filter(({ mode }) => mode !== 0).map(({ path }) => path)
  return open.length === 0
    ? { check: "permissions", ok: true, message: "secrets are readable by you only" }
    : bad("permissions", `others may read ${open.join(", ")}`, `chmod go= ${open.join(" ")}`)
}

async function certificate(identityDir: string): Promise<string> {
  const identity = await loadIdentity(identityDir)
  return `certificate of ${identity.memberId} is valid`
}

async function coordinator(identityDir: string): Promise<string> {
  const { fresh, grid } = await fetchGrid(identityDir)
  if (!fresh) throw new Error(`${grid.coordinator} does not answer`)
  return `${grid.coordinator} answers`
}

async function servers(identityDir: string): Promise<Finding[]> {
  const [grid, identity] = await Promise.all([loadGrid(identityDir), loadIdentity(identityDir)]).catch(() => [
    undefined,
    undefined,
  ])
  if (!grid || !identity) return []
  return Promise.all(
    grid.servers.map((server) =>
      attempt(
        `server ${server.name}`,
        async () => {
          const backend = connect(server, identity)
          try {
            const usage = await backend.usage()
            return `${server.address} answers, ${sizeText(usage.usedBytes)} used`
          } finally {
            await backend.close()
          }
        },
        "Start it again (`holdfast up` for a local grid), or repair what it held: holdfast check --deep --repair.",
      ),
    ),
  )
}

async function attempt(check: string, work: () => Promise<string>, mend: string): Promise<Finding> {
  try {
    return { check, ok: true, message: await work() }
  } catch (error) {
    return bad(check, error instanceof Error ? error.message : String(error), mend)
  }
}

function bad(check: string, message: string, mend: string): Finding {
  return { check, ok: false, message, mend }
}
