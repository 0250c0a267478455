/** `holdfast doctor`: what is wrong with this installation, and how to mend it. */
import { rm, statfs, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { hasSecrets, isLocked, openSeen, pathsOf, profileDir, secretFiles } from "@holdfast/client/profile"
import {
  domainSurvivalOf,
  domainText,
  everyPlace,
  hasGrid,
  openedGrid,
  spreadOf,
  volumeNames,
} from "@holdfast/client/volumes"
import { isHoldfastError } from "@holdfast/core"
import { exposed, makePrivateFolder } from "@holdfast/core/node"
import { expiresSoon, fetchGrid, type Identity, loadGrid, loadPins } from "@holdfast/network"
import { type Backend, type GridDescription, type Usage, type VolumeBackend, votersOf } from "@holdfast/protocol"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { configOfGrid } from "../../local-grid/config.ts"
import { examineLocalGrid } from "../../local-grid/examine.ts"
import { attempt, bad, type Finding, good, hint } from "../../local-grid/finding.ts"
import { sizeText } from "../../progress.ts"
import { whyFull } from "../../room.ts"
import { plural } from "../../words.ts"
import { gridLackNotes, twoPlacesHint } from "./volume-witness.ts"

const lowSpaceBytes = 1024 ** 3
/** Clocks of two machines may differ so much before it is worth a word. */
const clockSkewMs = 5 * 60_000

/** Adds the command. */
export function register(program: Command, context: Context): void {
  program
    .command("doctor")
    .description("find what is wrong with this installation and how to mend it")
    .option("--dir <folder>", "where the local grid keeps its data")
    .addHelpText("after", "\nExamples:\n  holdfast doctor\n  holdfast doctor --json\n")
    .action(async (flags: { dir?: string }) => {
      const findings = await examine(context, flags.dir ?? join(pathsOf(context.env).data, "grid"))
      const isWell = findings.every(({ ok }) => ok)
      const lines = findings.flatMap(({ ok, check, message, mend }) => [
        `${ok ? "ok  " : "BAD "} ${check}: ${message}`,
        ...(mend ? [`       ${mend}`] : []),
      ])
      context.output({ ok: isWell, findings }, lines)
      if (!isWell) process.exitCode = exitCodes.failed
    })
}

async function examine(context: Context, gridDir: string): Promise<Finding[]> {
  const machine = [nodeVersion(), await diskSpace(context)]
  const dir = profileDir(pathsOf(context.env), context.profile)
  const grid = await loadGrid(join(dir, "identity")).catch(() => undefined)
  const isElsewhere = grid && !(await configOfGrid(gridDir, grid.coordinator).catch(() => true))
  const local = isElsewhere ? [] : await examineLocalGrid(gridDir)
  return [...machine, ...local, ...(await examineProfile(context))]
}

async function examineProfile(context: Context): Promise<Finding[]> {
  const dir = profileDir(pathsOf(context.env), context.profile)
  const identityDir = join(dir, "identity")
  if (!hasSecrets(dir))
    return [
      bad(
        "profile",
        `there is no profile "${context.profile}"`,
        "Run `holdfast up` for a local grid, or `holdfast join` with an invitation.",
      ),
    ]
  const files = secretFiles(dir)
  const open = await exposed([dir, files.plain, files.locked, files.privateKey])
  if (open.length > 0)
    return [bad("permissions", `others may read ${open.join(", ")}`, `Close that with: chmod go= ${open.join(" ")}`)]
  const closed = [good("permissions", "secrets are readable by you only"), await examineSeen(context)]
  if (isLocked(dir) && context.passphraseSource === undefined)
    return [...closed, good("profile", "locked; --passphrase-file lets doctor look at certificate and servers too")]
  const membership = hasGrid({ identityDir }) ? await examineMembership(context, identityDir) : []
  return [...closed, ...membership, ...(await examineVolumes(context)), ...(await examineRecovery(context))]
}

/** Whether what was seen of trees can be read and written: else commands that change something fail, or cannot notice a rollback. */
function examineSeen(context: Context): Promise<Finding> {
  const folder = join(pathsOf(context.env).state, "seen")
  const { exportSeen } = openSeen(folder, context.profile)
  return attempt(
    "seen",
    async () => {
      const { registers } = await exportSeen()
      makePrivateFolder(folder)
      const probe = join(folder, `.doctor-${process.pid}`)
      await writeFile(probe, "", { flag: "wx", mode: 0o600 })
      await rm(probe)
      return `what was seen of ${plural(Object.keys(registers).length, "register")} is readable, and more can be written`
    },
    `Make ${folder} a folder that you may write (chmod u+rwx, space on its disk), and remove a file that is named as damaged; then: holdfast seen import`,
  )
}

/** Whether the keys would outlive this machine, and nobody else finds them. Having no kit is a choice, an old one a surprise. */
async function examineRecovery(context: Context): Promise<Finding[]> {
  const { findOpenKits, kitStates } = await import("@holdfast/client/recovery")
  const check = "recovery kit"
  const known = await attempt(
    check,
    async () => {
      const { fresh, stale, old, pending } = await kitStates(await context.openProfile())
      if (old.length > 0)
        throw new Error(`${old.join(", ")} is of the old kind: whoever may read its places can find it`)
      if (pending.length > 0) throw new Error(`places may still hold parts of a kit before ${pending.join(", ")}`)
      if (fresh.length > 0) return `${fresh.join(", ")} restores what the profile has now`
      if (stale.length > 0) throw new Error(`${stale.join(", ")} lacks what changed since`)
      return "no recovery kit yet: without one the keys are lost with this machine (holdfast recovery kit --help)"
    },
    "Make it anew: holdfast recovery kit",
  )
  const profile = await context.openProfile()
  const sessions = await Promise.all(
    volumeNames(profile).map((name) => context.openSession(name).catch(() => undefined)),
  )
  const open = (await Promise.all(sessions.map((session) => (session ? findOpenKits(session) : [])))).flat()
  const others = open.map((kit) => {
    const text = `${kit.name} on ${kit.volume} is of the old kind, and whoever may read the places can find it`
    return kit.isOwn
      ? bad(check, text, "Make a new one, which erases it: holdfast recovery kit")
      : good(check, `${text}; this profile did not make it (\`holdfast recovery kit --replace\` erases it)`)
  })
  return [known, ...others]
}

/** Whether each place of each volume answers, and what a volume over two lacks. */
async function examineVolumes(context: Context): Promise<Finding[]> {
  const { volumes } = await context.openProfile()
  const findings: Finding[] = []
  for (const volume of volumes.values()) {
    const { name, backends: described } = volume
    const lack = twoPlacesHint(volume)
    if (lack) findings.push(hint(`volume ${name}`, lack.message, lack.mend))
    const session = await context.openSession(name).catch((error: unknown) => {
      if (!isHoldfastError(error)) throw error
      findings.push(bad(`volume ${name}`, error.message, `Then look again: holdfast volume test ${name}`))
    })
    if (!session) continue
    const places = everyPlace(session).map((backend) =>
      attempt(
        `volume ${name}`,
        () => examinePlace(backend, described.find(({ id }) => id === backend.id)!),
        `\`holdfast volume test ${name}\` says more. Make room there, or bring it back; what it missed or lost is made anew with: holdfast check --deep --repair`,
      ),
    )
    findings.push(...(await Promise.all(places)))
  }
  return findings
}

/** Says that a place answers and takes something. Throws when it does not. */
async function examinePlace(backend: Backend, place: VolumeBackend): Promise<string> {
  await backend.readRegisters([new Uint8Array(32)])
  if (place.kind === "s3") {
    const { probeWriting } = await import("@holdfast/backends/s3")
    await probeWriting(place)
    return `${backend.id} answers, and takes what is written`
  }
  requireRoom(backend.id, await backend.usage())
  return `${backend.id} answers, and has room`
}

function requireRoom(name: string, usage: Usage): void {
  const why = whyFull(usage)
  if (why) throw new Error(`${name}: ${why}`)
}

async function examineMembership(context: Context, identityDir: string): Promise<Finding[]> {
  let identity: Identity | undefined
  const certificate = await attempt(
    "certificate",
    async () => {
      identity = await (await context.openProfile()).identity()
      if (expiresSoon(identity))
        throw new Error(
          `the certificate of ${identity.memberId} ends on ${new Date(identity.notAfterMs).toISOString()}`,
        )
      return `${identity.memberId} until ${new Date(identity.notAfterMs).toISOString().slice(0, 10)}`
    },
    "Any command renews it once the coordinator answers, such as holdfast status. After its end, join again with a new invitation: holdfast join. Aliases, volumes and account stay.",
  )
  const grid = await attempt(
    "grid description",
    async () => {
      const { serial, issuedMs } = await loadGrid(identityDir)
      return clockMessage(serial, issuedMs, Date.now())
    },
    "Set this machine's clock and the coordinator's (timedatectl set-ntp true), then reach the coordinator: holdfast status.",
  )
  if (!identity) return [certificate, grid]
  const own = identity
  const coordinator = await attempt(
    "coordinator",
    async () => {
      const { fresh, grid: newest, warnings, offer } = await fetchGrid(identityDir, { identity: own })
      if (offer && offer.violations.length === 0)
        throw new Error(`${newest.coordinator} changed what this profile relies on (holdfast grid show)`)
      if (!fresh) throw new Error(warnings[0] ?? `${newest.coordinator} does not answer`)
      return `${newest.coordinator} answers`
    },
    "Start it again. Reading and writing go on without it.",
  )
  return [certificate, grid, coordinator, ...(await servers(identityDir, own))]
}

/** Says which description is cached. Throws when it comes from the future: then one of two clocks is wrong. */
function clockMessage(serial: number, issuedMs: number, nowMs: number): string {
  const aheadMs = issuedMs - nowMs
  if (aheadMs > clockSkewMs)
    throw new Error(`it was made ${Math.round(aheadMs / 60_000)} minutes in the future: a clock is wrong`)
  return `cached, serial ${serial}`
}

function nodeVersion(): Finding {
  const isNew = Number.parseInt(process.versions.node, 10) >= 24
  if (isNew) return good("node", process.version)
  return bad("node", process.version, "Use Node 24 or newer, or start it by bin/holdfast, which brings its own.")
}

async function diskSpace(context: Context): Promise<Finding> {
  const disk = await statfs(context.env.HOME ?? "/")
  const free = disk.bavail * disk.bsize
  const message = `${sizeText(free)} free`
  return free > lowSpaceBytes ? good("disk", message) : bad("disk", message, "Free some space.")
}

async function servers(identityDir: string, identity: Identity): Promise<Finding[]> {
  const grid = await loadGrid(identityDir).catch(() => undefined)
  if (!grid) return []
  const pins = await loadPins(identityDir)
  const { connect, close } = openedGrid(identityDir, identity, { grid, pins, fresh: true })
  const examined = await Promise.all(
    grid.servers.map((server) =>
      attempt(
        `server ${server.name}`,
        async () => {
          const backend = connect(server)
          try {
            requireRoom(server.address, await backend.usage())
            const kind = server.witness ? ", a witness" : ""
            return `${server.address} answers, and has room${kind}`
          } finally {
            await backend.close()
          }
        },
        "Start it again (`holdfast up` for a local grid) or make room on its disk; then repair what it missed: holdfast check --deep --repair home:",
      ),
    ),
  )
  close()
  return [...examined, ...lossesOf(grid, pins.voters ?? votersOf(grid))]
}

/** What the grid survives by its two nodes, and by the labels of its nodes: a choice, so nothing is wrong with it. */
function lossesOf(grid: GridDescription, voters: readonly string[]): Finding[] {
  const spread = spreadOf(grid, voters)
  const [lack, mend] = gridLackNotes(spread)
  const two = lack === undefined || mend === undefined ? [] : [hint(`grid ${grid.name}`, lack, mend)]
  return two.concat(
    domainText(domainSurvivalOf(spread), spread).map((line) => good("failure domains", `the grid ${line}`)),
  )
}
